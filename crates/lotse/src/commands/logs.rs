//! `lotse logs`: what containers of an environment write.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use deploy::{EnvironmentName, ReleaseNumber};
use docker::container::{LogChunk, LogRequest};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use crate::environment::{Chosen, Scope, Selection, connect, failure};
use crate::output::{Failure, Screen, Tone};

/// Print what the containers write, of all hosts
///
/// Of the release that serves and of standing services; of another release with --release. A
/// release that failed is kept, stopped, until the next deploy: its output is still there.
///
/// Examples:
///   lotse logs prod
///   lotse logs prod web-ui -f --host invenio01-prod
///   lotse logs prod web-ui --release 12 --tail 100
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// The environment, as lotse.toml names it
    #[arg(value_name = "ENV")]
    name: EnvironmentName,
    /// The services [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Go on with what comes, until the containers end
    #[arg(long, short)]
    follow: bool,
    /// Only of this host
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Of this release's stack, by its number [default: the one that serves]
    #[arg(long, value_name = "RELEASE")]
    release: Option<u64>,
    /// Only so many of the last lines of each container
    #[arg(long, short = 'n', value_name = "LINES")]
    tail: Option<usize>,
    /// Show when each line was written
    #[arg(long, short)]
    timestamps: bool,
    /// The settings, or the folder that holds lotse.toml [default: this folder, or one above]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Runs `lotse logs`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let scope = Scope::load(&arguments.name, arguments.file.as_deref())?;
    let hosts = connect(&scope).await?;
    let selection = Selection {
        services: &arguments.services,
        host: arguments.host.as_deref(),
        release: arguments.release.map(ReleaseNumber),
    };
    let found = selection.find(&scope, &hosts).await?;
    if found.is_empty() {
        return Err(Failure::user("there is no such container")
            .hint("`lotse status` shows what there is, `lotse releases` which releases are kept"));
    }
    let request = LogRequest {
        tail: arguments.tail,
        follow: arguments.follow,
        since: None,
        timestamps: arguments.timestamps,
    };
    let width = found.iter().map(|one| one.title().chars().count()).max();
    let width = width.unwrap_or_default();
    match arguments.follow {
        true => follow(found, request, width, screen).await?,
        false => print(found, request, width, screen).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One container after the other.
async fn print(
    found: Vec<Chosen>,
    request: LogRequest,
    width: usize,
    screen: Screen,
) -> Result<(), Failure> {
    for one in found {
        let prefix = prefix(&one, width, screen);
        let mut lines = lines(&one, request);
        while let Some(line) = lines.next().await {
            screen.write(&[prefix.as_bytes(), &line?].concat())?;
        }
    }
    Ok(())
}

/// All at once, as it comes.
async fn follow(
    found: Vec<Chosen>,
    request: LogRequest,
    width: usize,
    screen: Screen,
) -> Result<(), Failure> {
    let (tell, mut told) = mpsc::channel(100);
    for one in found {
        let prefix = prefix(&one, width, screen);
        let mut lines = lines(&one, request);
        let tell = tell.clone();
        tokio::spawn(async move {
            while let Some(line) = lines.next().await {
                let line = line.map(|line| [prefix.as_bytes(), &line].concat());
                if tell.send(line).await.is_err() {
                    break;
                }
            }
        });
    }
    drop(tell);
    while let Some(line) = told.recv().await {
        screen.write(&line?)?;
    }
    Ok(())
}

fn prefix(one: &Chosen, width: usize, screen: Screen) -> String {
    let title = format!("{:<width$} |", one.title());
    format!("{} ", screen.paint(Tone::Quiet, &title))
}

/// A container's output in whole lines, each with its line break.
fn lines(
    one: &Chosen,
    request: LogRequest,
) -> impl Stream<Item = Result<Vec<u8>, Failure>> + Send + Unpin + use<> {
    /// A line that is longer is cut there.
    const LONGEST: usize = 1 << 20;
    let chunks = one.engine.logs(&one.container.id, request);
    let chunks = chunks.map(Some).chain(futures_util::stream::iter([None]));
    let mut rest: Vec<u8> = Vec::new();
    let lines = chunks.map(move |chunk| -> Vec<Result<Vec<u8>, Failure>> {
        let mut whole = Vec::new();
        match chunk {
            Some(Ok(LogChunk { bytes, .. })) => {
                rest.extend_from_slice(&bytes);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    whole.push(Ok(rest.drain(..=end).collect()));
                }
                if rest.len() > LONGEST {
                    rest.push(b'\n');
                    whole.push(Ok(std::mem::take(&mut rest)));
                }
            }
            Some(Err(error)) => whole.push(Err(failure(&error))),
            None if rest.is_empty() => {}
            None => {
                rest.push(b'\n');
                whole.push(Ok(std::mem::take(&mut rest)));
            }
        }
        whole
    });
    lines.flat_map(futures_util::stream::iter).boxed()
}
