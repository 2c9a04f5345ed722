//! `lotse edge set`: a route gets its targets, or new ones.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use edge::control::{self, Request};
use edge::route::Listen;
use edge::spec::{
    AcmeSpec, CertificateFiles, Challenge, HealthSpec, Protocol, ProxyVersion, RouteSpec,
    StatusRange, TargetSpec, TlsSpec,
};
use edge::{Event, Set, Span};

use super::{Folder, Names, say};

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
    #[arg(long, value_name = "FILE", requires = "key", group = "tls")]
    certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM form
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Speak TLS with a certificate for --host that the edge orders and renews by ACME (see `lotse
    /// edge run --help`); the CA looks with tls-alpn-01 at port 443, then with http-01 at port 80,
    /// or as told here
    #[arg(long, value_name = "CHALLENGE", num_args = 0..=1, require_equals = true, requires = "host", group = "tls")]
    acme: Option<Option<Challenge>>,
    /// Send clients to https on this port in place of answering them; no target is needed
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "443", require_equals = true)]
    redirect_https: Option<u16>,
    /// Tell browsers to come with https only, for so long
    #[arg(long, value_name = "TIME", requires = "tls")]
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

pub(crate) async fn set(arguments: SetArguments) -> anyhow::Result<()> {
    let socket = arguments.folder.socket();
    let json = arguments.json;
    let set = arguments.set()?;
    control::ask(&socket, &Request::Set(set), |event| tell(&event, json)).await?;
    Ok(())
}

fn tell(event: &Event, json: bool) {
    if json {
        say(serde_json::json!(event));
        return;
    }
    match event {
        Event::Checking { targets: 1 } => say(format_args!("asking the target for its health")),
        Event::Checking { targets } => {
            say(format_args!("asking {targets} targets for their health"));
        }
        Event::Certifying { names } => say(format_args!(
            "ordering a certificate for {}",
            names.join(", ")
        )),
        Event::Swapped { generation, .. } => {
            say(format_args!(
                "swapped (number {generation}): requests go to the new targets"
            ));
        }
        Event::Drained { cut: 0 } => say(format_args!(
            "drained: the old targets have nothing left to do"
        )),
        Event::Drained { cut } => say(format_args!(
            "drained: {cut} requests or connections were cut at the end of the grace period"
        )),
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
        spec.tls = match (self.certificate, self.key, self.acme) {
            (Some(certificate), Some(key), _) => Some(TlsSpec::Files(CertificateFiles {
                certificate: absolute(certificate)?,
                key: absolute(key)?,
            })),
            (_, _, Some(challenge)) => Some(TlsSpec::Acme(AcmeSpec { challenge })),
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
            owner: None,
            routes: vec![spec],
            deadline: self.deadline,
            grace: self.grace,
            watch: self.watch,
        })
    }
}

fn read_set(path: &Path) -> anyhow::Result<Set> {
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
