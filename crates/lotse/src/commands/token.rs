//! `lotse token`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;

use crate::client::{AtServer, Session, Token, find_user, typed};
use crate::output::{Cell, Failure, Screen, Table, Tone, ago};

/// Tokens, with which you and your programs log in
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: AtServer,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token and print it; it cannot be shown again
    Create {
        /// What it is for
        name: String,
        /// What it may do (repeatable)
        #[arg(long = "scope", value_name = "SCOPE", default_value = "api")]
        scopes: Vec<String>,
        /// The day, YYYY-MM-DD, at whose beginning in UTC it ends to work [default: it does not expire]
        #[arg(long, value_name = "DATE")]
        expires: Option<Date>,
        /// For this user instead of you; for administrators
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a runner on the server and print its token, with which `lotse runner run` takes jobs
    Runner {
        /// What people call it
        name: String,
        /// Jobs with these tags are for it
        #[arg(long, value_delimiter = ',', value_name = "TAG,…")]
        tags: Vec<String>,
        /// Also take jobs without tags; a runner without tags does anyway
        #[arg(long)]
        run_untagged: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List your tokens, without their texts
    List {
        /// This user's instead of yours; for administrators
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a token useless: yours, or as an administrator anybody's
    Revoke {
        /// Its number, as `lotse token list` shows it
        id: i64,
    },
}

/// Runs `lotse token …`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let session = arguments.place.connect(screen)?;
    match arguments.command {
        Command::Create {
            name,
            scopes,
            expires,
            user,
            json,
        } => {
            let mut wanted = json!({ "name": name, "scopes": scopes, "expires_at": expires });
            if let Some(user) = user {
                wanted["username"] = user.into();
            }
            create(&session, &["user", "personal_access_tokens"], &wanted, json).await?;
        }
        Command::Runner {
            name,
            tags,
            run_untagged,
            json,
        } => {
            let wanted = json!({
                "runner_type": "instance_type",
                "description": name,
                "run_untagged": run_untagged || tags.is_empty(),
                "tag_list": tags,
            });
            create(&session, &["user", "runners"], &wanted, json).await?;
        }
        Command::List { user, json } => list(&session, user, json).await?,
        Command::Revoke { id } => revoke(&session, id).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Only the token goes to standard output, so that a script can take it.
async fn create(
    session: &Session,
    path: &[&str],
    wanted: &serde_json::Value,
    json: bool,
) -> Result<(), Failure> {
    let made = session.client.post(path, wanted).await?;
    if json {
        return session.screen.json(&made);
    }
    let text = made["token"].as_str();
    let text = text.ok_or_else(|| session.client.not_understood())?;
    eprintln!("keep it well: it cannot be shown again");
    session.screen.line(text)
}

async fn list(session: &Session, user: Option<String>, json: bool) -> Result<(), Failure> {
    let path = ["personal_access_tokens"];
    let mut query = Vec::new();
    if let Some(user) = user {
        let id = find_user(&session.client, &user).await?;
        query.push(("user_id", id.to_string()));
    }
    let tokens = session.client.list(&path, &query, usize::MAX).await?;
    if json {
        return session.screen.json(&tokens);
    }
    let now = Timestamp::now();
    let when = |time: Option<String>| time.map_or_else(|| "never".to_owned(), |t| ago(&t, now));
    let mut table = Table::new(["ID", "NAME", "SCOPES", "CREATED", "EXPIRES"]);
    for token in &tokens {
        let token: Token = typed(&session.client, token)?;
        let expires = token.expires_at.unwrap_or_else(|| "never".to_owned());
        let tone = match token.active {
            Some(false) => Tone::Quiet,
            _ => Tone::Plain,
        };
        table.row([
            token.id.to_string().into(),
            Cell::new(tone, token.name),
            token.scopes.join(",").into(),
            when(token.created_at).into(),
            expires.into(),
        ]);
    }
    session.screen.table(&table)
}

async fn revoke(session: &Session, id: i64) -> Result<(), Failure> {
    let text = id.to_string();
    session
        .client
        .delete(&["personal_access_tokens", &text])
        .await?;
    session.screen.line(format!("token {id} was revoked"))
}
