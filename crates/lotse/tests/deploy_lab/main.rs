//! `lotse deploy` and `rollback` in a lab of three web servers behind a balancer, under load: nothing
//! fails, whatever happens to a release, to a host or to the deployer. Needs root and Docker; without
//! them it is skipped, aloud.
//!
//! Each story has a short form, which tests run, and some a long one (`LOTSE_LONG_TESTS=1`).

#![allow(
    clippy::unwrap_used,
    reason = "a story that cannot go on shall stop there"
)]

mod by_hand;
mod crowd;
mod data;
mod events;
mod killed;
mod open_registry;
mod project;
mod refused;
mod seed;
mod serving;
mod stage;
mod trouble;

/// The stories load the machine, so they take turns.
async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    TURN.lock().await
}

/// Whether stories shall be told at length.
fn is_long() -> bool {
    std::env::var_os("LOTSE_LONG_TESTS").is_some_and(|value| value == "1")
}
