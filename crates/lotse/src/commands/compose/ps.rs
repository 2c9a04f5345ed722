//! `lotse compose ps`: the project's containers.

use ::compose::project::ServiceName;
use apply::project::{OnEngine, label};
use clap::{Args, ValueEnum};
use docker::container::ContainerSummary;
use serde_json::{Value, json};

use super::failure;
use crate::output::{Failure, Screen, Table, Tone};

/// List the project's containers
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only these services [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Print the names of the services only
    #[arg(long = "services", conflicts_with = "quiet")]
    services_only: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

pub(super) async fn run(
    arguments: &Arguments,
    project: &OnEngine<'_>,
    screen: Screen,
) -> Result<(), Failure> {
    let listed = project.listed(&arguments.services).await;
    let mut containers = listed.map_err(|error| failure(&error))?;
    containers.retain(|container| arguments.all || container.state == "running");
    if arguments.quiet {
        return lines(containers.iter().map(|found| found.id.to_string()), screen);
    }
    if arguments.services_only {
        let mut services: Vec<_> = containers
            .iter()
            .map(|found| service(found).to_owned())
            .collect();
        services.dedup();
        return lines(services.into_iter(), screen);
    }
    match arguments.format {
        Format::Json => screen.json(&containers.iter().map(as_json).collect::<Vec<_>>()),
        Format::Table => table(&containers, screen),
    }
}

fn lines(lines: impl Iterator<Item = String>, screen: Screen) -> Result<(), Failure> {
    let mut lines = lines;
    lines.try_for_each(|line| screen.line(line))
}

fn table(containers: &[ContainerSummary], screen: Screen) -> Result<(), Failure> {
    let mut table = Table::new(["NAME", "SERVICE", "IMAGE", "STATUS", "PORTS"]);
    for container in containers {
        let tone = match container.state.as_str() {
            "running" => Tone::Good,
            _ => Tone::Quiet,
        };
        table.row([
            container.name.to_string().into(),
            service(container).into(),
            container.image_name.clone().into(),
            crate::output::Cell::new(tone, container.status.clone()),
            ports(container).join(", ").into(),
        ]);
    }
    screen.table(&table)
}

fn as_json(container: &ContainerSummary) -> Value {
    json!({
        "id": container.id.as_str(),
        "name": container.name.as_str(),
        "service": service(container),
        "image": container.image_name,
        "state": container.state,
        "status": container.status,
        "ports": ports(container),
    })
}

fn service(container: &ContainerSummary) -> &str {
    container
        .labels
        .get(label::SERVICE)
        .map_or("", String::as_str)
}

fn ports(container: &ContainerSummary) -> Vec<String> {
    container.ports.iter().map(ToString::to_string).collect()
}
