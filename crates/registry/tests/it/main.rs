//! The registry over HTTP, as its clients see it.

mod auth;
mod blobs;
mod disk;
mod docker;
mod killed;
mod manifests;
mod server;
mod uploads;
