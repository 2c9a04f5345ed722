//! What a server is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::remote::Reach;

/// The settings of `lotse serve`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder that holds everything: database, repositories, images, logs.
    pub data: PathBuf,
    /// The addresses to listen on; at least one.
    pub listen: Vec<SocketAddr>,
    /// The address under which browsers, git and runners reach the server, without a slash at the
    /// end: `http://lotse.example.org`. Without it: the first address listened on.
    pub url: Option<String>,
    /// The host (and port) in the names of images (`CI_REGISTRY`). Without it: that of `url`.
    pub registry: Option<String>,
    /// Where included files may come from that are in none of the repositories.
    pub elsewhere: Elsewhere,
}

/// Where included files may come from that are in none of the server's repositories.
#[derive(Debug, Clone, Default)]
pub struct Elsewhere {
    /// The folder of the files that `include: template` names, if there is one.
    pub templates: Option<PathBuf>,
    /// The addresses that `include: remote` may lead to.
    pub reach: Reach,
}

/// [`Config`] with every choice made.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub url: String,
    /// Empty where there is no registry.
    pub registry: String,
}

impl Config {
    /// Fills in what was left open, now that the first address is known (it may have had port 0).
    pub(crate) fn addresses(&self, first: SocketAddr) -> Addresses {
        let url = match &self.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{first}"),
        };
        let registry = match &self.registry {
            Some(registry) => registry.clone(),
            None => authority(&url).to_owned(),
        };
        Addresses { url, registry }
    }
}

impl Addresses {
    /// The host in the names of images, when there is a registry.
    pub(crate) fn registry(&self) -> Option<&str> {
        Some(self.registry.as_str()).filter(|registry| !registry.is_empty())
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &str {
        self.url
            .split_once("://")
            .map_or("http", |(scheme, _)| scheme)
    }

    /// Host and port as written in the address.
    pub(crate) fn authority(&self) -> &str {
        authority(&self.url)
    }

    /// The host alone.
    pub(crate) fn host(&self) -> &str {
        let authority = self.authority();
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        }
    }

    /// The port, as text.
    pub(crate) fn port(&self) -> &str {
        match self.authority().rsplit_once(':') {
            Some((_, port)) if port.bytes().all(|b| b.is_ascii_digit()) => port,
            _ if self.scheme() == "https" => "443",
            _ => "80",
        }
    }

    /// The address of a page or an endpoint below `/`.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_address() {
        let config = Config {
            data: PathBuf::new(),
            listen: Vec::new(),
            url: Some("https://ci.example.org:8443/".into()),
            registry: None,
            elsewhere: Elsewhere::default(),
        };
        let addresses = config.addresses("127.0.0.1:80".parse().unwrap());
        assert_eq!(addresses.url, "https://ci.example.org:8443");
        assert_eq!(addresses.registry, "ci.example.org:8443");
        assert_eq!(
            (addresses.host(), addresses.port()),
            ("ci.example.org", "8443")
        );
        assert_eq!(addresses.page("a/b"), "https://ci.example.org:8443/a/b");
    }

    #[test]
    fn the_first_listener_is_the_address_when_none_is_given() {
        let config = Config {
            data: PathBuf::new(),
            listen: Vec::new(),
            url: None,
            registry: None,
            elsewhere: Elsewhere::default(),
        };
        let addresses = config.addresses("127.0.0.1:4711".parse().unwrap());
        assert_eq!(addresses.url, "http://127.0.0.1:4711");
        assert_eq!(addresses.registry, "127.0.0.1:4711");
        assert_eq!(addresses.port(), "4711");
    }
}
