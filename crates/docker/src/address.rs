//! Where an engine is: `unix:///run/docker.sock` or `tcp://host:2376`, as in `DOCKER_HOST`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// An engine's address. What comes over SSH has no address here: it is a [`crate::Connector`] of
/// its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EngineAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port, with TLS unless it is on this machine.
    Tcp {
        /// The host's name or address.
        host: String,
        /// The port; 2376 where the address has none.
        port: u16,
    },
}

/// Why a text is no address of an engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address of a Docker engine: expected unix:///PATH or tcp://HOST:PORT")]
pub struct AddressError(String);

impl EngineAddress {
    /// Whether the address can only be this machine's own.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => {
                host == "localhost"
                    || host
                        .parse()
                        .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
            }
        }
    }
}

impl Default for EngineAddress {
    fn default() -> Self {
        Self::Unix("/var/run/docker.sock".into())
    }
}

impl FromStr for EngineAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.chars().take(200).collect());
        if let Some(path) = text.strip_prefix("unix://") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(path.into())),
                false => Err(error()),
            };
        }
        let rest = text.strip_prefix("tcp://").ok_or_else(error)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // `http` knows about ports and brackets of IPv6.
        let authority: http::uri::Authority = rest.parse().map_err(|_| error())?;
        let port = match rest.ends_with(']') || !rest.contains(':') {
            true => 2376,
            false => authority.port_u16().ok_or_else(error)?,
        };
        let host = authority.host().trim_matches(['[', ']']);
        match host.is_empty() || rest.contains('@') {
            true => Err(error()),
            false => Ok(Self::Tcp {
                host: host.to_owned(),
                port,
            }),
        }
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in [
            "unix:///var/run/docker.sock",
            "tcp://web-01:2376",
            "tcp://[::1]:2375",
            "tcp://10.0.0.1:1",
        ] {
            assert_eq!(text.parse::<EngineAddress>().unwrap().to_string(), text);
        }
        let short: EngineAddress = "tcp://web-01/".parse().unwrap();
        assert_eq!(short.to_string(), "tcp://web-01:2376");
        for bad in [
            "",
            "/run/docker.sock",
            "unix://",
            "unix://x",
            "tcp://",
            "tcp://:1",
            "tcp://a:b",
            "tcp://u@h:1",
            "http://a",
            "ssh://a",
            "tcp://a:99999",
        ] {
            assert!(bad.parse::<EngineAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_local() {
        let local = |text: &str| text.parse::<EngineAddress>().unwrap().is_local();
        assert!(local("tcp://127.0.0.1:1") && local("tcp://[::1]:1") && local("tcp://localhost"));
        assert!(!local("tcp://10.0.0.1:1") && !local("tcp://localhost.example:1"));
    }
}
