//! Stories on hosts of a lab: from the push of a tag to sites that answer, with real git, runners, Docker
//! engines and docker-compose; and deploys under load. Needs root and Docker; without them it is skipped,
//! aloud.
//!
//! `LOTSE_LONG_TESTS=1` tells some at length.

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
mod under_load;
mod visitors;

/// The demo's six hosts, and the story with the whole load, have the machine for themselves; the others
/// mostly wait, for hosts, leases and deadlines, and run beside each other.
static TURN: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

async fn alone() -> tokio::sync::RwLockWriteGuard<'static, ()> {
    TURN.write().await
}

async fn beside_others() -> tokio::sync::RwLockReadGuard<'static, ()> {
    TURN.read().await
}

/// What base images are made of is fetched once, and kept for the next run.
fn cache() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("base")
}

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
