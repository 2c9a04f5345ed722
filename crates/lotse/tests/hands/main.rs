//! The hands on one host, with a real engine and a real edge: every step of real plans, each cut
//! off, repeated and done twice. Needs root and Docker; without them it is skipped, aloud.

#![allow(
    clippy::unwrap_used,
    reason = "a story that cannot go on shall stop there"
)]

mod app;
mod host;
mod reboot;
mod steps;
mod story;
