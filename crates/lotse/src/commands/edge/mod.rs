//! `lotse edge …`: a proxy whose targets change under load without a request being lost.

mod down;
mod run;
mod set;
mod up;

mod drain;
mod pause;
mod remove;
mod show;

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::bail;
use apply::reach::ReachError;
use clap::{Args, Subcommand};
use deploy::HostName;
use docker::{Engine, Name};
use edge::Settings;
use edge::control::{self, Request};
use edge::route::{HostPattern, Listen, PathPrefix, RouteKey};
use serde_json::Value;

use crate::hosts;

/// Own this host's published ports, and send each request to the current targets
#[derive(Debug, Subcommand)]
pub(crate) enum EdgeCommand {
    /// Run the edge in the foreground
    ///
    /// It serves the routes it had when it last ended. SIGTERM and ctrl-c let requests come to
    /// their end first.
    Run(Box<run::Run>),
    /// Put the edge on a host, into a container made from this program, or update it there
    ///
    /// The host needs nothing but Docker. An edge that runs there hands its sockets over: no
    /// connection is lost. Options of `lotse edge run` follow behind `--`; without them those of
    /// the edge that runs stay. Commands reach it through the container:
    /// `docker exec lotse-edge lotse edge status`.
    ///
    /// Examples:
    ///   lotse edge up
    ///   lotse edge up --host ssh://deploy@web-01 -- --trust 10.0.0.0/8
    ///   lotse edge up --share /etc/letsencrypt
    #[command(verbatim_doc_comment)]
    Up(up::Up),
    /// Take the edge's container off a host; its routes stay in its volume
    Down(down::Down),
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

/// A host's engine, and the edge's container there.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The host: unix:///PATH, tcp://HOST:PORT or ssh://[USER@]HOST[:PORT][/PATH]
    #[arg(long, value_name = "HOST", env = "DOCKER_HOST", default_value = "unix:///var/run/docker.sock",
        value_parser = hosts::address)]
    host: HostName,
    /// The folder with ca.pem, cert.pem and key.pem for a host that is reached by TCP
    #[arg(long, value_name = "FOLDER", env = "DOCKER_CERT_PATH")]
    certificates: Option<PathBuf>,
    /// The name of the container, and of the volume with its routes
    #[arg(long, value_name = "NAME", default_value = "lotse-edge")]
    name: Name,
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

/// Says how far a change has come. Whoever listened may be gone; the change goes on all the same.
fn say(progress: impl fmt::Display) {
    let _ = writeln!(io::stdout(), "{progress}");
}

pub(crate) async fn run(command: EdgeCommand) -> anyhow::Result<()> {
    match command {
        EdgeCommand::Run(arguments) => run::serve(*arguments).await,
        EdgeCommand::Up(arguments) => up::up(arguments).await,
        EdgeCommand::Down(arguments) => down::down(arguments).await,
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

impl Place {
    async fn engine(&self) -> Result<Engine, ReachError> {
        let reach = hosts::reach(self.certificates.as_deref());
        reach.connect(&self.host).await
    }
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
