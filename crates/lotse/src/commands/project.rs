//! `lotse project`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use model::ProjectPath;
use serde_json::json;

use crate::client::{Project, Session, Where, ask_for_text, typed};
use crate::output::{Cell, Failure, Screen, Table, Tone, ago};

/// Repositories with their pipelines and settings
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the projects that you may see
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make an empty project; its groups are made as needed
    ///
    /// A push to an address that does not exist makes a project as well, if you may.
    Create {
        /// Where it is to live, such as group/name
        path: ProjectPath,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a project and its addresses
    Show {
        /// The project [default: as --project]
        path: Option<ProjectPath>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a project with its repository, pipelines and logs
    Delete {
        /// The project
        path: ProjectPath,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Runs `lotse project …`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let session = arguments.place.connect(screen)?;
    match arguments.command {
        Command::List { json } => list(&session, json).await?,
        Command::Create { path, json } => create(&session, &path, json).await?,
        Command::Show { path, json } => show(&session, path, json).await?,
        Command::Delete { path, yes } => delete(&session, &path, yes).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(session: &Session, json: bool) -> Result<(), Failure> {
    let projects = session.client.list(&["projects"], &[], usize::MAX).await?;
    if json {
        return session.screen.json(&projects);
    }
    let mut table = Table::new(["PROJECT", "ID", "PAGE"]);
    for project in &projects {
        let project: Project = typed(&session.client, project)?;
        table.row([
            Cell::new(Tone::Strong, project.path_with_namespace),
            project.id.to_string().into(),
            project.web_url.into(),
        ]);
    }
    session.screen.table(&table)?;
    if projects.is_empty() {
        eprintln!(
            "no project yet; make one with `lotse project create GROUP/NAME`, or push to one"
        );
    }
    Ok(())
}

async fn create(session: &Session, path: &ProjectPath, json: bool) -> Result<(), Failure> {
    let body = json!({ "path_with_namespace": path, "name": path.name(), "path": path.name() });
    let made = session.client.post(&["projects"], &body).await?;
    if json {
        return session.screen.json(&made);
    }
    let project: Project = typed(&session.client, &made)?;
    session
        .screen
        .line(format!("{} was made", project.path_with_namespace))?;
    session.screen.line(format!(
        "next: git remote add lotse {}",
        project.http_url_to_repo
    ))?;
    session.screen.line("      git push lotse main")
}

async fn show(session: &Session, path: Option<ProjectPath>, json: bool) -> Result<(), Failure> {
    let path = path.map_or_else(|| session.project(), Ok)?;
    let found = session
        .client
        .get(&["projects", path.as_str()], &[])
        .await?;
    if json {
        return session.screen.json(&found);
    }
    let project: Project = typed(&session.client, &found)?;
    let branch = project
        .default_branch
        .unwrap_or_else(|| "none yet".to_owned());
    let created = project.created_at.map(|time| ago(&time, Timestamp::now()));
    for (name, value) in [
        ("project", project.path_with_namespace),
        ("id", project.id.to_string()),
        ("page", project.web_url),
        ("git", project.http_url_to_repo),
        ("default branch", branch),
        ("created", created.unwrap_or_default()),
    ] {
        let name = session.screen.paint(Tone::Quiet, &format!("{name:<15}"));
        session.screen.line(format!("{name} {value}"))?;
    }
    Ok(())
}

async fn delete(session: &Session, path: &ProjectPath, yes: bool) -> Result<(), Failure> {
    if !yes {
        let question = format!("this deletes {path} with all its history; type its path to go on");
        if ask_for_text(&question).await?.trim() != path.as_str() {
            return Err(Failure::user(
                "nothing was deleted: that was not the project's path",
            ));
        }
    }
    session.client.delete(&["projects", path.as_str()]).await?;
    session.screen.line(format!("{path} was deleted"))
}
