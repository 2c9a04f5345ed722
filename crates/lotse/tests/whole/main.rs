//! The whole: server, runners, git and the command line as processes, told as stories, always with
//! the broken case. Each test has a server of its own.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by a panic")]

mod artifacts;
mod broken_file;
mod downstream;
mod gitlab_client;
mod images;
mod includes;
mod jobs;
mod killed;
mod pages;
mod refused;
mod start;
mod superseded;
mod users;
mod variables;

use testkit::lotse::Lotse;

/// A server.
async fn serve() -> Lotse {
    Lotse::start(env!("CARGO_BIN_EXE_lotse")).await
}

/// What the commands of a job have written: the lines of its log between the first that shows a
/// command and the end, without those that the runner wrote itself.
fn lines_after<'a>(log: &'a str, command: &str) -> Vec<&'a str> {
    log.lines()
        .skip_while(|line| !line.contains(command))
        .filter(|line| !line.contains('\u{1b}'))
        .collect()
}
