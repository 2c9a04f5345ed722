//! `lotse project`.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
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
    /// Change a project's settings
    Set {
        /// The project [default: as --project]
        path: Option<ProjectPath>,
        /// Whether a newer pipeline of a branch cancels older ones of it
        #[arg(long, value_name = "WHETHER")]
        auto_cancel: Switch,
    },
    /// List the resource groups, or set in which order the jobs of one take turns
    ResourceGroup {
        /// The group
        #[arg(requires = "mode")]
        key: Option<String>,
        /// The order
        #[arg(long, value_enum, requires = "key")]
        mode: Option<Mode>,
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

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Switch {
    Enabled,
    Disabled,
}

/// In which order jobs of a resource group take turns.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Mode {
    /// As they are ready
    Unordered,
    /// The oldest pipeline first, even if it is not ready yet
    OldestFirst,
    /// The newest pipeline first, even if it is not ready yet
    NewestFirst,
    /// The newest of those that are ready
    NewestReadyFirst,
}

/// Runs `lotse project …`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let session = arguments.place.connect(screen)?;
    match arguments.command {
        Command::List { json } => list(&session, json).await?,
        Command::Create { path, json } => create(&session, &path, json).await?,
        Command::Show { path, json } => show(&session, path, json).await?,
        Command::Set { path, auto_cancel } => set(&session, path, auto_cancel).await?,
        Command::ResourceGroup { key, mode, json } => match key.zip(mode) {
            Some((key, mode)) => set_mode(&session, &key, mode, json).await?,
            None => resource_groups(&session, json).await?,
        },
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
        (
            "auto-cancel",
            project.auto_cancel_pending_pipelines.unwrap_or_default(),
        ),
        ("created", created.unwrap_or_default()),
    ] {
        let name = session.screen.paint(Tone::Quiet, &format!("{name:<15}"));
        session.screen.line(format!("{name} {value}"))?;
    }
    Ok(())
}

async fn set(
    session: &Session,
    path: Option<ProjectPath>,
    auto_cancel: Switch,
) -> Result<(), Failure> {
    let path = path.map_or_else(|| session.project(), Ok)?;
    let word = match auto_cancel {
        Switch::Enabled => "enabled",
        Switch::Disabled => "disabled",
    };
    let body = json!({ "auto_cancel_pending_pipelines": word });
    let address = ["projects", path.as_str()];
    if session.client.put(&address, &body).await?.is_none() {
        let failure = Failure::user(format!("there is no project {path}"));
        return Err(failure.hint("check the name; you may also lack access"));
    }
    session
        .screen
        .line(format!("{path}: auto-cancel is {word}"))
}

async fn resource_groups(session: &Session, json: bool) -> Result<(), Failure> {
    let project = session.project()?;
    let path = ["projects", project.as_str(), "resource_groups"];
    let groups = session.client.list(&path, &[], usize::MAX).await?;
    if json {
        return session.screen.json(&groups);
    }
    let mut table = Table::new(["GROUP", "ORDER"]);
    for group in &groups {
        let text = |name: &str| group[name].as_str().unwrap_or_default().to_owned();
        table.row([
            Cell::new(Tone::Strong, text("key")),
            text("process_mode").into(),
        ]);
    }
    session.screen.table(&table)?;
    if groups.is_empty() {
        eprintln!("no resource group yet; a job makes one by `resource_group` in .gitlab-ci.yml");
    }
    Ok(())
}

async fn set_mode(session: &Session, key: &str, mode: Mode, json: bool) -> Result<(), Failure> {
    let project = session.project()?;
    let word = mode
        .to_possible_value()
        .map(|value| value.get_name().to_owned());
    let word = word.unwrap_or_default();
    let path = ["projects", project.as_str(), "resource_groups", key];
    let body = json!({ "process_mode": word });
    let Some(changed) = session.client.put(&path, &body).await? else {
        let failure = Failure::user(format!("{project} has no resource group `{key}`"));
        return Err(failure.hint(
            "`lotse project resource-group` lists them; a pipeline with such a job makes one",
        ));
    };
    match json {
        true => session.screen.json(&changed),
        false => session.screen.line(format!("{key}: {word}")),
    }
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
