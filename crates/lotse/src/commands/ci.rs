//! `lotse ci`: the CI language on this machine, without a server.

mod elsewhere;
mod facts;
mod place;
mod worktree;

mod lint;
mod run;
mod show;
mod simulate;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use pipeline::Status;
use tokio::runtime::Builder;

use super::{block_on, client};
use crate::output::{Failure, Screen, Tone};

/// Check, explain, play through and run `.gitlab-ci.yml`, without a server
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Lint(lint::Arguments),
    Show(show::Arguments),
    Simulate(simulate::Arguments),
    Run(run::Arguments),
    /// Print a JSON schema of the language for editors
    Schema,
}

/// Runs a command of `lotse ci`.
pub(crate) fn run(arguments: Arguments, screen: Screen) -> ExitCode {
    match &arguments.command {
        Command::Lint(arguments) => client(lint::run(arguments, screen)),
        Command::Show(arguments) => client(show::run(arguments, screen)),
        Command::Simulate(arguments) => client(simulate::run(arguments, screen)),
        Command::Run(arguments) => {
            let command = run::run(arguments, screen);
            block_on(&mut Builder::new_multi_thread(), command)
        }
        Command::Schema => schema(screen).unwrap_or_else(|failure| failure.report()),
    }
}

fn schema(screen: Screen) -> Result<ExitCode, Failure> {
    screen.json(&ci::json_schema())?;
    Ok(ExitCode::SUCCESS)
}

/// What a status means.
fn tone(status: Status) -> Tone {
    match status {
        Status::Success => Tone::Good,
        Status::Failed => Tone::Bad,
        Status::Running | Status::Pending | Status::Canceling => Tone::Busy,
        Status::Manual | Status::Scheduled | Status::WaitingForResource => Tone::Waiting,
        Status::Created | Status::Preparing | Status::Canceled | Status::Skipped => Tone::Quiet,
    }
}
