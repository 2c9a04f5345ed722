//! The whole: server, runners, git and the command line as processes, told as stories, always with
//! the broken case. Each test has a server of its own.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by a panic")]

mod jobs;

use testkit::lotse::Lotse;

/// A server.
async fn serve() -> Lotse {
    Lotse::start(env!("CARGO_BIN_EXE_lotse")).await
}
