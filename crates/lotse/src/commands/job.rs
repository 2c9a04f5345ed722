//! `lotse job`.

mod artifacts;
mod log;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use model::ProjectPath;
use serde_json::{Value, json};

use crate::client::{Client, Job, JobChoice, Session, Where, find_job, typed};
use crate::output::{Cell, Failure, Screen, Table, Tone, ago, took};

/// Jobs of pipelines, and their logs
///
/// JOB is a job's number, or its name in the latest pipeline.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the latest jobs
    List {
        /// Only those of this pipeline
        #[arg(long, value_name = "ID")]
        pipeline: Option<i64>,
        /// How many
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a job
    Show {
        #[command(flatten)]
        which: Which,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a job's log
    ///
    /// What programs write to move the cursor is left out, colours stay on a terminal.
    Log {
        #[command(flatten)]
        which: Which,
        /// Go on until the job ends, and exit with 1 if it does not succeed
        #[arg(long, short)]
        follow: bool,
        /// Print the log byte for byte
        #[arg(long)]
        raw: bool,
    },
    /// Download what a job has left behind, as a zip archive
    Artifacts {
        #[command(flatten)]
        which: Which,
        /// The file to write; `-` is standard output [default: the archive's own name, here]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Cancel a job that runs or waits
    Cancel {
        #[command(flatten)]
        which: Which,
    },
    /// Run a job again
    Retry {
        #[command(flatten)]
        which: Which,
    },
    /// Start a manual job
    Play {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, Args)]
struct Which {
    /// The job's number, or its name in the latest pipeline
    job: JobChoice,
}

/// A job of a project, in an address.
struct Target<'a> {
    session: &'a Session,
    project: ProjectPath,
    id: String,
}

/// Runs `lotse job …`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let session = arguments.place.connect(screen)?;
    match arguments.command {
        Command::List {
            pipeline,
            limit,
            json,
        } => list(&session, pipeline, limit, json).await?,
        Command::Show { which, json } => show(&Target::find(&session, &which).await?, json).await?,
        Command::Log { which, follow, raw } => {
            let target = Target::find(&session, &which).await?;
            let format = if raw {
                log::Format::Raw
            } else {
                log::Format::Readable
            };
            if follow {
                return log::follow(&target, format).await;
            }
            log::print(&target, format).await?;
        }
        Command::Artifacts { which, output } => {
            artifacts::download(&Target::find(&session, &which).await?, output).await?;
        }
        Command::Cancel { which } => change(&session, &which, "cancel").await?,
        Command::Retry { which } => change(&session, &which, "retry").await?,
        Command::Play { which } => change(&session, &which, "play").await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl<'a> Target<'a> {
    async fn find(session: &'a Session, which: &Which) -> Result<Self, Failure> {
        let project = session.project()?;
        let id = find_job(&session.client, &project, &which.job).await?;
        Ok(Self {
            session,
            project,
            id: id.to_string(),
        })
    }

    fn client(&self) -> &Client {
        &self.session.client
    }

    fn path<const N: usize>(&self, parts: [&'static str; N]) -> Vec<&str> {
        let mut path = vec!["projects", self.project.as_str(), "jobs", &self.id];
        path.extend(parts);
        path
    }

    async fn get(&self) -> Result<Value, Failure> {
        self.client().get(&self.path([]), &[]).await
    }
}

async fn list(
    session: &Session,
    pipeline: Option<i64>,
    limit: usize,
    json: bool,
) -> Result<(), Failure> {
    let project = session.project()?;
    let id = pipeline.map(|id| id.to_string());
    let path = match &id {
        Some(id) => vec!["projects", project.as_str(), "pipelines", id, "jobs"],
        None => vec!["projects", project.as_str(), "jobs"],
    };
    let jobs = session
        .client
        .list(&path, &[("include_bridges", "true".to_owned())], limit)
        .await?;
    if json {
        return session.screen.json(&jobs);
    }
    let now = Timestamp::now();
    let mut table = Table::new([
        "ID", "STATUS", "STAGE", "NAME", "REF", "TOOK", "CREATED", "",
    ]);
    for job in &jobs {
        let job: Job = typed(&session.client, job)?;
        table.row([
            job.id.to_string().into(),
            Cell::new(job.status.tone(), job.status.as_str()),
            job.stage.clone().into(),
            Cell::new(Tone::Strong, &job.name),
            job.git_ref.clone().into(),
            job.duration.map(took).unwrap_or_default().into(),
            ago(&job.created_at, now).into(),
            job.remark().unwrap_or_default().into(),
        ]);
    }
    session.screen.table(&table)
}

async fn show(target: &Target<'_>, json: bool) -> Result<(), Failure> {
    let found = target.get().await?;
    let screen = target.session.screen;
    if json {
        return screen.json(&found);
    }
    let job: Job = typed(target.client(), &found)?;
    let pipeline = job
        .pipeline
        .as_ref()
        .map(|pipeline| pipeline.id.to_string());
    let remark = job.remark();
    for (name, value) in [
        ("job", Some(format!("{} ({})", job.id, job.name))),
        (
            "status",
            Some(screen.paint(job.status.tone(), job.status.as_str())),
        ),
        ("because", remark),
        ("stage", Some(job.stage)),
        ("pipeline", pipeline),
        ("ref", Some(job.git_ref)),
        ("tags", Some(job.tag_list.join(", "))),
        ("created", Some(ago(&job.created_at, Timestamp::now()))),
        ("took", job.duration.map(took)),
        ("page", Some(job.web_url)),
    ] {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            continue;
        };
        let name = screen.paint(Tone::Quiet, &format!("{name:<9}"));
        screen.line(format!("{name} {value}"))?;
    }
    Ok(())
}

async fn change(session: &Session, which: &Which, verb: &'static str) -> Result<(), Failure> {
    let target = Target::find(session, which).await?;
    let changed = target
        .client()
        .post(&target.path([verb]), &json!({}))
        .await?;
    let job: Job = typed(&session.client, &changed)?;
    let status = session.screen.paint(job.status.tone(), job.status.as_str());
    session
        .screen
        .line(format!("job {} ({}) is {status}", job.id, job.name))?;
    session.screen.line(job.web_url)
}
