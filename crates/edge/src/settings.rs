//! What holds for the whole edge, given when it starts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::span::Span;

/// How the edge runs. [`Settings::new`] has what fits most.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the state file and of the control socket.
    pub folder: PathBuf,
    /// Proxies before this one, whose `X-Forwarded-*` are believed.
    pub trusted: Vec<Network>,
    /// Proxies before this one, whose connections begin with a PROXY header.
    pub proxy_protocol_from: Vec<Network>,
    /// Where metrics are served in Prometheus' format, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Where requests are written down.
    pub access_log: Option<AccessLog>,
    /// The CA that certificates are ordered from.
    pub acme: AcmeSettings,
    /// Limits to what clients may do.
    pub limits: Limits,
}

/// The CA that certificates are ordered from (RFC 8555).
#[derive(Debug, Clone)]
pub struct AcmeSettings {
    /// The address of its directory; by default that of Let's Encrypt.
    pub directory: String,
    /// A mail address that the CA may write to.
    pub contact: Option<String>,
    /// A file of certificates in PEM form that the CA's own server is known by, in place of those
    /// that the system trusts.
    pub root: Option<PathBuf>,
    /// Whether the user agrees to the CA's terms of service. Without, nothing is ordered.
    pub terms_agreed: bool,
    /// How long to wait after the first failure; after each further one twice as long, up to six
    /// hours.
    pub retry: Span,
}

/// Limits to what clients may do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at the same time; more wait until one ends.
    pub connections: usize,
    /// Connections from one address at the same time; more are closed at once.
    pub connections_per_client: usize,
    /// Header fields of a request; more are answered 431.
    pub headers: usize,
    /// Bytes of a request's head; more are answered 431.
    pub head_size: usize,
    /// Bytes of a request's body, where the route does not say; more are answered 413.
    pub body_size: u64,
    /// From the first byte of a request's head to its last.
    pub head_time: Span,
    /// How long a client may leave a connection unused.
    pub idle: Span,
    /// How long after a request its connection of HTTP/1 keeps the memory that the next one will need.
    pub rest: Span,
    /// How long a client may send nothing of a body, or take nothing of an answer.
    pub stall: Span,
    /// Requests at the same time on one HTTP/2 connection.
    pub streams: u32,
}

/// Where requests are written down, and how.
#[derive(Debug, Clone)]
pub struct AccessLog {
    /// The file; `-` is the standard output.
    pub path: PathBuf,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a line of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// The combined log format of the Apache HTTP server.
    Combined,
}

/// Addresses that share their first bits: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that is no network.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no network: give an address (10.0.0.1) or an address and a number of bits (10.0.0.0/8)"
)]
pub struct NetworkError(String);

impl Settings {
    /// Settings for an edge that keeps its state in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            trusted: Vec::new(),
            proxy_protocol_from: Vec::new(),
            metrics: None,
            access_log: None,
            acme: AcmeSettings::default(),
            limits: Limits::default(),
        }
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("edge.sock")
    }

    /// The file that holds the routes.
    pub fn state_file(&self) -> PathBuf {
        self.folder.join("edge.json")
    }
}

impl Default for AcmeSettings {
    fn default() -> Self {
        Self {
            directory: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
            contact: None,
            root: None,
            terms_agreed: false,
            retry: Span::seconds(10 * 60),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            connections_per_client: 10_000,
            headers: 100,
            head_size: 64 * 1024,
            body_size: 16 << 30,
            head_time: Span::seconds(15),
            idle: Span::seconds(75),
            rest: Span::seconds(1),
            stall: Span::seconds(60),
            streams: 250,
        }
    }
}

impl Network {
    /// Whether the address belongs to it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let bad = || NetworkError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| bad())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(all);
        if bits > all {
            return Err(bad());
        }
        Ok(Self { address, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ];
        for (network, address, inside) in cases {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(
                parsed.contains(address.parse().unwrap()),
                inside,
                "{network} {address}"
            );
        }
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/x"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
