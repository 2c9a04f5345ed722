//! How a container is connected: to networks, or to someone else's namespace.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{NetworkName, Service, ServiceName};

/// What a service is connected to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Networking {
    /// These networks of the project.
    Networks(BTreeMap<NetworkName, Endpoint>),
    /// `network_mode:` `none`: nothing.
    None,
    /// `host`: the host's own stack.
    Host,
    /// `service:…` or `container:…`: the stack of another container.
    Shared(Namespace),
    /// `bridge`, or a network that the project does not know.
    Other(String),
}

/// One end of a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Further names of the service in this network, those of `links` among them.
    pub aliases: Vec<String>,
    /// A fixed address.
    pub ipv4_address: Option<String>,
    /// A fixed address.
    pub ipv6_address: Option<String>,
    /// Link-local addresses.
    pub link_local_ips: Vec<String>,
    /// A fixed hardware address.
    pub mac_address: Option<String>,
    /// The driver's options for this end.
    pub driver_opts: BTreeMap<String, String>,
    /// Networks are joined from the highest to the lowest.
    pub priority: i64,
    /// The gateway of the highest is the default one.
    pub gw_priority: i64,
    /// The interface's name in the container.
    pub interface_name: Option<String>,
}

/// Whose namespace a container shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// That of a service of the project.
    Service(ServiceName),
    /// That of a container outside of it.
    Container(String),
    /// `host`, `private`, `shareable`, `none`: a word of the engine.
    Mode(String),
}

/// `service[:alias]`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Link {
    /// The service.
    pub service: ServiceName,
    /// The name it has in the linking container.
    pub alias: String,
}

/// `container[:alias]`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExternalLink {
    /// The container.
    pub container: String,
    /// The name it has in the linking container.
    pub alias: String,
}

impl Default for Networking {
    fn default() -> Self {
        Self::Networks(BTreeMap::new())
    }
}

impl Service {
    /// The networks that it is in.
    pub fn networks(&self) -> impl Iterator<Item = &NetworkName> {
        let networks = match &self.networking {
            Networking::Networks(networks) => Some(networks.keys()),
            _ => None,
        };
        networks.into_iter().flatten()
    }
}
