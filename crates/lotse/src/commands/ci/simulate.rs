//! `lotse ci simulate`: a pipeline played through by hand.

use std::path::PathBuf;
use std::process::ExitCode;

use ci::Purpose;
use clap::{Args, ValueEnum};
use pipeline::{Simulation, Snapshot, Status, Step};

use super::elsewhere::Elsewhere;
use super::facts::{self, For};
use super::tone;
use crate::output::{Failure, Screen, Tone};

/// Play a pipeline through: statuses after its creation and after each event
///
/// EVENT is one of success, drop, play, retry, run and cancel; `retry` and `cancel` without jobs
/// mean the whole pipeline.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file, or `-` for standard input
    file: PathBuf,
    #[command(flatten)]
    what: For,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// Something that happens (repeatable)
    #[arg(long = "event", value_name = "EVENT:JOB[,JOB]")]
    events: Vec<Step>,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    /// An array: one element for the creation and one for each event
    Json,
}

pub(crate) async fn run(arguments: &Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let compiled = facts::compile(
        &arguments.file,
        &arguments.what,
        Purpose::Create,
        &arguments.elsewhere,
    )
    .await?;
    let Some(graph) = &compiled.graph else {
        return Err(facts::refused(&compiled));
    };
    if graph.is_empty() {
        return Err(
            Failure::user("no job would run: there would be no pipeline")
                .hint("`lotse ci show --jobs` says why; give another --ref, --tag or --source"),
        );
    }
    let mut simulation = Simulation::new(graph);
    let mut snapshots = vec![("created".to_owned(), simulation.snapshot())];
    for step in &arguments.events {
        simulation.step(step).map_err(|error| {
            let after = snapshots.len() - 1;
            Failure::user(format!("event {} ({step})", after + 1)).because(&error)
        })?;
        snapshots.push((step.to_string(), simulation.snapshot()));
    }
    match arguments.format {
        Format::Json => {
            let all: Vec<_> = snapshots.iter().map(|(_, snapshot)| snapshot).collect();
            screen.json(&all)?;
        }
        Format::Text => {
            for (title, snapshot) in &snapshots {
                show(title, snapshot, graph, screen)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(
    title: &str,
    snapshot: &Snapshot,
    graph: &ci::Graph,
    screen: Screen,
) -> Result<(), Failure> {
    let word = |status: Status| screen.paint(tone(status), status.as_str());
    let title = screen.paint(Tone::Strong, title);
    screen.line(format!("{title}: pipeline {}", word(snapshot.pipeline)))?;
    for (at, stage) in graph.stages.iter().enumerate() {
        screen.line(format!("  {stage}: {}", word(snapshot.stages[stage])))?;
        for job in graph.jobs.iter().filter(|job| job.stage == at) {
            screen.line(format!(
                "    {}: {}",
                job.name,
                word(snapshot.jobs[&job.name])
            ))?;
        }
    }
    Ok(())
}
