//! Against OpenSSH's own server and agent, and one that misbehaves.

#![allow(
    clippy::unwrap_used,
    reason = "the lint knows tests by their attribute only, not their helpers"
)]

mod host_keys;
mod server;
mod streams;
mod uninvited;
mod user_keys;
