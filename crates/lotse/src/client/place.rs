//! Which server and which project a command means.

use std::process::Command;

use clap::Args;
use model::{ProjectPath, Secret};

use super::{Client, Configuration, ServerAddress};
use crate::output::{Failure, Screen};

/// Which server a command means.
#[derive(Debug, Args)]
pub(crate) struct AtServer {
    /// The server [default: the one logged in to last]
    #[arg(long, global = true, value_name = "URL", env = "LOTSE_URL")]
    server: Option<ServerAddress>,
}

/// Which server and which project a command means.
#[derive(Debug, Args)]
pub(crate) struct Where {
    #[command(flatten)]
    at: AtServer,
    /// The project, `group/name` [default: from the git remote `lotse` or `origin`]
    #[arg(long, short = 'p', global = true, value_name = "GROUP/NAME")]
    project: Option<ProjectPath>,
}

/// A command's connection and screen.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) screen: Screen,
    project: Option<ProjectPath>,
}

impl AtServer {
    /// Finds the server and the token; the server is not asked yet.
    pub(crate) fn connect(self, screen: Screen) -> Result<Session, Failure> {
        Ok(Session {
            client: self.client()?,
            screen,
            project: None,
        })
    }

    /// The connection alone.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let configuration = Configuration::load()?;
        let server = self.server.clone().or_else(|| configuration.server());
        let server = server.ok_or_else(|| {
            Failure::user("no server is known")
                .hint("log in with `lotse login URL`, or set LOTSE_URL and LOTSE_TOKEN")
        })?;
        let token = token_of_environment().or_else(|| configuration.token(&server));
        Client::new(server, token)
    }
}

impl Where {
    /// As [`AtServer::connect`], with the project that is named.
    pub(crate) fn connect(self, screen: Screen) -> Result<Session, Failure> {
        Ok(Session {
            project: self.project,
            ..self.at.connect(screen)?
        })
    }
}

/// `LOTSE_TOKEN`.
pub(crate) fn token_of_environment() -> Option<Secret> {
    let token = std::env::var("LOTSE_TOKEN").ok();
    token.filter(|token| !token.is_empty()).map(Secret::new)
}

impl Session {
    /// The project that the command is about.
    pub(crate) fn project(&self) -> Result<ProjectPath, Failure> {
        if let Some(project) = &self.project {
            return Ok(project.clone());
        }
        let server = self.client.server();
        let remotes: Vec<_> = ["lotse", "origin"].into_iter().filter_map(remote).collect();
        let found = remotes.iter().find_map(|url| server.project_of_remote(url));
        found.ok_or_else(|| {
            let why = match remotes.len() {
                0 => "this folder has no git remote `lotse` or `origin`".to_owned(),
                _ => format!("no git remote of this folder belongs to {server}"),
            };
            Failure::usage(format!("no project is named, and {why}")).hint(format!(
                "name it with --project GROUP/NAME, or `git remote add lotse {server}/GROUP/NAME.git`"
            ))
        })
    }
}

/// The address of a remote of the work tree that we are in.
fn remote(name: &str) -> Option<String> {
    let output = Command::new("git")
        .args(["remote", "get-url", name])
        .output()
        .ok()?;
    let url = String::from_utf8(output.stdout).ok()?;
    Some(url.trim().to_owned()).filter(|url| output.status.success() && !url.is_empty())
}
