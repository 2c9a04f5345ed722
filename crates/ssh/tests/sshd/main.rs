//! Against OpenSSH's own server and agent.

mod host_keys;
mod server;
mod streams;
mod user_keys;
