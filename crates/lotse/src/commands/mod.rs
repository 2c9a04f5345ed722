//! One file a command. Exit codes: 0 done, 1 the user's world is at fault, 2 the command line is,
//! 70 Lotse itself is.

mod runner;

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
    #[command(subcommand)]
    Runner(runner::RunnerCommand),
}

/// Runs the command that the process was started with.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("LOTSE_LOG")
                .unwrap_or_else(|_| "info".into()),
        )
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::from(70);
        }
    };
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Runner(command) => runner::run(command).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
