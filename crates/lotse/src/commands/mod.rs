//! One file a command. Exit codes: 0 done, 1 the user's world is at fault, 2 the command line is,
//! 70 Lotse itself is.

mod adopt;
mod ci;
mod compose;
mod deploy;
mod edge;
mod exec;
mod job;
mod keep;
mod lab;
mod lock;
mod login;
mod logs;
mod member;
mod pipeline;
mod plan;
mod project;
mod releases;
mod rollback;
mod runner;
mod serve;
mod status;
mod token;
mod unlock;
mod user;
mod variable;
mod volume;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

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
    Serve(serve::Arguments),
    #[command(subcommand)]
    Runner(runner::RunnerCommand),
    Login(login::Arguments),
    Project(project::Arguments),
    Variable(variable::Arguments),
    Pipeline(pipeline::Arguments),
    Job(job::Arguments),
    Ci(ci::Arguments),
    Compose(compose::Arguments),
    Plan(plan::Arguments),
    Deploy(deploy::Arguments),
    Rollback(rollback::Arguments),
    Adopt(adopt::Arguments),
    Status(status::Arguments),
    Releases(releases::Arguments),
    Logs(logs::Arguments),
    Exec(exec::Arguments),
    Lock(lock::Arguments),
    Unlock(unlock::Arguments),
    Volume(volume::Arguments),
    User(user::Arguments),
    Member(member::Arguments),
    Token(token::Arguments),
    #[command(subcommand)]
    Edge(edge::EdgeCommand),
    Lab(lab::Arguments),
    #[command(hide = true)]
    Keep(keep::Arguments),
}

/// Runs the command that the process was started with.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = Screen::of_process();
    match arguments.command {
        Command::Serve(arguments) => service(serve::run(arguments)),
        Command::Runner(command) => service(runner::run(command)),
        Command::Login(arguments) => client(login::run(arguments, screen)),
        Command::Project(arguments) => client(project::run(arguments, screen)),
        Command::Variable(arguments) => client(variable::run(arguments, screen)),
        Command::Pipeline(arguments) => client(pipeline::run(arguments, screen)),
        Command::Job(arguments) => client(job::run(arguments, screen)),
        Command::Ci(arguments) => ci::run(arguments, screen),
        Command::Compose(arguments) => client(compose::run(arguments, screen)),
        Command::Plan(arguments) => client(plan::run(arguments, screen)),
        Command::Deploy(arguments) => client(deploy::run(arguments, screen)),
        Command::Rollback(arguments) => client(rollback::run(arguments, screen)),
        Command::Adopt(arguments) => client(adopt::run(arguments, screen)),
        Command::Status(arguments) => client(status::run(arguments, screen)),
        Command::Releases(arguments) => client(releases::run(arguments, screen)),
        Command::Logs(arguments) => client(logs::run(arguments, screen)),
        Command::Exec(arguments) => client(exec::run(arguments, screen)),
        Command::Lock(arguments) => client(lock::run(arguments, screen)),
        Command::Unlock(arguments) => client(unlock::run(arguments, screen)),
        Command::Volume(arguments) => client(volume::run(arguments, screen)),
        Command::User(arguments) => client(user::run(arguments, screen)),
        Command::Member(arguments) => client(member::run(arguments, screen)),
        Command::Token(arguments) => client(token::run(arguments, screen)),
        Command::Edge(command) => service(edge::run(command)),
        Command::Lab(arguments) => lab::run(arguments),
        Command::Keep(arguments) => service(keep::run(arguments)),
    }
}

/// Runs a command that works for others until it is told to stop, and keeps a log on standard error.
fn service(command: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let filter = EnvFilter::try_from_env("LOTSE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
    block_on(&mut Builder::new_multi_thread(), async {
        command.await.map_err(|error| {
            let mut failure = Failure::user(error.to_string());
            if let Some(source) = error.source() {
                failure = failure.because(source);
            }
            match hint_of(&error) {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })?;
        Ok(ExitCode::SUCCESS)
    })
}

/// What the crate that knows the error says about its mend.
fn hint_of(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let reach = cause.downcast_ref::<apply::reach::ReachError>();
        let docker = cause.downcast_ref::<docker::DockerError>();
        let edge = cause.downcast_ref::<apply::edge::EdgeError>();
        reach
            .and_then(apply::reach::ReachError::hint)
            .or_else(|| apply::reach::hint_of(docker?))
            .or_else(|| edge?.hint().map(str::to_owned))
    })
}

/// Runs a command that talks to a server.
fn client(command: impl Future<Output = Result<ExitCode, Failure>>) -> ExitCode {
    block_on(&mut Builder::new_current_thread(), command)
}

fn block_on(
    builder: &mut Builder,
    command: impl Future<Output = Result<ExitCode, Failure>>,
) -> ExitCode {
    let runtime: Runtime = match builder.enable_all().build() {
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

/// Returns at the first SIGINT or SIGTERM.
async fn stop_signal() {
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
