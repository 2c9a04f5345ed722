//! One file a command. Exit codes: 0 done, 1 the user's world is at fault, 2 the command line is,
//! 70 Lotse itself is.

mod edge;
mod lab;
mod runner;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Brings a tagged commit to every server, and nobody on the site notices.
#[derive(Debug, Parser)]
#[command(name = "lotse", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArguments),
    #[command(subcommand)]
    Runner(runner::RunnerCommand),
    #[command(subcommand)]
    Edge(edge::EdgeCommand),
    Lab(lab::Arguments),
}

/// Runs the command that the process was started with.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr();
    match arguments.command {
        Command::Serve(arguments) => wait_for(serve::run(arguments)),
        Command::Runner(command) => wait_for(runner::run(command)),
        Command::Edge(command) => wait_for(edge::run(command)),
        Command::Lab(arguments) => lab::run(arguments),
    }
}

/// Runs a command that waits for others, and shows its error.
fn wait_for(command: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot start: {error}");
            return ExitCode::from(70);
        }
    };
    let result = runtime.block_on(command);
    // a task that still waits must not hold the process
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("LOTSE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}

/// Returns at the first SIGINT or SIGTERM.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
