//! `lotse pipeline`.

mod show;
mod watch;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use model::ProjectPath;
use serde_json::{Value, json};

use crate::client::{Client, Pipeline, Project, Session, Where, find_pipeline, typed};
use crate::output::{Cell, Failure, Screen, Table, ago, took};

/// Pipelines: what a push has started
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the latest pipelines
    List {
        /// How many
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a pipeline with its jobs, what they wait for and why they failed
    Show {
        #[command(flatten)]
        which: Which,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Follow a pipeline to its end; exit with 1 if it does not succeed
    Watch {
        #[command(flatten)]
        which: Which,
    },
    /// Start a pipeline
    Run {
        /// The branch or tag [default: the project's default branch]
        #[arg(value_name = "REF")]
        git_ref: Option<String>,
        /// A variable for its jobs (repeatable)
        #[arg(long = "variable", short = 'v', value_name = "KEY=VALUE", value_parser = key_and_value)]
        variables: Vec<(String, String)>,
        /// Follow it to its end
        #[arg(long, short)]
        watch: bool,
        /// Print JSON
        #[arg(long, conflicts_with = "watch")]
        json: bool,
    },
    /// Cancel what is running or waiting in a pipeline
    Cancel {
        #[command(flatten)]
        which: Which,
    },
    /// Run the failed and canceled jobs of a pipeline again
    Retry {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, Args)]
struct Which {
    /// The pipeline's number [default: the latest]
    id: Option<i64>,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A pipeline of a project, in an address.
struct Target<'a> {
    session: &'a Session,
    project: ProjectPath,
    id: String,
}

/// Runs `lotse pipeline …`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let session = arguments.place.connect(screen)?;
    let done = ExitCode::SUCCESS;
    match arguments.command {
        Command::List { limit, json } => list(&session, limit, json).await.map(|()| done),
        Command::Show { which, json } => {
            let target = Target::find(&session, &which).await?;
            show::show(&target, json).await.map(|()| done)
        }
        Command::Watch { which } => watch::watch(&Target::find(&session, &which).await?).await,
        Command::Run {
            git_ref,
            variables,
            watch: false,
            json,
        } => {
            let made = start(&session, git_ref, variables).await?;
            print(&session, &made, json).map(|()| done)
        }
        Command::Run {
            git_ref, variables, ..
        } => {
            let made = start(&session, git_ref, variables).await?;
            let made: Pipeline = typed(&session.client, &made)?;
            let which = Which { id: Some(made.id) };
            watch::watch(&Target::find(&session, &which).await?).await
        }
        Command::Cancel { which } => change(&session, &which, "cancel").await.map(|()| done),
        Command::Retry { which } => change(&session, &which, "retry").await.map(|()| done),
    }
}

impl<'a> Target<'a> {
    async fn find(session: &'a Session, which: &Which) -> Result<Self, Failure> {
        let project = session.project()?;
        let id = find_pipeline(&session.client, &project, which.id).await?;
        Ok(Self {
            session,
            project,
            id: id.to_string(),
        })
    }

    fn client(&self) -> &Client {
        &self.session.client
    }

    fn path(&self) -> [&str; 4] {
        ["projects", self.project.as_str(), "pipelines", &self.id]
    }

    fn part<'b>(&'b self, part: &'b str) -> [&'b str; 5] {
        [
            "projects",
            self.project.as_str(),
            "pipelines",
            &self.id,
            part,
        ]
    }
}

async fn list(session: &Session, limit: usize, json: bool) -> Result<(), Failure> {
    let project = session.project()?;
    let path = ["projects", project.as_str(), "pipelines"];
    let pipelines = session.client.list(&path, &[], limit).await?;
    if json {
        return session.screen.json(&pipelines);
    }
    let now = Timestamp::now();
    let mut table = Table::new(["ID", "STATUS", "REF", "COMMIT", "SOURCE", "TOOK", "CREATED"]);
    for pipeline in &pipelines {
        let pipeline: Pipeline = typed(&session.client, pipeline)?;
        table.row([
            pipeline.id.to_string().into(),
            Cell::new(pipeline.status.tone(), pipeline.status.as_str()),
            pipeline.git_ref.clone().into(),
            pipeline.short_sha().into(),
            pipeline.source.clone().into(),
            pipeline.duration.map(took).unwrap_or_default().into(),
            ago(&pipeline.created_at, now).into(),
        ]);
    }
    session.screen.table(&table)
}

async fn start(
    session: &Session,
    git_ref: Option<String>,
    variables: Vec<(String, String)>,
) -> Result<Value, Failure> {
    let project = session.project()?;
    let git_ref = match git_ref {
        Some(git_ref) => git_ref,
        None => default_branch(session, &project).await?,
    };
    let variables: Vec<_> = variables
        .into_iter()
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect();
    let path = ["projects", project.as_str(), "pipeline"];
    let body = json!({ "ref": git_ref, "variables": variables });
    session.client.post(&path, &body).await
}

async fn default_branch(session: &Session, project: &ProjectPath) -> Result<String, Failure> {
    let path = ["projects", project.as_str()];
    let found: Project = typed(&session.client, &session.client.get(&path, &[]).await?)?;
    found.default_branch.ok_or_else(|| {
        Failure::user(format!("{project} has no branch yet"))
            .hint("push one: `git push lotse main`")
    })
}

async fn change(session: &Session, which: &Which, verb: &str) -> Result<(), Failure> {
    let target = Target::find(session, which).await?;
    let changed = session.client.post(&target.part(verb), &json!({})).await?;
    print(session, &changed, false)
}

fn print(session: &Session, pipeline: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return session.screen.json(pipeline);
    }
    let pipeline: Pipeline = typed(&session.client, pipeline)?;
    let status = session
        .screen
        .paint(pipeline.status.tone(), pipeline.status.as_str());
    session
        .screen
        .line(format!("pipeline {} is {status}", pipeline.id))?;
    session.screen.line(pipeline.web_url)
}
