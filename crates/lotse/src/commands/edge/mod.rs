//! `lotse edge …`: a proxy whose targets change under load without a request being lost.

mod run;
mod set;

mod drain;
mod pause;
mod remove;
mod show;

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use edge::Settings;
use edge::control::{self, Request};
use edge::route::{HostPattern, Listen, PathPrefix, RouteKey};
use serde_json::Value;

/// Own this host's published ports, and send each request to the current targets
#[derive(Debug, Subcommand)]
pub(crate) enum EdgeCommand {
    /// Run the edge in the foreground
    ///
    /// It serves the routes it had when it last ended. SIGTERM and ctrl-c let requests come to
    /// their end first.
    Run(Box<run::Run>),
    /// Give a route its targets, or new ones in place of those it has
    ///
    /// The new targets are asked for their health first; when one is not healthy in time, nothing
    /// changes and the command fails with the reason. Then they get every new request, in one
    /// step, while requests at work come to their end at the old ones. The command returns when the
    /// old targets have nothing left to do and may be stopped.
    ///
    /// Examples:
    ///   lotse edge set 80 10.0.0.2:8080 --health /ping
    ///   lotse edge set 80 10.0.0.2:8080*3 10.0.0.3:8080 --host '*.example.org' --path /api
    ///   lotse edge set 443 10.0.0.2:8080 --host www.example.org --acme
    ///   lotse edge set 5432 10.0.0.2:5432 --tcp
    ///   lotse edge set --file routes.json
    #[command(verbatim_doc_comment)]
    Set(Box<set::SetArguments>),
    /// Take a route away, and its port when no other route needs it
    Remove(remove::Remove),
    /// Show the routes and their targets
    List(show::Show),
    /// Take one target's address out of all routes, without cutting its requests
    Drain(drain::Drain),
    /// Hold requests until `lotse edge resume`
    Pause(pause::Pause),
    /// End a pause or a maintenance
    Resume(Chosen),
    /// Answer requests with a page until `lotse edge resume`
    Maintenance(pause::Maintenance),
    /// Show how the edge is
    Status(show::Show),
    /// Print the counters in Prometheus' text format
    Metrics(Folder),
}

#[derive(Debug, Args)]
pub(crate) struct Folder {
    /// The folder that holds the edge's state and its socket
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "/var/lib/lotse/edge",
        env = "LOTSE_EDGE"
    )]
    folder: PathBuf,
}

#[derive(Debug, Args)]
struct Names {
    /// Only requests for this host name; `*.example.org` for all below a domain
    #[arg(long, value_name = "NAME")]
    host: Option<HostPattern>,
    /// Only requests at or below this path
    #[arg(long, value_name = "PATH")]
    path: Option<PathPrefix>,
}

#[derive(Debug, Args)]
pub(crate) struct Chosen {
    #[command(flatten)]
    folder: Folder,
    /// The port of the route, or its address and port [default: all routes]
    listen: Option<Listen>,
    #[command(flatten)]
    names: Names,
}

pub(crate) async fn run(command: EdgeCommand) -> anyhow::Result<()> {
    match command {
        EdgeCommand::Run(arguments) => run::serve(*arguments).await,
        EdgeCommand::Set(arguments) => set::set(*arguments).await,
        EdgeCommand::Remove(arguments) => remove::remove(arguments).await,
        EdgeCommand::List(arguments) => show::list(&arguments).await,
        EdgeCommand::Drain(arguments) => drain::drain(arguments).await,
        EdgeCommand::Pause(arguments) => pause::pause(arguments).await,
        EdgeCommand::Resume(arguments) => pause::resume(arguments).await,
        EdgeCommand::Maintenance(arguments) => pause::maintenance(arguments).await,
        EdgeCommand::Status(arguments) => show::status(&arguments).await,
        EdgeCommand::Metrics(folder) => show::metrics(&folder).await,
    }
}

async fn count(folder: &Folder, request: &Request) -> anyhow::Result<u64> {
    let counted: Value = control::ask(&folder.socket(), request, |_| {}).await?;
    Ok(counted.as_u64().unwrap_or(0))
}

impl Folder {
    fn socket(&self) -> PathBuf {
        Settings::new(&self.folder).socket()
    }
}

impl Names {
    fn key(self, listen: Listen) -> RouteKey {
        RouteKey {
            listen,
            host: self.host.unwrap_or_default(),
            path: self.path.unwrap_or_default(),
        }
    }
}

impl Chosen {
    fn key(&self) -> anyhow::Result<Option<RouteKey>> {
        let names = Names {
            host: self.names.host.clone(),
            path: self.names.path.clone(),
        };
        match self.listen {
            Some(listen) => Ok(Some(names.key(listen))),
            None if names.host.is_some() || names.path.is_some() => {
                bail!("--host and --path need the route's port as well")
            }
            None => Ok(None),
        }
    }
}
