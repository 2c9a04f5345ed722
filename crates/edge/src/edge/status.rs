//! What the edge tells about itself.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::client::tls::Certificate;
use crate::edge::Edge;
use crate::edge::shared::Shared;
use crate::edge::table::{Mode, Route};
use crate::request::record::{BUCKETS, Counters};
use crate::route::RouteKey;
use crate::spec::{Owner, Protocol};
use crate::target::pool::{Pool, Target};

/// The edge as it is now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Open connections of clients.
    pub connections: usize,
    /// The routes, in the order of their keys.
    pub routes: Vec<RouteStatus>,
    /// The certificates of routes with TLS.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
}

/// A certificate as it is now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// Names and addresses that it is for, or, while there is none, should be for.
    pub names: Vec<String>,
    /// `acme`, or the file.
    pub source: String,
    /// The end of its life. Nothing while there is none that can be used.
    pub not_after: Option<Timestamp>,
    /// Why there is no newer one, since the last success.
    pub error: Option<String>,
    /// When another one is asked for.
    pub next: Option<Timestamp>,
}

/// A route as it is now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RouteStatus {
    /// What requests must match.
    pub route: RouteKey,
    /// How the port is spoken to.
    pub protocol: Protocol,
    /// The number of the swap that brought the targets.
    pub generation: u64,
    /// `serving`, `paused` or `maintenance`.
    pub mode: String,
    /// Whether the targets before stand by.
    pub on_trial: bool,
    /// Requests at work at the current targets.
    pub in_flight: usize,
    /// Requests since the edge started.
    pub requests: u64,
    /// Those of them that were answered with a status from 500 on.
    pub errors: u64,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The targets.
    pub targets: Vec<TargetStatus>,
    /// Targets that failed soon after the last swap, so that those before them serve again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fell_back: Vec<TargetStatus>,
}

/// A target as it is now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TargetStatus {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether checks and requests find it well.
    pub healthy: bool,
    /// Whether it was taken out.
    pub drained: bool,
    /// Requests at work.
    pub in_flight: usize,
    /// Requests sent to it since it came.
    pub requests: u64,
    /// Those that it failed to answer.
    pub failed: u64,
    /// What the last check found wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub illness: Option<String>,
}

impl Edge {
    /// The edge as it is now.
    pub fn status(&self) -> Status {
        let shared = &self.running().shared;
        let mut routes: Vec<RouteStatus> = shared.table.read().routes().map(route_status).collect();
        routes.sort_by(|a, b| a.route.cmp(&b.route));
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            connections: shared.clients.total(),
            routes,
            certificates: certificates(shared),
        }
    }

    /// The counters in Prometheus' text format.
    pub fn metrics(&self) -> String {
        let mut out = String::new();
        let shared = &self.running().shared;
        gauge(
            &mut out,
            "lotse_edge_connections",
            "Open connections of clients",
            shared.clients.total(),
        );
        if let Some(log) = &shared.log {
            let lost = log.lost.load(Ordering::Relaxed);
            let _ = writeln!(
                out,
                "# HELP lotse_edge_log_lines_lost_total Lines of the access log that the disk was too slow for"
            );
            let _ = writeln!(
                out,
                "# TYPE lotse_edge_log_lines_lost_total counter\nlotse_edge_log_lines_lost_total {lost}"
            );
        }
        write_certificates(&mut out, shared);
        let table = shared.table.read();
        let mut routes: Vec<&Route> = table.routes().collect();
        routes.sort_by(|a, b| a.key.cmp(&b.key));
        for family in FAMILIES {
            let _ = writeln!(
                out,
                "# HELP {} {}\n# TYPE {} {}",
                family.name, family.help, family.name, family.kind
            );
            for route in &routes {
                (family.write)(&mut out, family.name, &label(&route.key), &route.pool);
            }
        }
        out
    }
}

fn certificates(shared: &Shared) -> Vec<CertificateStatus> {
    let all = shared.table.certificates();
    let mut all: Vec<_> = all
        .iter()
        .map(|one| certificate_status(shared, one))
        .collect();
    all.sort();
    // Routes of one host name share theirs.
    all.dedup();
    all
}

fn certificate_status(shared: &Shared, certificate: &Certificate) -> CertificateStatus {
    match certificate {
        Certificate::Files(files) => {
            let facts = files.facts();
            CertificateStatus {
                names: facts
                    .as_ref()
                    .map_or_else(Vec::new, |facts| facts.names.clone()),
                source: files.path().display().to_string(),
                not_after: facts.map(|facts| facts.not_after),
                error: None,
                next: None,
            }
        }
        Certificate::Acme(name) => {
            let (issued, trouble) = (shared.acme.current(name), shared.acme.trouble(name));
            CertificateStatus {
                names: vec![name.clone()],
                source: "acme".to_owned(),
                not_after: issued.as_ref().map(|issued| issued.facts.not_after),
                next: match &trouble {
                    Some(trouble) => Some(trouble.again),
                    None => issued.map(|issued| issued.renewal),
                },
                error: trouble.map(|trouble| trouble.reason),
            }
        }
    }
}

fn write_certificates(out: &mut String, shared: &Shared) {
    let name = "lotse_edge_certificate_not_after_seconds";
    let _ = writeln!(
        out,
        "# HELP {name} The end of a certificate's life, in seconds since 1970\n# TYPE {name} gauge"
    );
    for certificate in certificates(shared) {
        let (Some(first), Some(end)) = (certificate.names.first(), certificate.not_after) else {
            continue;
        };
        let source = certificate.source.replace(['"', '\\', '\n'], "_");
        let label = format!(
            "name=\"{}\",source=\"{source}\"",
            first.replace(['"', '\\', '\n'], "_")
        );
        let _ = writeln!(out, "{name}{{{label}}} {}", end.as_second());
    }
}

