//! Where the published ports of a release lead.

use std::fmt;

use compose::project::{AppProtocol, Port, PortMode, Protocol, Published, ServiceName};
use serde::{Deserialize, Serialize};

use super::{Kind, Release};
use crate::name::ReleaseNumber;
use crate::settings::Health;

/// A TCP port of a host that something listens at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Listen {
    /// The address; all where nothing is said.
    pub ip: Option<String>,
    /// The port.
    pub port: u16,
}

/// What the containers of a service belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// To the stack of this release.
    Stack(ReleaseNumber),
    /// To no release: it is a standing service.
    Standing,
}

/// What a route leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeadsTo {
    /// The stack, or the standing services.
    pub place: Place,
    /// The service.
    pub service: ServiceName,
    /// The port in its containers.
    pub target: u16,
}

/// A route of the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where it listens.
    pub listen: Listen,
    /// How it is spoken to.
    pub speaks: Speaks,
    /// Where it leads.
    pub leads_to: LeadsTo,
}

/// How a port is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaks {
    /// HTTP, request by request. Its health is asked for at the path, or by connecting.
    Http {
        /// The path.
        health: Option<String>,
    },
    /// Bytes, connection by connection.
    Tcp,
}

impl Listen {
    /// Whether both cannot be listened at at once.
    pub fn collides(&self, other: &Self) -> bool {
        let any = |ip: &Option<String>| match ip.as_deref() {
            None => true,
            Some(ip) => ["0.0.0.0", "::", "[::]"].contains(&ip),
        };
        self.port == other.port && (any(&self.ip) || any(&other.ip) || self.ip == other.ip)
    }
}

impl Release {
    /// The routes to this release: one for each published TCP port that the edge listens at.
    pub fn routes(&self, health: Option<&Health>) -> Vec<Route> {
        let asked =
            health.and_then(|health| Some((self.health_port(health)?, health.path.as_str())));
        let published = self.published();
        let routes = published.map(|(service, port, listen)| {
            let path = asked
                .as_ref()
                .filter(|(at, _)| *at == listen)
                .map(|(_, path)| (*path).to_owned());
            Route {
                speaks: speaks(port, path),
                leads_to: self.leads_to(service, port.target),
                listen,
            }
        });
        let mut routes: Vec<Route> = routes.collect();
        routes.sort_by(|one, other| {
            (one.listen.port, &one.listen).cmp(&(other.listen.port, &other.listen))
        });
        routes
    }

    /// The published port through which `health` is asked: the one it names; else the first that
    /// speaks HTTP; else the first of a service of the stack.
    pub(crate) fn health_port(&self, health: &Health) -> Option<Listen> {
        let mut released: Vec<_> = self
            .published()
            .filter(|(service, ..)| self.services[*service].kind() == Kind::Released)
            .collect();
        released.sort_by_key(|(_, port, listen)| {
            (port.app_protocol != Some(AppProtocol::Http), listen.port)
        });
        let mut fitting = released.into_iter().map(|(_, _, listen)| listen);
        match health.port {
            Some(port) => fitting.find(|listen| listen.port == port),
            None => fitting.next(),
        }
    }

    /// Published TCP ports with a number, of released and standing services.
    pub(crate) fn published(&self) -> impl Iterator<Item = (&ServiceName, &Port, Listen)> {
        let serving = self
            .services
            .iter()
            .filter(|(_, member)| member.kind() != Kind::Once);
        let ports = serving.flat_map(|(name, member)| {
            member.definition.ports.iter().map(move |port| (name, port))
        });
        ports.filter_map(|(name, port)| Some((name, port, at_edge(port)?)))
    }

    /// What a port of a service leads to.
    pub(crate) fn leads_to(&self, service: &ServiceName, target: u16) -> LeadsTo {
        let place = match self.services.get(service).map(super::Member::kind) {
            Some(Kind::Standing) => Place::Standing,
            _ => Place::Stack(self.number),
        };
        LeadsTo {
            place,
            service: service.clone(),
            target,
        }
    }
}

/// Where the edge listens for a port: at its number, of a range at the first.
pub(super) fn at_edge(port: &Port) -> Option<Listen> {
    let number = match port.published {
        Published::Port(number) | Published::Range(number, _) => number,
        Published::Ephemeral => return None,
    };
    let ours = port.protocol == Protocol::Tcp && port.mode != PortMode::Host;
    ours.then(|| Listen {
        ip: port.host_ip.clone(),
        port: number,
    })
}

fn speaks(port: &Port, health: Option<String>) -> Speaks {
    match (&port.app_protocol, health) {
        (_, Some(path)) => Speaks::Http { health: Some(path) },
        (Some(AppProtocol::Http), None) => Speaks::Http { health: None },
        _ => Speaks::Tcp,
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ip {
            Some(ip) if ip.contains(':') && !ip.starts_with('[') => {
                write!(f, "[{ip}]:{}", self.port)
            }
            Some(ip) => write!(f, "{ip}:{}", self.port),
            None => write!(f, "{}", self.port),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stack(number) => write!(f, "stack {number}"),
            Self::Standing => f.write_str("standing"),
        }
    }
}
