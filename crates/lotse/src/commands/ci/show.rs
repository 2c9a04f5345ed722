//! `lotse ci show`: the merged configuration, or the jobs that would run.

use std::path::PathBuf;
use std::process::ExitCode;

use ci::{Compiled, Graph, Job, Purpose, When};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::elsewhere::Elsewhere;
use super::facts::{self, For};
use crate::output::{Failure, Screen, Tone};

/// Show the merged configuration, or the jobs that would run
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file, or `-` for standard input
    #[arg(default_value = ".gitlab-ci.yml")]
    file: PathBuf,
    #[command(flatten)]
    what: For,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// Show the jobs that would run, stage by stage, and for each that would not what decided it
    #[arg(long)]
    jobs: bool,
    /// How to show it [default: yaml; with --jobs text]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    Json,
    Text,
}

pub(crate) async fn run(arguments: &Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let purpose = match arguments.jobs {
        true => Purpose::Create,
        false => Purpose::Check,
    };
    let compiled = facts::compile(
        &arguments.file,
        &arguments.what,
        purpose,
        &arguments.elsewhere,
    )
    .await?;
    let Some(graph) = &compiled.graph else {
        return Err(facts::refused(&compiled));
    };
    match (arguments.jobs, arguments.format) {
        (false, Some(Format::Json)) => screen.json(&compiled.merged_json())?,
        (false, _) => screen.write(compiled.merged_yaml().as_bytes())?,
        (true, None | Some(Format::Text)) => text(&compiled, graph, screen)?,
        (true, Some(Format::Json)) => screen.json(&value(&compiled, graph))?,
        // Every JSON text is YAML.
        (true, Some(Format::Yaml)) => screen.json(&value(&compiled, graph))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(compiled: &Compiled, graph: &Graph, screen: Screen) -> Result<(), Failure> {
    if graph.is_empty() {
        screen.line("no job would run: there would be no pipeline")?;
    }
    for (at, stage) in graph.stages.iter().enumerate() {
        screen.line(screen.paint(Tone::Strong, stage))?;
        for job in graph.jobs.iter().filter(|job| job.stage == at) {
            screen.line(format!("  {}{}", job.name, notes(graph, job)))?;
        }
    }
    if !compiled.left_out.is_empty() {
        screen.line(screen.paint(Tone::Strong, "would not run"))?;
    }
    for left in &compiled.left_out {
        let name = match left.job.as_str() {
            "" => "the whole pipeline",
            name => name,
        };
        let place = screen.paint(Tone::Quiet, &left.place.to_string());
        screen.line(format!("  {name}: {}  {place}", left.reason))?;
    }
    Ok(())
}

/// What is not as usual.
fn notes(graph: &Graph, job: &Job) -> String {
    let mut notes = Vec::new();
    if job.when != When::OnSuccess {
        notes.push(format!("when: {}", job.when.as_str()));
    }
    if job.allow_failure != ci::AllowFailure::No {
        notes.push("may fail".to_owned());
    }
    if let Some(needs) = &job.needs {
        let names: Vec<_> = needs
            .iter()
            .map(|need| graph.jobs[need.job].name.as_str())
            .collect();
        notes.push(match names.is_empty() {
            true => "needs nothing".to_owned(),
            false => format!("needs {}", names.join(", ")),
        });
    }
    if !job.tags.is_empty() {
        notes.push(format!("tags {}", job.tags.join(", ")));
    }
    if let Some(environment) = &job.environment {
        notes.push(format!("environment {}", environment.name));
    }
    match notes.is_empty() {
        true => String::new(),
        false => format!("  ({})", notes.join("; ")),
    }
}

fn value(compiled: &Compiled, graph: &Graph) -> Value {
    let left: Vec<_> = compiled
        .left_out
        .iter()
        .map(|left| {
            json!({
                "job": left.job,
                "stage": left.stage,
                "reason": left.reason,
                "file": left.place.file,
                "line": left.place.line,
                "column": left.place.column,
            })
        })
        .collect();
    let stages: Vec<_> = graph
        .stages
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let jobs: Vec<_> = graph.jobs.iter().filter(|job| job.stage == at).collect();
            json!({ "name": name, "jobs": jobs })
        })
        .collect();
    json!({ "name": graph.name, "stages": stages, "left_out": left })
}
