//! `lotse edge run`: the edge in the foreground.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use apply::edge::READY;
use clap::{Args, ValueEnum};
use edge::settings::{AccessLog, LogFormat, Network};
use edge::{Edge, Settings, Span};

use super::Folder;

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    folder: Folder,
    /// Take the place of the edge that runs with this folder: its listening sockets come over, its
    /// connections come to their end there, and it stops
    #[arg(long)]
    takeover: bool,
    #[command(flatten)]
    options: RunOptions,
}

/// What `lotse edge up` passes on into the container.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
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
    /// The directory of the CA (ACME server) that certificates are ordered from [default: Let's
    /// Encrypt]
    #[arg(long, value_name = "URL")]
    acme_directory: Option<String>,
    /// A mail address that the CA may write to
    #[arg(long, value_name = "ADDRESS")]
    acme_email: Option<String>,
    /// The certificates (PEM) that the CA's server is known by [default: those the system trusts]
    #[arg(long, value_name = "FILE")]
    acme_root: Option<PathBuf>,
    /// Agree to the CA's terms of service; without, no certificate is ordered
    #[arg(long)]
    acme_agree_terms: bool,
    /// How long requests and connections may take to end when the edge is told to stop
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(crate) grace: Span,
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

pub(crate) async fn serve(arguments: Run) -> anyhow::Result<()> {
    let grace = arguments.options.grace;
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
        () = crate::commands::stop_signal() => {}
        () = edge.handed_over() => {}
    }
    tracing::info!(%grace, "stopping: open requests may come to their end");
    tokio::select! {
        () = edge.stop(grace.get()) => {}
        () = crate::commands::stop_signal() => edge.stop(Duration::ZERO).await,
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
    println!("{READY} {} routes of {folder}", status.routes.len());
    for route in &status.routes {
        println!("  {}", route.route);
    }
    if status.routes.is_empty() {
        println!("hint: `lotse edge set 80 10.0.0.2:8080` gives it one");
    }
}

impl Run {
    fn settings(self) -> Settings {
        self.options.settings(self.folder)
    }
}

impl RunOptions {
    fn settings(self, folder: Folder) -> Settings {
        let mut settings = Settings::new(folder.folder);
        settings.trusted = self.trust;
        settings.proxy_protocol_from = self.proxy_protocol_from;
        settings.metrics = self.metrics;
        let format = match self.log_format {
            Format::Json => LogFormat::Json,
            Format::Combined => LogFormat::Combined,
        };
        settings.access_log = self.access_log.map(|path| AccessLog { path, format });
        let acme = &mut settings.acme;
        if let Some(directory) = self.acme_directory {
            acme.directory = directory;
        }
        acme.contact = self.acme_email;
        acme.root = self.acme_root;
        acme.terms_agreed = self.acme_agree_terms;
        let limits = &mut settings.limits;
        limits.connections = self.max_connections.unwrap_or(limits.connections);
        let per_client = self.max_connections_per_client;
        limits.connections_per_client = per_client.unwrap_or(limits.connections_per_client);
        limits.idle = self.idle.unwrap_or(limits.idle);
        settings
    }
}
