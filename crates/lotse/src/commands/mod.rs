//! One file a command. Exit codes: 0 done, 1 the user's world is at fault, 2 the command line is,
//! 70 Lotse itself is.

mod job;
mod login;
mod pipeline;
mod project;
mod token;
mod variable;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::{Failure, Screen};

/// Brings a tagged commit to every server, and nobody on the site notices.
#[derive(Debug, Parser)]
#[command(name = "lotse", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Login(login::Arguments),
    Project(project::Arguments),
    Variable(variable::Arguments),
    Pipeline(pipeline::Arguments),
    Job(job::Arguments),
    Token(token::Arguments),
}

/// Runs the command that the process was started with.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = Screen::of_process();
    match arguments.command {
        Command::Login(arguments) => client(login::run(arguments, screen)),
        Command::Project(arguments) => client(project::run(arguments, screen)),
        Command::Variable(arguments) => client(variable::run(arguments, screen)),
        Command::Pipeline(arguments) => client(pipeline::run(arguments, screen)),
        Command::Job(arguments) => client(job::run(arguments, screen)),
        Command::Token(arguments) => client(token::run(arguments, screen)),
    }
}

/// Runs a command that talks to a server.
fn client(command: impl Future<Output = Result<ExitCode, Failure>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::user("cannot start the asynchronous runtime");
            return failure.because(&error).report();
        }
    };
    let outcome = runtime.block_on(Box::pin(command));
    // Not waiting for a question that Ctrl-C has left unanswered.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|failure| failure.report())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
