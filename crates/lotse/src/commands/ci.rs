//! `lotse ci`: the CI language on this machine, without a server.

mod facts;
mod lint;
mod show;
mod simulate;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::output::{Failure, Screen};

/// Check, explain and play through `.gitlab-ci.yml`, without a server
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
    /// Print a JSON schema of the language for editors
    Schema,
}

/// Runs a command of `lotse ci`.
pub(crate) fn run(arguments: &Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::Lint(arguments) => lint::run(arguments, screen),
        Command::Show(arguments) => show::run(arguments, screen),
        Command::Simulate(arguments) => simulate::run(arguments, screen),
        Command::Schema => {
            screen.json(&ci::json_schema())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