fn route_status(route: &Route) -> RouteStatus {
    let counters = &route.pool.counters;
    RouteStatus {
        route: route.key.clone(),
        protocol: route.pool.spec.protocol,
        generation: route.pool.generation,
        mode: match &*route.mode.borrow() {
            Mode::Serving => "serving",
            Mode::Paused(_) => "paused",
            Mode::Maintenance(_) => "maintenance",
        }
        .to_owned(),
        on_trial: route.standby.is_some(),
        in_flight: route.pool.in_flight(),
        requests: counters.statuses.iter().map(load).sum(),
        errors: load(&counters.statuses[5]),
        owner: route.pool.spec.owner.clone(),
        targets: targets_of(&route.pool),
        fell_back: route
            .fell_back
            .iter()
            .flat_map(|pool| targets_of(pool))
            .collect(),
    }
}

fn targets_of(pool: &Pool) -> Vec<TargetStatus> {
    let targets = pool.targets.iter();
    targets.map(|target| target_status(target)).collect()
}

fn target_status(target: &Target) -> TargetStatus {
    TargetStatus {
        address: target.address,
        healthy: target.is_healthy(),
        drained: target.is_drained(),
        in_flight: target.in_flight(),
        requests: load(&target.requests),
        failed: load(&target.failed),
        illness: target.illness(),
    }
}

struct Family {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    write: fn(&mut String, &str, &str, &Pool),
}

const FAMILIES: [Family; 7] = [
    Family {
        name: "lotse_edge_requests_total",
        help: "Answered requests by class of status",
        kind: "counter",
        write: write_requests,
    },
    Family {
        name: "lotse_edge_request_seconds",
        help: "From a request's head to its answer's end",
        kind: "histogram",
        write: write_seconds,
    },
    Family {
        name: "lotse_edge_response_bytes_total",
        help: "Bytes of answers' bodies",
        kind: "counter",
        write: write_bytes,
    },
    Family {
        name: "lotse_edge_retries_total",
        help: "Attempts at a target that failed",
        kind: "counter",
        write: write_retries,
    },
    Family {
        name: "lotse_edge_generation",
        help: "The number of the swap that brought the targets",
        kind: "gauge",
        write: write_generation,
    },
    Family {
        name: "lotse_edge_in_flight",
        help: "Requests at work at a target",
        kind: "gauge",
        write: write_in_flight,
    },
    Family {
        name: "lotse_edge_target_up",
        help: "Whether a target is sent requests",
        kind: "gauge",
        write: write_up,
    },
];

fn write_requests(out: &mut String, name: &str, label: &str, pool: &Pool) {
    for (class, count) in pool.counters.statuses.iter().enumerate().skip(1) {
        let _ = writeln!(out, "{name}{{{label},class=\"{class}xx\"}} {}", load(count));
    }
}

fn write_seconds(out: &mut String, name: &str, label: &str, pool: &Pool) {
    let counters: &Counters = &pool.counters;
    let mut sum = 0;
    for (bound, count) in BUCKETS.iter().zip(&counters.buckets) {
        sum += load(count);
        let bound = *bound as f64 / 1000.0;
        let _ = writeln!(out, "{name}_bucket{{{label},le=\"{bound}\"}} {sum}");
    }
    sum += load(&counters.buckets[BUCKETS.len()]);
    let seconds = load(&counters.micros) as f64 / 1e6;
    let _ = writeln!(out, "{name}_bucket{{{label},le=\"+Inf\"}} {sum}");
    let _ = writeln!(
        out,
        "{name}_sum{{{label}}} {seconds}\n{name}_count{{{label}}} {sum}"
    );
}

fn write_bytes(out: &mut String, name: &str, label: &str, pool: &Pool) {
    let _ = writeln!(out, "{name}{{{label}}} {}", load(&pool.counters.bytes_out));
}

fn write_retries(out: &mut String, name: &str, label: &str, pool: &Pool) {
    let _ = writeln!(out, "{name}{{{label}}} {}", load(&pool.counters.retries));
}

fn write_generation(out: &mut String, name: &str, label: &str, pool: &Pool) {
    let _ = writeln!(out, "{name}{{{label}}} {}", pool.generation);
}

fn write_in_flight(out: &mut String, name: &str, label: &str, pool: &Pool) {
    for target in &pool.targets {
        let _ = writeln!(
            out,
            "{name}{{{label},target=\"{}\"}} {}",
            target.address,
            target.in_flight()
        );
    }
}

fn write_up(out: &mut String, name: &str, label: &str, pool: &Pool) {
    for target in &pool.targets {
        let up = u8::from(target.is_available());
        let _ = writeln!(out, "{name}{{{label},target=\"{}\"}} {up}", target.address);
    }
}

fn gauge(out: &mut String, name: &str, help: &str, value: usize) {
    let _ = writeln!(
        out,
        "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
    );
}

/// A route's key has no character that the format would have escaped.
fn label(key: &RouteKey) -> String {
    format!(
        "listen=\"{}\",host=\"{}\",path=\"{}\"",
        key.listen,
        key.host,
        key.path.to_string().replace(['"', '\\'], "_")
    )
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
