//! `lotse compose logs`: what the project's containers have written.

use ::compose::project::ServiceName;
use apply::project::{OnEngine, label};
use clap::Args;
use docker::DockerError;
use docker::container::{ContainerSummary, LogRequest};
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, select_all};

use super::failure;
use crate::output::{Failure, Screen};

/// A line that does not end is shown in pieces of about this size, in bytes.
const LONGEST: usize = 64 << 10;

/// Show the output of containers
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only these services [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// Go on with what comes
    #[arg(short, long)]
    follow: bool,
    /// Only so many of each container's last lines [default: all]
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
    /// Do not begin each line with its container
    #[arg(long)]
    no_log_prefix: bool,
}

/// Which output, and how it is shown.
pub(super) struct Choice<'a> {
    pub(super) services: &'a [ServiceName],
    pub(super) follow: bool,
    pub(super) tail: Option<usize>,
    pub(super) timestamps: bool,
    pub(super) prefix: bool,
}

pub(super) async fn run(
    arguments: &Arguments,
    project: &OnEngine<'_>,
    screen: Screen,
) -> Result<(), Failure> {
    let choice = Choice {
        services: &arguments.services,
        follow: arguments.follow,
        tail: arguments.tail,
        timestamps: arguments.timestamps,
        prefix: !arguments.no_log_prefix,
    };
    show(&choice, project, screen).await
}

/// Shows lines as they come, until all have come.
pub(super) async fn show(
    choice: &Choice<'_>,
    project: &OnEngine<'_>,
    screen: Screen,
) -> Result<(), Failure> {
    let listed = project.listed(choice.services).await;
    let containers = listed.map_err(|error| failure(&error))?;
    let names: Vec<String> = containers.iter().map(short_name).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let request = LogRequest {
        tail: choice.tail,
        follow: choice.follow,
        since: None,
        timestamps: choice.timestamps,
    };
    let streams = containers.iter().zip(names).map(|(container, name)| {
        let prefix = match choice.prefix {
            true => format!("{name:width$}  | "),
            false => String::new(),
        };
        lines(project, container, request, prefix)
    });
    let mut lines = select_all(streams);
    while let Some(line) = lines.next().await {
        let line = line.map_err(|error| failure(&error.into()))?;
        screen.line(line)?;
    }
    Ok(())
}

/// A container's lines, each with this before it. What is not ended by a line break comes at the end.
fn lines(
    project: &OnEngine<'_>,
    container: &ContainerSummary,
    request: LogRequest,
    prefix: String,
) -> BoxStream<'static, Result<String, DockerError>> {
    let chunks = project.engine.logs(&container.id, request);
    let chunks = chunks
        .map(Some)
        .chain(futures_util::stream::once(async { None }));
    let mut open: Vec<u8> = Vec::new();
    let whole = chunks.map(move |chunk| {
        match chunk {
            Some(Ok(chunk)) => open.extend_from_slice(&chunk.bytes),
            Some(Err(error)) => return vec![Err(error)],
            None if open.is_empty() => return Vec::new(),
            None => open.push(b'\n'),
        }
        if open.len() > LONGEST {
            open.push(b'\n');
        }
        let mut found = Vec::new();
        while let Some(end) = open.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = open.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            found.push(Ok(format!(
                "{prefix}{}",
                line.trim_end_matches(['\n', '\r'])
            )));
        }
        found
    });
    whole.flat_map(futures_util::stream::iter).boxed()
}

/// `web-1`: the project is the same for all.
fn short_name(container: &ContainerSummary) -> String {
    let label = |name| container.labels.get(name).map(String::as_str);
    match (label(label::SERVICE), label(label::NUMBER)) {
        (Some(service), Some(number)) => format!("{service}-{number}"),
        _ => container.name.to_string(),
    }
}
