//! From the push of a tag to sites that answer, on hosts of a lab: real git, runners, Docker engines
//! and docker-compose. Needs root.
//!
//! `LOTSE_LONG_TESTS=1` also measures what `docker-compose` costs by hand.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by a panic")]

mod by_hand;
mod clients;
mod data;
mod demo;
mod laptop;
mod mail;
mod power;
#[path = "../common/private_registry.rs"]
mod private_registry;
mod scripts;
mod second_form;
mod seed;
mod services;
mod site;
mod ssh_flow;
mod standing;
mod visitors;

/// Whether hosts can be made here; says so when not.
fn has_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        testkit::skip("the lab needs root");
    }
    root
}

/// Whether stories shall be told at length.
fn is_long() -> bool {
    std::env::var_os("LOTSE_LONG_TESTS").is_some_and(|value| value == "1")
}
