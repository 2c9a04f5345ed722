//! From the push of a tag to sites that answer, on hosts of a lab: real git, runners, Docker engines
//! and docker-compose. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by a panic")]

mod demo;
mod seed;
mod site;

/// Whether hosts can be made here; says so when not.
fn has_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        testkit::skip("the lab needs root");
    }
    root
}
