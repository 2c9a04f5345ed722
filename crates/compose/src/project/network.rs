//! Networks of a project.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Extensions;

/// A network under `networks:`, or the implicit `default`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Whose it is.
    pub kind: NetworkKind,
    /// `x-…` keys.
    #[serde(default)]
    pub extensions: Extensions,
}

/// Who makes a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum NetworkKind {
    /// It must be there, under this name.
    External(String),
    /// The project makes it.
    Own(OwnNetwork),
}

/// What a network of the project's own is made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnNetwork {
    /// The name on the engine, where the file gives one.
    pub name: Option<String>,
    /// The driver; the engine's default is `bridge`.
    pub driver: Option<String>,
    /// The driver's options.
    pub driver_opts: BTreeMap<String, String>,
    /// Addresses.
    pub ipam: Ipam,
    /// No way out of it.
    pub internal: bool,
    /// Containers outside of the project may join (Swarm's overlay networks).
    pub attachable: bool,
    /// Whether it has IPv4 addresses; the engine decides where this is silent.
    pub enable_ipv4: Option<bool>,
    /// Whether it has IPv6 addresses; the engine decides where this is silent.
    pub enable_ipv6: Option<bool>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Who gives addresses, and which.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ipam {
    /// The driver; the engine's default is `default`.
    pub driver: Option<String>,
    /// Address ranges.
    pub config: Vec<Subnet>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

/// One address range.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    /// In CIDR form.
    pub subnet: Option<String>,
    /// The part that containers get addresses from, in CIDR form.
    pub ip_range: Option<String>,
    /// The gateway's address.
    pub gateway: Option<String>,
    /// Addresses that the driver must not give away, by host name.
    pub aux_addresses: BTreeMap<String, String>,
}

impl Network {
    /// The name on the engine that the file gives.
    pub fn given_name(&self) -> Option<&str> {
        match &self.kind {
            NetworkKind::External(name) => Some(name),
            NetworkKind::Own(own) => own.name.as_deref(),
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            kind: NetworkKind::Own(OwnNetwork::default()),
            extensions: Extensions::new(),
        }
    }
}
