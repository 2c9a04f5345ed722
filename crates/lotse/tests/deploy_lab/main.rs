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
mod each_step;
mod events;
mod host_trouble;
mod killed;
mod open_registry;
mod project;
mod refused;
mod seed;
mod serving;
mod stage;

/// The story with the whole load has the machine for itself; the others mostly wait, for hosts, leases
/// and deadlines, and run beside each other.
static TURN: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

async fn alone() -> tokio::sync::RwLockWriteGuard<'static, ()> {
    TURN.write().await
}

async fn beside_others() -> tokio::sync::RwLockReadGuard<'static, ()> {
    TURN.read().await
}

/// Whether stories shall be told at length.
fn is_long() -> bool {
    std::env::var_os("LOTSE_LONG_TESTS").is_some_and(|value| value == "1")
}
