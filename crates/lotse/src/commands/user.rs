//! `lotse user`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::client::{AtServer, Session, User, ask_for_text, find_user, typed};
use crate::output::{Cell, Failure, Screen, Table, Tone};

/// Users of the server; for administrators
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: AtServer,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the users
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a user and print the first token; it cannot be shown again
    ///
    /// There are no passwords: with the token a user logs in to the pages, `lotse login`, git and
    /// docker. Further ones are made with `lotse token create`. What a user may do says `lotse member`.
    Add {
        /// 1 to 64 letters, digits, `_`, `-` and `.`
        name: String,
        /// May do everything everywhere, and make users
        #[arg(long)]
        admin: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a user with all tokens and rights; what the user has pushed and started stays
    Remove {
        /// The user
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Runs `lotse user …`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let session = arguments.place.connect(screen)?;
    match arguments.command {
        Command::List { json } => list(&session, json).await?,
        Command::Add { name, admin, json } => add(&session, &name, admin, json).await?,
        Command::Remove { name, yes } => remove(&session, &name, yes).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(session: &Session, json: bool) -> Result<(), Failure> {
    let users = session.client.list(&["users"], &[], usize::MAX).await?;
    if json {
        return session.screen.json(&users);
    }
    let mut table = Table::new(["USER", "ID", "ROLE"]);
    for user in &users {
        let user: User = typed(&session.client, user)?;
        let role = if user.is_admin { "administrator" } else { "" };
        table.row([
            Cell::new(Tone::Strong, user.username),
            user.id.to_string().into(),
            role.into(),
        ]);
    }
    session.screen.table(&table)
}

/// Only the token goes to standard output, so that a script can take it.
async fn add(session: &Session, name: &str, admin: bool, json: bool) -> Result<(), Failure> {
    let wanted = json!({ "username": name, "admin": admin });
    let made = session.client.post(&["users"], &wanted).await?;
    if json {
        return session.screen.json(&made);
    }
    let text = made["token"].as_str();
    let text = text.ok_or_else(|| session.client.not_understood())?;
    let server = session.client.server();
    eprintln!("{name} was made and logs in with this token (`lotse login {server}`)");
    eprintln!("keep it well: it cannot be shown again");
    if !admin {
        eprintln!("next: lotse member set {name} ROLE --group GROUP, or --project GROUP/NAME");
    }
    session.screen.line(text)
}

async fn remove(session: &Session, name: &str, yes: bool) -> Result<(), Failure> {
    if !yes {
        let question =
            format!("this removes {name} with all tokens and rights; type the name to go on");
        if ask_for_text(&question).await?.trim() != name {
            return Err(Failure::user(
                "nobody was removed: that was not the user's name",
            ));
        }
    }
    let id = find_user(&session.client, name).await?.to_string();
    session.client.delete(&["users", &id]).await?;
    session.screen.line(format!("{name} was removed"))
}
