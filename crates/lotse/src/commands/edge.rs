//! `lotse edge …`: a proxy whose targets change under load without a request being lost.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use edge::control::{self, Request};
use edge::route::{HostPattern, Listen, PathPrefix, RouteKey};
use edge::settings::{AccessLog, LogFormat, Network};
use edge::spec::{HealthSpec, Protocol, ProxyVersion, RouteSpec, StatusRange, TargetSpec, TlsSpec};
use edge::{Edge, Event, RouteStatus, Set, Settings, Span, Status};
use serde_json::Value;

/// Own this host's published ports, and send each request to the current targets
#[derive(Debug, Subcommand)]
pub(crate) enum EdgeCommand {
    /// Run the edge in the foreground
    ///
    /// It serves the routes it had when it last ended. SIGTERM and ctrl-c let requests come to
    /// their end first.
    Run(Box<Run>),
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
    ///   lotse edge set 5432 10.0.0.2:5432 --tcp
    ///   lotse edge set --file routes.json
    #[command(verbatim_doc_comment)]
    Set(Box<SetArguments>),
    /// Take a route away, and its port when no other route needs it
    Remove(Remove),
    /// Show the routes and their targets
    List(Show),
    /// Take one target's address out of all routes, without cutting its requests
    Drain(Drain),
    /// Hold requests until `lotse edge resume`
    Pause(Pause),
    /// End a pause or a maintenance
    Resume(Chosen),
    /// Answer requests with a page until `lotse edge resume`
    Maintenance(Maintenance),
    /// Show how the edge is
    Status(Show),
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
pub(crate) struct Run {
    #[command(flatten)]
    folder: Folder,
    /// Take the place of the edge that runs with this folder: its listening sockets come over, its
    /// connections come to their end there, and it stops
    #[arg(long)]
    takeover: bool,
    /// A proxy before this one whose X-Forwarded-* fields are believed (repeatable)
    #[arg(long, value_name = "NETWORK")]
    trust: Vec<Network>,
    /// A proxy before this one whose connections begin with a PROXY header (repeatable)
    #[arg(long, value_name = "NETWORK")]
    proxy_protocol_from: Vec<Network>,
    /// Serve metrics in Prometheus' format at http://ADDRESS:PORT/metrics
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Write a line for each request to this file; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// The form of the access log
    #[arg(long, value_enum, default_value_t = Format::Json)]
    log_format: Format,
    /// How long requests and connections may take to end when the edge is told to stop
    #[arg(long, value_name = "TIME", default_value = "30s")]
    grace: Span,
    /// Connections at the same time; more wait
    #[arg(long, value_name = "N")]
    max_connections: Option<usize>,
    /// Connections from one address at the same time; more are closed
    #[arg(long, value_name = "N")]
    max_connections_per_client: Option<usize>,
    /// How long a client may leave its connection unused [default: 75s]
    #[arg(long, value_name = "TIME")]
    idle: Option<Span>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Combined,
}

#[derive(Debug, Args)]
pub(crate) struct SetArguments {
    #[command(flatten)]
    folder: Folder,
    /// The port to listen on, or an address and a port
    #[arg(required_unless_present = "file", value_name = "LISTEN")]
    listen: Option<Listen>,
    /// Where requests go: ADDRESS:PORT, with a weight ADDRESS:PORT*3
    #[arg(required_unless_present_any = ["file", "redirect_https"], value_name = "TARGET")]
    targets: Vec<TargetSpec>,
    #[command(flatten)]
    names: Names,
    /// Read the whole set from a file, `-` for the standard input: `{"routes": […]}` as
    /// `lotse edge list --json` shows routes; several routes swap in one step
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "targets", "host", "path"])]
    file: Option<PathBuf>,
    /// Pass connections on as they are, whatever they speak
    #[arg(long)]
    tcp: bool,
    /// The path that a healthy target answers [default: it takes connections]
    #[arg(long, value_name = "PATH")]
    health: Option<String>,
    /// The host name that the health check asks for [default: the target's address]
    #[arg(long, value_name = "NAME")]
    health_host: Option<String>,
    /// The statuses of a healthy target
    #[arg(long, value_name = "FROM-TO", default_value = "200-399")]
    health_status: StatusRange,
    /// The time between two checks
    #[arg(long, value_name = "TIME", default_value = "5s")]
    health_interval: Span,
    /// How long one check may take
    #[arg(long, value_name = "TIME", default_value = "3s")]
    health_timeout: Span,
    /// So many good checks in a row make a target healthy
    #[arg(long, value_name = "N", default_value_t = 1)]
    health_rise: u32,
    /// So many bad checks or failed requests in a row make it unhealthy
    #[arg(long, value_name = "N", default_value_t = 3)]
    health_fall: u32,
    /// Speak TLS: the certificate and those that vouch for it, in PEM form; read anew when it
    /// changes
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM form
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Send clients to https on this port in place of answering them; no target is needed
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "443", require_equals = true)]
    redirect_https: Option<u16>,
    /// Tell browsers to come with https only, for so long
    #[arg(long, value_name = "TIME", requires = "certificate")]
    hsts: Option<Span>,
    /// Send a client that came once to the same target again, by a cookie
    #[arg(long)]
    affinity: bool,
    /// Speak HTTP/2 to the targets
    #[arg(long)]
    target_http2: bool,
    /// Tell the targets the client's address with a PROXY header
    #[arg(long, value_name = "VERSION", value_enum)]
    send_proxy: Option<Proxy>,
    /// The largest body of a request, in bytes
    #[arg(long, value_name = "BYTES")]
    max_body: Option<u64>,
    /// How long a target may take until its answer begins
    #[arg(long, value_name = "TIME", default_value = "300s")]
    response_timeout: Span,
    /// The page (HTML) to show while no target is healthy
    #[arg(long, value_name = "FILE")]
    unavailable_page: Option<PathBuf>,
    /// How long the new targets may take to become healthy
    #[arg(long, value_name = "TIME", default_value = "30s")]
    deadline: Span,
    /// How long requests and connections at the old targets may take to end; then they are cut
    #[arg(long, value_name = "TIME", default_value = "30s")]
    grace: Span,
    /// How long the old targets stand by: when the new ones fail within, the old ones serve again
    /// and the command fails
    #[arg(long, value_name = "TIME", default_value = "2s")]
    watch: Span,
    /// Print each step as a line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Proxy {
    V1,
    V2,
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
pub(crate) struct Remove {
    #[command(flatten)]
    folder: Folder,
    /// The port of the route, or its address and port
    listen: Listen,
    #[command(flatten)]
    names: Names,
    /// How long its requests and connections may take to end; then they are cut
    #[arg(long, value_name = "TIME", default_value = "30s")]
    grace: Span,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    folder: Folder,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    folder: Folder,
    /// The target's address and port
    target: SocketAddr,
    /// How long to wait for its requests to end
    #[arg(long, value_name = "TIME", default_value = "30s")]
    grace: Span,
    /// Put it in again
    #[arg(long)]
    undo: bool,
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

#[derive(Debug, Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    chosen: Chosen,
    /// For how long at the most; then requests are answered 503
    #[arg(long, value_name = "TIME", default_value = "30s")]
    limit: Span,
}

