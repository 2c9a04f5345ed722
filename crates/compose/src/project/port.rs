//! Ports that a service publishes, or shows to others of its project.

use serde::{Deserialize, Serialize};

/// A published port. A range in the file is several of these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port {
    /// In the container.
    pub target: u16,
    /// On the host.
    pub published: Published,
    /// The host's address to listen at; all where nothing is said.
    pub host_ip: Option<String>,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// What is spoken, where the file says so.
    pub app_protocol: Option<AppProtocol>,
    /// Who listens.
    pub mode: PortMode,
    /// A name for people.
    pub name: Option<String>,
}

/// The port on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Published {
    /// Any that is free.
    Ephemeral,
    /// This one.
    Port(u16),
    /// One of these that is free, both ends included.
    Range(u16, u16),
}

/// A transport protocol.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP
    #[default]
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
}

/// What is spoken through a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppProtocol {
    /// HTTP in any version.
    Http,
    /// Something else, in the file's words.
    Other(String),
}

/// Who listens at a published port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortMode {
    /// Nothing was said, or `ingress`: the port leads to any of the containers.
    #[default]
    Ingress,
    /// Each container has a port of its host.
    Host,
}

/// Ports for others of the project, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Expose {
    /// The first.
    pub first: u16,
    /// The last; equal to the first for one.
    pub last: u16,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
}
