//! `lotse deploy` and `rollback` in a lab of three web servers behind a balancer, under load: nothing
//! fails, whatever happens to a release, to a host or to the deployer. Needs root and Docker; without
//! them it is skipped, aloud.

#![allow(
    clippy::unwrap_used,
    reason = "a story that cannot go on shall stop there"
)]

mod crowd;
mod data;
mod events;
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
