//! What can go wrong with an edge, said so that it can be mended.

use std::net::SocketAddr;

use crate::acme::AcmeError;
use crate::client::tls::CertificateError;
use crate::edge::state::StateError;
use crate::route::{Listen, RouteKey};
use crate::span::Span;
use crate::spec::{Owner, SpecError};

/// Why the edge did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The folder cannot be made.
    #[error("the edge's folder cannot be made")]
    Folder(#[source] std::io::Error),
    /// The state file cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The access log cannot be opened.
    #[error("cannot open the access log")]
    Log(#[source] std::io::Error),
    /// No threads.
    #[error("cannot start the threads that serve connections")]
    Workers(#[source] std::io::Error),
    /// No random numbers.
    #[error("the system gives no random numbers")]
    Random(#[source] std::io::Error),
    /// A spec that makes no sense.
    #[error(transparent)]
    Spec(SpecError),
    /// A certificate that cannot be used.
    #[error("the certificate of the route {route} cannot be used")]
    Certificate {
        /// The route.
        route: RouteKey,
        /// Why not.
        source: CertificateError,
    },
    /// A certificate that the CA did not give.
    #[error("no certificate for {name}, nothing was changed")]
    Acme {
        /// The host name.
        name: String,
        /// Why not.
        source: AcmeError,
    },
    /// TLS and plain HTTP on one port.
    #[error(
        "{0} cannot serve TLS and plain HTTP at the same time: give each of its routes a certificate, or none"
    )]
    TlsAndPlain(Listen),
    /// An empty set.
    #[error("no route is given")]
    NoRoutes,
    /// A route twice in one set.
    #[error("the route {0} is given twice")]
    Twice(RouteKey),
    /// A route of somebody else.
    #[error("the route {route} belongs to {}, and is left alone", whose(owner.as_ref()))]
    Owned {
        /// The route.
        route: RouteKey,
        /// Whose it is; without, it was set by hand.
        owner: Option<Owner>,
    },
    /// TCP and something else on one port.
    #[error("{0} cannot serve TCP and another route at the same time: remove one of them first")]
    Protocols(Listen),
    /// An address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address.
        listen: Listen,
        /// Why not.
        source: std::io::Error,
    },
    /// New targets are not healthy.
    #[error(
        "the new targets are not healthy within {deadline}, the ones before serve on{}",
        list(ill)
    )]
    Unhealthy {
        /// How long was waited.
        deadline: Span,
        /// What is wrong with whom.
        ill: Vec<(RouteKey, Vec<String>)>,
    },
    /// Another set was faster.
    #[error("another set or removal changed the route meanwhile; nothing was changed by this one")]
    Overtaken,
    /// The new targets failed soon after the swap.
    #[error(
        "the new targets failed soon after the swap, the ones before serve again: {}",
        names(routes)
    )]
    FellBack {
        /// The routes whose targets failed.
        routes: Vec<RouteKey>,
    },
    /// The new targets failed on trial, and those before them are ill as well.
    #[error(
        "the new targets failed soon after the swap, and the ones before do not answer either, so the new ones stay: {}",
        names(routes)
    )]
    NobodyLeft {
        /// The routes that nobody serves.
        routes: Vec<RouteKey>,
    },
    /// No such route.
    #[error("there is no route {0}: `lotse edge list` shows those there are")]
    NoRoute(RouteKey),
    /// No such target.
    #[error("no route has the target {0}: `lotse edge list` shows those there are")]
    NoTarget(SocketAddr),
    /// The control socket cannot be opened.
    #[error("cannot open the control socket")]
    Control(#[source] std::io::Error),
    /// Another edge has taken over.
    #[error("another edge has taken over meanwhile: ask again, it answers")]
    HandedOver,
    /// Metrics cannot be served.
    #[error("cannot serve metrics at {address}")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The hand-over between two edges broke.
    #[error("the running edge cannot be taken over from, it serves on")]
    TakeOver(#[source] std::io::Error),
    /// Another edge runs in the same folder.
    #[error(
        "an edge runs already with the folder {0}: take over from it with `--takeover`, or choose another --folder"
    )]
    Runs(String),
}

/// An error and what caused it, on one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn list(ill: &[(RouteKey, Vec<String>)]) -> String {
    let lines = ill
        .iter()
        .flat_map(|(route, ill)| ill.iter().map(move |what| (route, what)));
    lines
        .map(|(route, what)| format!("\n  route {route}: target {what}"))
        .collect()
}

fn whose(owner: Option<&Owner>) -> String {
    owner.map_or_else(
        || "whoever set it with `lotse edge set`".to_owned(),
        |owner| format!("`{owner}`"),
    )
}

fn names(routes: &[RouteKey]) -> String {
    let names: Vec<String> = routes.iter().map(ToString::to_string).collect();
    names.join(", ")
}
