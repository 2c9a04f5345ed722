//! What is wrong with a spec.

use std::net::SocketAddr;

use crate::route::{RouteError, RouteKey};

/// What is wrong with a spec.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Not a target.
    #[error(
        "`{0}` is no target: give an address and a port, and a weight if need be (10.0.0.2:8080, 10.0.0.2:8080*3)"
    )]
    Target(String),
    /// Not a challenge.
    #[error("`{0}` is no challenge that the edge can answer: give http-01 or tls-alpn-01")]
    Challenge(String),
    /// A route that no certificate can be ordered for.
    #[error("no certificate can be ordered for the route {0}: {1}")]
    Acme(RouteKey, &'static str),
    /// Not an owner.
    #[error("`{0}` is no owner of routes: it has 1 to 500 characters on one line")]
    Owner(String),
    /// Not a range of statuses.
    #[error("`{0}` is no range of statuses: give one (204) or two between 100 and 599 (200-399)")]
    Status(String),
    /// No targets.
    #[error("the route {0} has no target: give at least one")]
    NoTarget(RouteKey),
    /// A target twice.
    #[error("the route {0} names the target {1} twice: give it a weight instead")]
    TwiceTarget(RouteKey, SocketAddr),
    /// Something that only HTTP has.
    #[error("the route {0} is TCP, which has no {1}")]
    NotInTcp(RouteKey, &'static str),
    /// A path for the health check that is none.
    #[error("the health path of the route {route} does not fit")]
    HealthPath {
        /// The route.
        route: RouteKey,
        /// What is wrong with it.
        source: RouteError,
    },
    /// A number out of its range.
    #[error("the route {0}: {1}")]
    Number(RouteKey, &'static str),
    /// A host name for the health check that is none.
    #[error("the health host `{1}` of the route {0} is no host name")]
    HealthHost(RouteKey, String),
}