#[derive(Debug, Args)]
pub(crate) struct Maintenance {
    #[command(flatten)]
    chosen: Chosen,
    /// The page (HTML) to show [default: a plain one]
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

const PLAIN_PAGE: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Maintenance</title>\n\
    <h1>Maintenance</h1>\n<p>We are working on this site. Please come back soon.</p>\n</html>\n";

pub(crate) async fn run(command: EdgeCommand) -> anyhow::Result<()> {
    match command {
        EdgeCommand::Run(arguments) => serve(*arguments).await,
        EdgeCommand::Set(arguments) => set(*arguments).await,
        EdgeCommand::Remove(arguments) => remove(arguments).await,
        EdgeCommand::List(arguments) => list(&arguments).await,
        EdgeCommand::Drain(arguments) => drain(arguments).await,
        EdgeCommand::Pause(arguments) => pause(arguments).await,
        EdgeCommand::Resume(arguments) => resume(arguments).await,
        EdgeCommand::Maintenance(arguments) => maintenance(arguments).await,
        EdgeCommand::Status(arguments) => status(&arguments).await,
        EdgeCommand::Metrics(folder) => metrics(&folder).await,
    }
}

async fn serve(arguments: Run) -> anyhow::Result<()> {
    let grace = arguments.grace;
    if let Err(error) = edge::raise_file_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let takeover = arguments.takeover;
    let settings = arguments.settings();
    let folder = settings.folder.display().to_string();
    let edge = match takeover {
        true => Edge::take_over(settings).await,
        false => start(settings).await,
    };
    let edge = edge.context("the edge cannot start")?;
    announce(&edge, &folder);
    tokio::select! {
        () = super::stop_signal() => {}
        () = edge.handed_over() => {}
    }
    tracing::info!(%grace, "stopping: open requests may come to their end");
    tokio::select! {
        () = edge.stop(grace.get()) => {}
        () = super::stop_signal() => edge.stop(Duration::ZERO).await,
    }
    Ok(())
}

async fn start(settings: Settings) -> Result<Edge, edge::EdgeError> {
    let edge = Edge::start(settings).await?;
    edge.serve_control()?;
    Ok(edge)
}

fn announce(edge: &Edge, folder: &str) {
    let status = edge.status();
    println!(
        "the edge runs with {} routes of {folder}",
        status.routes.len()
    );
    for route in &status.routes {
        println!("  {}", route.route);
    }
    if status.routes.is_empty() {
        println!("hint: `lotse edge set 80 10.0.0.2:8080` gives it one");
    }
}

async fn set(arguments: SetArguments) -> anyhow::Result<()> {
    let socket = arguments.folder.socket();
    let json = arguments.json;
    let set = arguments.set()?;
    control::ask(&socket, &Request::Set(set), |event| tell(&event, json)).await?;
    Ok(())
}

fn tell(event: &Event, json: bool) {
    if json {
        println!("{}", serde_json::json!(event));
        return;
    }
    match event {
        Event::Checking { targets: 1 } => println!("asking the target for its health"),
        Event::Checking { targets } => println!("asking {targets} targets for their health"),
        Event::Swapped { generation, .. } => {
            println!("swapped (number {generation}): requests go to the new targets");
        }
        Event::Drained { cut: 0 } => println!("drained: the old targets have nothing left to do"),
        Event::Drained { cut } => println!(
            "drained: {cut} requests or connections were cut at the end of the grace period"
        ),
    }
}

async fn remove(arguments: Remove) -> anyhow::Result<()> {
    let request = Request::Remove {
        route: arguments.names.key(arguments.listen),
        grace: arguments.grace,
    };
    let cut = count(&arguments.folder, &request).await?;
    println!("removed; {cut} requests or connections were cut");
    Ok(())
}

async fn drain(arguments: Drain) -> anyhow::Result<()> {
    let request = Request::Drain {
        target: arguments.target,
        grace: arguments.grace,
        undo: arguments.undo,
    };
    let left = count(&arguments.folder, &request).await?;
    if arguments.undo {
        println!("{} gets requests again", arguments.target);
        return Ok(());
    }
    if left > 0 {
        bail!(
            "{} gets no new requests, but {left} are still at work there after {}",
            arguments.target,
            arguments.grace
        );
    }
    println!("{} has nothing left to do", arguments.target);
    Ok(())
}

async fn pause(arguments: Pause) -> anyhow::Result<()> {
    let request = Request::Pause {
        route: arguments.chosen.key()?,
        limit: arguments.limit,
    };
    let routes = count(&arguments.chosen.folder, &request).await?;
    println!(
        "{routes} routes hold their requests for at most {}",
        arguments.limit
    );
    Ok(())
}

async fn resume(arguments: Chosen) -> anyhow::Result<()> {
    let request = Request::Resume {
        route: arguments.key()?,
    };
    let routes = count(&arguments.folder, &request).await?;
    println!("{routes} routes serve");
    Ok(())
}

async fn maintenance(arguments: Maintenance) -> anyhow::Result<()> {
    let page = match &arguments.page {
        Some(path) => fs_err::read_to_string(path)?,
        None => PLAIN_PAGE.to_owned(),
    };
    let request = Request::Maintenance {
        route: arguments.chosen.key()?,
        page,
    };
    let routes = count(&arguments.chosen.folder, &request).await?;
    println!("{routes} routes show the page; `lotse edge resume` ends it");
    Ok(())
}

async fn list(arguments: &Show) -> anyhow::Result<()> {
    let status = ask_status(&arguments.folder).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&status.routes)?);
        return Ok(());
    }
    if status.routes.is_empty() {
        eprintln!("no route: `lotse edge set` adds one");
    }
    status.routes.iter().for_each(show_route);
    Ok(())
}

