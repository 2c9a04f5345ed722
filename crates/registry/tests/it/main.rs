//! The registry over HTTP, as its clients see it.

#![allow(
    clippy::unwrap_used,
    reason = "the lint knows tests by their attribute only, not their helpers"
)]

mod auth;
mod blobs;
mod disk;
mod docker;
mod killed;
mod manifests;
mod server;
mod speed;
mod uploads;
