//! `lotse member`.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use model::GroupPath;
use serde_json::json;

use crate::client::{Member, Session, Where, typed};
use crate::output::{Cell, Failure, Screen, Table, Tone};

/// Who may do what with a project, or with a group and all its projects
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Where,
    /// The members of this group instead of a project's
    #[arg(
        long,
        short,
        global = true,
        value_name = "GROUP",
        conflicts_with = "project"
    )]
    group: Option<GroupPath>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the members, those of the groups around it too
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a user a role, or another one
    Set {
        /// The user
        user: String,
        /// What the user may do
        role: Role,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take the role away that a user has by exactly this project or group
    Remove {
        /// The user
        user: String,
    },
}

/// GitLab's roles.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// Look, clone, pull images
    Reporter,
    /// Also push, run, cancel and retry
    Developer,
    /// Also see and change variables and members, make and delete projects
    Maintainer,
}

/// Whose members.
struct Owner {
    kind: &'static str,
    path: String,
}

/// Runs `lotse member …`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let session = arguments.place.connect(screen)?;
    let owner = match arguments.group {
        Some(group) => Owner {
            kind: "groups",
            path: group.to_string(),
        },
        None => Owner {
            kind: "projects",
            path: session.project()?.to_string(),
        },
    };
    match arguments.command {
        Command::List { json } => list(&session, &owner, json).await?,
        Command::Set { user, role, json } => set(&session, &owner, &user, role, json).await?,
        Command::Remove { user } => remove(&session, &owner, &user).await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Role {
    /// GitLab's number.
    fn level(self) -> i64 {
        match self {
            Self::Reporter => 20,
            Self::Developer => 30,
            Self::Maintainer => 40,
        }
    }

    /// What a level amounts to on a Lotse server.
    fn word(level: i64) -> &'static str {
        match level {
            40.. => "maintainer",
            30.. => "developer",
            20.. => "reporter",
            _ => "none",
        }
    }
}

async fn list(session: &Session, owner: &Owner, json: bool) -> Result<(), Failure> {
    let path = [owner.kind, &owner.path, "members", "all"];
    let members = session.client.list(&path, &[], usize::MAX).await?;
    if json {
        return session.screen.json(&members);
    }
    let mut table = Table::new(["USER", "ROLE", "BY"]);
    for member in &members {
        let member: Member = typed(&session.client, member)?;
        table.row([
            Cell::new(Tone::Strong, member.username),
            Role::word(member.access_level).into(),
            member.path.into(),
        ]);
    }
    session.screen.table(&table)?;
    if members.is_empty() {
        eprintln!(
            "no member yet, so administrators alone may see {}",
            owner.path
        );
    }
    Ok(())
}

async fn set(
    session: &Session,
    owner: &Owner,
    user: &str,
    role: Role,
    json: bool,
) -> Result<(), Failure> {
    let level = role.level();
    let wanted = json!({ "username": user, "access_level": level });
    let path = [owner.kind, &owner.path, "members"];
    let made = session.client.post(&path, &wanted).await?;
    if json {
        return session.screen.json(&made);
    }
    let (role, path) = (Role::word(level), &owner.path);
    session.screen.line(format!("{user} is {role} of {path}"))
}

async fn remove(session: &Session, owner: &Owner, user: &str) -> Result<(), Failure> {
    let path = [owner.kind, &owner.path, "members"];
    let members = session.client.list(&path, &[], usize::MAX).await?;
    for member in &members {
        let member: Member = typed(&session.client, member)?;
        if member.username == user {
            let id = member.id.to_string();
            let path = [owner.kind, &owner.path, "members", &id];
            session.client.delete(&path).await?;
            let line = format!("{user} is no member of {} any more", owner.path);
            return session.screen.line(line);
        }
    }
    let failure = Failure::user(format!("{user} is no member of {} itself", owner.path));
    Err(failure.hint("`lotse member list` says by which group a user is one"))
}
