//! Where a server is.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

/// The address of a server, `http://host:8080` or `https://host/lotse`, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServerAddress(Url);

impl ServerAddress {
    /// The address of a part of the API; each segment is escaped as a whole.
    pub(crate) fn api(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        url.path_segments_mut()
            .expect("an http address has a path: it was checked when it was parsed")
            .pop_if_empty()
            .extend(["api", "v4"])
            .extend(segments);
        url
    }

    /// The host, with the port where it is not the usual one: `CI_SERVER_FQDN`.
    pub(crate) fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Whether TLS is spoken there.
    pub(crate) fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it is on this machine, so that no proxy leads there.
    pub(crate) fn is_here(&self) -> bool {
        self.0.host_str().is_some_and(runner::is_this_machine)
    }

    /// The project that a git remote of this server names.
    pub(crate) fn project_of_remote(&self, remote: &str) -> Option<model::ProjectPath> {
        let mut url: Url = remote.parse().ok()?;
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        let same = url.origin() == self.0.origin();
        let path = url
            .path()
            .strip_prefix(self.0.path().trim_end_matches('/'))?;
        let path = path.strip_prefix('/')?.trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        path.parse().ok().filter(|_| same)
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url: Url = text
            .parse()
            .map_err(|error| format!("{error}; write it as http://host:port or https://host"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err("write it as http://host:port or https://host".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address holds no name and no password: give a token".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("an address ends before `?` and `#`".to_owned());
        }
        Ok(Self(url))
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_addresses_escape_projects() {
        for (server, expected) in [
            ("http://h:1", "http://h:1/api/v4/projects/a%2Fb"),
            ("https://h/lotse/", "https://h/lotse/api/v4/projects/a%2Fb"),
        ] {
            let server: ServerAddress = server.parse().unwrap();
            assert_eq!(server.api(&["projects", "a/b"]).as_str(), expected);
        }
    }

    #[test]
    fn remotes() {
        let server: ServerAddress = "http://h:8080".parse().unwrap();
        for (remote, expected) in [
            ("http://h:8080/group/name.git", Some("group/name")),
            ("http://me:secret@h:8080/a/b/c", Some("a/b/c")),
            ("http://other:8080/group/name.git", None),
            ("https://h:8080/group/name.git", None),
            ("git@h:group/name.git", None),
            ("http://h:8080/name", None),
        ] {
            let found = server.project_of_remote(remote);
            assert_eq!(found.as_ref().map(|p| p.as_str()), expected, "{remote}");
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in ["", "host:8080", "ftp://h", "http://u:p@h", "http://h?x=1"] {
            assert!(text.parse::<ServerAddress>().is_err(), "{text}");
        }
    }
}