async fn status(arguments: &Show) -> anyhow::Result<()> {
    let status = ask_status(&arguments.folder).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
        return Ok(());
    }
    println!(
        "lotse edge {}, process {}, {} connections",
        status.version, status.pid, status.connections
    );
    status.routes.iter().for_each(show_route);
    Ok(())
}

fn show_route(route: &RouteStatus) {
    let trial = if route.on_trial { ", on trial" } else { "" };
    println!(
        "{}  {} (number {}{trial})  {} at work, {} requests, {} errors",
        route.route, route.mode, route.generation, route.in_flight, route.requests, route.errors
    );
    for target in &route.targets {
        let health = match (target.drained, target.healthy) {
            (true, _) => "drained",
            (false, true) => "healthy",
            (false, false) => "unhealthy",
        };
        println!(
            "  {:<24} {health:<10} {} at work, {} requests, {} failed",
            target.address, target.in_flight, target.requests, target.failed
        );
    }
}

async fn metrics(folder: &Folder) -> anyhow::Result<()> {
    let metrics = control::ask(&folder.socket(), &Request::Metrics, |_| {}).await?;
    print!("{}", metrics.as_str().unwrap_or_default());
    Ok(())
}

async fn ask_status(folder: &Folder) -> anyhow::Result<Status> {
    let status = control::ask(&folder.socket(), &Request::Status, |_| {}).await?;
    serde_json::from_value(status)
        .context("the edge's answer makes no sense: is it of another version?")
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

impl Run {
    fn settings(self) -> Settings {
        let mut settings = Settings::new(self.folder.folder);
        settings.trusted = self.trust;
        settings.proxy_protocol_from = self.proxy_protocol_from;
        settings.metrics = self.metrics;
        let format = match self.log_format {
            Format::Json => LogFormat::Json,
            Format::Combined => LogFormat::Combined,
        };
        settings.access_log = self.access_log.map(|path| AccessLog { path, format });
        let limits = &mut settings.limits;
        limits.connections = self.max_connections.unwrap_or(limits.connections);
        let per_client = self.max_connections_per_client;
        limits.connections_per_client = per_client.unwrap_or(limits.connections_per_client);
        limits.idle = self.idle.unwrap_or(limits.idle);
        settings
    }
}

impl SetArguments {
    fn set(self) -> anyhow::Result<Set> {
        match &self.file {
            Some(path) => read_set(path),
            None => self.one_route(),
        }
    }

    fn one_route(self) -> anyhow::Result<Set> {
        let Some(listen) = self.listen else {
            bail!("a port to listen on is needed");
        };
        let mut spec = RouteSpec::new(self.names.key(listen), self.targets);
        spec.protocol = if self.tcp {
            Protocol::Tcp
        } else {
            Protocol::Http
        };
        spec.health = HealthSpec {
            path: self.health,
            host: self.health_host,
            status: self.health_status,
            interval: self.health_interval,
            timeout: self.health_timeout,
            rise: self.health_rise,
            fall: self.health_fall,
        };
        // The edge may run in another folder than this command.
        let absolute = |path: PathBuf| std::path::absolute(path);
        spec.tls = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some(TlsSpec {
                certificate: absolute(certificate)?,
                key: absolute(key)?,
            }),
            _ => None,
        };
        spec.redirect_https = self.redirect_https;
        spec.hsts = self.hsts;
        spec.affinity = self.affinity;
        spec.target_http2 = self.target_http2;
        spec.send_proxy = self.send_proxy.map(|version| match version {
            Proxy::V1 => ProxyVersion::V1,
            Proxy::V2 => ProxyVersion::V2,
        });
        spec.max_body = self.max_body;
        spec.response_timeout = self.response_timeout;
        spec.unavailable_page = self
            .unavailable_page
            .map(fs_err::read_to_string)
            .transpose()?;
        Ok(Set {
            routes: vec![spec],
            deadline: self.deadline,
            grace: self.grace,
            watch: self.watch,
        })
    }
}

fn read_set(path: &std::path::Path) -> anyhow::Result<Set> {
    let text = match path.to_str() {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("cannot read the standard input")?;
            text
        }
        _ => fs_err::read_to_string(path)?,
    };
    serde_json::from_str(&text).with_context(|| format!("{} is no set of routes", path.display()))
}
