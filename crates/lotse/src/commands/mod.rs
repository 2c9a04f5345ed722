//! One file a command. Exit codes: 0 done, 1 the user's world is at fault, 2 the command line is,
//! 70 Lotse itself is.

mod lab;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Brings a tagged commit to every server, and nobody on the site notices.
#[derive(Debug, Parser)]
#[command(name = "lotse", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Lab(lab::Arguments),
}

/// Runs the command that the process was started with.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Lab(arguments) => lab::run(arguments),
    }
}
