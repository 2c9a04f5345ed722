//! `lotse exec`: a program in a container of an environment.

mod terminal;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Args;
use docker::container::OutputStream;
use docker::exec::{Exec, ExecSpec};
use futures_util::StreamExt as _;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::environment::{Chosen, Selection, Which, connect, failure};
use crate::output::{Failure, Screen};
use terminal::Raw;

/// Run a program in a running container of a service
///
/// With a terminal when there is one. The exit code is the program's.
///
/// Examples:
///   lotse exec prod web-ui -- invenio shell
///   lotse exec prod web-api --host invenio02-prod -- sh -c 'ls -l /opt'
///   lotse exec prod db -- pg_dump invenio > dump.sql
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The host [default: the first that runs the service]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The user to run as [default: the container's]
    #[arg(long, short, value_name = "USER")]
    user: Option<String>,
    /// The folder to start in [default: the container's]
    #[arg(long, short, value_name = "FOLDER")]
    workdir: Option<String>,
    /// Do not give it a terminal
    #[arg(long, short = 'T')]
    no_terminal: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<String>,
}

/// Runs `lotse exec`.
pub(crate) async fn run(arguments: Arguments, _screen: Screen) -> Result<ExitCode, Failure> {
    let chosen = choose(&arguments).await?;
    let terminal =
        !arguments.no_terminal && io::stdin().is_terminal() && io::stdout().is_terminal();
    let spec = ExecSpec {
        user: arguments.user,
        working_dir: arguments.workdir,
        terminal,
        ..ExecSpec::new(arguments.command)
    };
    let started = chosen.engine.start_exec(&chosen.container.id, &spec).await;
    let mut exec = started.map_err(|error| failure(&error))?;
    let raw = terminal.then(|| Raw::start(&exec)).transpose()?;
    let outcome = connect_through(&mut exec).await;
    drop(raw);
    outcome?;
    let code = exec.exit_code().await.map_err(|error| failure(&error))?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

async fn choose(arguments: &Arguments) -> Result<Chosen, Failure> {
    let scope = arguments.which.load()?;
    let hosts = connect(&scope).await?;
    let services = [arguments.service.clone()];
    let selection = Selection {
        services: &services,
        host: arguments.host.as_deref(),
        release: None,
    };
    let mut found = selection.find(&scope, &hosts).await?.into_iter();
    found.find(Chosen::is_running).ok_or_else(|| {
        let service = &arguments.service;
        Failure::user(format!("no container of `{service}` runs"))
            .hint("`lotse status` shows what there is")
    })
}

/// Passes input and outputs through until the program has closed its outputs.
async fn connect_through(exec: &mut Exec) -> Result<(), Failure> {
    let (input, output) = (&mut exec.input, &mut exec.output);
    let printing = async {
        while let Some(chunk) = output.next().await {
            let chunk = chunk.map_err(|error| failure(&error))?;
            let written = match chunk.stream {
                OutputStream::Out => write(&mut io::stdout(), &chunk.bytes),
                OutputStream::Error => write(&mut io::stderr(), &chunk.bytes),
            };
            written.map_err(|error| Failure::output(&error))?;
        }
        Ok(())
    };
    tokio::select! {
        printed = printing => printed,
        never = feed(input) => match never {},
    }
}

/// A program that does not read to the end is no error, and its input outlives no output.
async fn feed(input: &mut (impl AsyncWrite + Unpin)) -> std::convert::Infallible {
    let _unread = tokio::io::copy(&mut tokio::io::stdin(), input).await;
    let _closed = input.shutdown().await;
    std::future::pending().await
}

fn write(to: &mut impl io::Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}
