//! Where a request belongs: an address listened on, a host name and a path prefix.
//!
//! Each part is a type that is parsed once. A route knows nothing of targets; what it compares with
//! is given as values, so that the choice of a route can be tested without a network.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::text_serde;

/// What a request must match to belong to a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteKey {
    /// The address and port that are listened on.
    pub listen: Listen,
    /// The host names, by default all.
    #[serde(default, skip_serializing_if = "HostPattern::is_any")]
    pub host: HostPattern,
    /// The start of the path, by default `/`.
    #[serde(default, skip_serializing_if = "PathPrefix::is_root")]
    pub path: PathPrefix,
}

/// An address and port to listen on. A port alone means every address of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Listen(pub SocketAddr);

/// The host names of a route: all, one, or all below a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Every name.
    #[default]
    Any,
    /// This name.
    Exact(String),
    /// `*.example.org`: every name below the domain, at any depth, but not the domain itself.
    Below(String),
}

/// The start of a path, whole segments only: `/api` covers `/api` and `/api/x`, not `/apis`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPrefix(String);

/// Why a text is not a part of a route.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Not an address to listen on.
    #[error(
        "`{0}` is no address to listen on: give a port (8080) or an address and a port (127.0.0.1:8080, [::1]:8080)"
    )]
    Listen(String),
    /// Not a host name.
    #[error(
        "`{0}` is no host name: give a name (www.example.org) or a wildcard (*.example.org), without port"
    )]
    Host(String),
    /// Not a path prefix.
    #[error("`{0}` is no path: it starts with `/` and has no `?`, `#` or space")]
    Path(String),
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.listen)?;
        if !self.host.is_any() {
            write!(f, " {}", self.host)?;
        }
        if !self.path.is_root() {
            write!(f, " {}", self.path)?;
        }
        Ok(())
    }
}

impl FromStr for Listen {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        let address = match text.parse::<u16>() {
            Ok(port) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
            Err(_) => text
                .parse()
                .map_err(|_| RouteError::Listen(text.to_owned()))?,
        };
        if address.port() == 0 {
            return Err(RouteError::Listen(text.to_owned()));
        }
        Ok(Self(address))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            return write!(f, "{}", self.0.port());
        }
        write!(f, "{}", self.0)
    }
}

impl HostPattern {
    /// Whether every name fits.
    pub fn is_any(&self) -> bool {
        *self == Self::Any
    }

    /// Whether the name, in lower case and without port, fits.
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name == host,
            Self::Below(domain) => host
                .strip_suffix(domain.as_str())
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|label| !label.is_empty()),
        }
    }

    /// More exact patterns come first.
    pub(crate) fn rank(&self) -> (u8, usize) {
        match self {
            Self::Exact(name) => (2, name.len()),
            Self::Below(domain) => (1, domain.len()),
            Self::Any => (0, 0),
        }
    }
}

impl FromStr for HostPattern {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        let lower = text.trim_end_matches('.').to_ascii_lowercase();
        if text == "*" {
            return Ok(Self::Any);
        }
        let (name, below) = match lower.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (lower.as_str(), false),
        };
        if !is_host_name(name) && (below || name.parse::<IpAddr>().is_err()) {
            return Err(RouteError::Host(text.to_owned()));
        }
        let name = name.to_owned();
        Ok(if below {
            Self::Below(name)
        } else {
            Self::Exact(name)
        })
    }
}

/// Letters, digits, hyphens and underscores between dots (RFC 1123, section 2.1, and the
/// underscore that Docker's service names have).
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= 253 && name.split('.').all(label)
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl PathPrefix {
    /// Whether every path fits.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the path lies at or below the prefix.
    pub fn covers(&self, path: &str) -> bool {
        path.strip_prefix(self.0.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.0.is_empty())
    }

    pub(crate) fn rank(&self) -> usize {
        self.0.len()
    }
}

impl Default for PathPrefix {
    /// `/`.
    fn default() -> Self {
        Self(String::new())
    }
}

impl FromStr for PathPrefix {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        let fits = |b: u8| b.is_ascii_graphic() && b != b'?' && b != b'#';
        if !text.starts_with('/') || text.len() > 1024 || !text.bytes().all(fits) {
            return Err(RouteError::Path(text.to_owned()));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

text_serde!(Listen, HostPattern, PathPrefix);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses() {
        let cases = [
            ("80", Some("80")),
            ("127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("[::1]:80", Some("[::1]:80")),
            ("[::]:80", Some("80")),
            ("0.0.0.0:80", Some("0.0.0.0:80")),
            ("0", None),
            ("127.0.0.1:0", None),
            ("70000", None),
            ("localhost:80", None),
            ("", None),
        ];
        for (text, shown) in cases {
            let parsed = text.parse::<Listen>().ok().map(|l| l.to_string());
            assert_eq!(parsed.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn hosts_cover() {
        let cases = [
            ("*", "anything", true),
            ("www.example.org", "www.example.org", true),
            ("WWW.Example.org.", "www.example.org", true),
            ("www.example.org", "example.org", false),
            ("*.example.org", "www.example.org", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
            ("*.example.org", "badexample.org", false),
            ("10.0.0.1", "10.0.0.1", true),
        ];
        for (pattern, host, covered) in cases {
            let parsed: HostPattern = pattern.parse().unwrap();
            assert_eq!(parsed.covers(host), covered, "{pattern} and {host}");
        }
        for bad in [
            "",
            "a b",
            "www.example.org:80",
            "*.",
            "a..b",
            "*.*.org",
            "w*.org",
            "/x",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_cover_whole_segments() {
        let cases = [
            ("/", "/", true),
            ("/", "/x", true),
            ("/", "*", true),
            ("/api", "/api", true),
            ("/api/", "/api", true),
            ("/api", "/api/x", true),
            ("/api", "/apis", false),
            ("/api", "/", false),
        ];
        for (prefix, path, covered) in cases {
            let parsed: PathPrefix = prefix.parse().unwrap();
            assert_eq!(parsed.covers(path), covered, "{prefix} and {path}");
        }
        for bad in ["", "api", "/a b", "/a?b", "/ä"] {
            assert!(bad.parse::<PathPrefix>().is_err(), "{bad}");
        }
    }
}
