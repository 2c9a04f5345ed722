//! `lotse compose logs`: what the project's containers have written.

use ::compose::project::ServiceName;
use apply::project::{OnEngine, label};
use clap::Args;
use docker::container::{ContainerSummary, LogRequest};
use docker::{DockerError, Lines};
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, select_all};

use super::failure;
use crate::output::{Failure, Screen};

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
    #[arg(short = 'n', long, value_name = "LINES", value_parser = tail)]
    tail: Option<Tail>,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
    /// Do not begin each line with its container
    #[arg(long)]
    no_log_prefix: bool,
}

/// So many lines; all, without a number.
#[derive(Debug, Clone, Copy)]
struct Tail(Option<usize>);

fn tail(text: &str) -> Result<Tail, &'static str> {
    match text {
        "all" => Ok(Tail(None)),
        text => match text.parse() {
            Ok(lines) => Ok(Tail(Some(lines))),
            Err(_) => Err("write a number of lines, or `all`"),
        },
    }
}

/// Shows lines as they come, until all have come.
pub(super) async fn run(
    arguments: &Arguments,
    project: &OnEngine<'_>,
    screen: Screen,
) -> Result<(), Failure> {
    let listed = project.listed(&arguments.services).await;
    let containers = listed.map_err(|error| failure(&error))?;
    let request = LogRequest {
        tail: arguments.tail.and_then(|tail| tail.0),
        follow: arguments.follow,
        since: None,
        timestamps: arguments.timestamps,
    };
    let prefixes = prefixes(&containers, !arguments.no_log_prefix);
    let streams = containers.iter().zip(prefixes);
    let streams = streams.map(|(container, prefix)| lines(project, container, request, prefix));
    let mut lines = select_all(streams);
    while let Some(line) = lines.next().await {
        let line = line.map_err(|error| failure(&error.into()))?;
        screen.line(line)?;
    }
    Ok(())
}

/// What stands before each container's lines.
pub(super) fn prefixes(containers: &[ContainerSummary], are_wanted: bool) -> Vec<String> {
    let names: Vec<String> = containers.iter().map(short_name).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let prefix = |name: String| match are_wanted {
        true => format!("{name:width$}  | "),
        false => String::new(),
    };
    names.into_iter().map(prefix).collect()
}

/// A container's lines, each with this before it. What is not ended by a line break comes at the end.
pub(super) fn lines(
    project: &OnEngine<'_>,
    container: &ContainerSummary,
    request: LogRequest,
    prefix: String,
) -> BoxStream<'static, Result<String, DockerError>> {
    let chunks = project.engine.logs(&container.id, request);
    let chunks = chunks
        .map(Some)
        .chain(futures_util::stream::once(async { None }));
    let mut lines = Lines::default();
    let whole = chunks.map(move |chunk| {
        let found = match chunk {
            Some(Ok(chunk)) => lines.take(&chunk.bytes),
            Some(Err(error)) => return vec![Err(error)],
            None => lines.rest().into_iter().collect(),
        };
        let line = |line: String| Ok(format!("{prefix}{line}"));
        found.into_iter().map(line).collect()
    });
    whole.flat_map(futures_util::stream::iter).boxed()
}

/// `web-1`: the project is the same for all.
pub(super) fn short_name(container: &ContainerSummary) -> String {
    let label = |name| container.labels.get(name).map(String::as_str);
    match (label(label::SERVICE), label(label::NUMBER)) {
        (Some(service), Some(number)) => format!("{service}-{number}"),
        _ => container.name.to_string(),
    }
}
