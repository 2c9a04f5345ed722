//! A folder that several hosts of a lab have in common: it stands for a network file system.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::{HostName, InvalidName};

/// Below these a host has nothing of the machine, so a share hides nothing.
const PLACES: [&str; 4] = ["/storage", "/srv", "/mnt", "/media"];

/// Where the hosts see a shared folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SharePath(String);

model::text_conversions!(SharePath, InvalidName);

impl SharePath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder's name among the shares of a lab: no two paths have the same.
    pub(crate) fn folder_name(&self) -> String {
        self.0.trim_start_matches('/').replace('/', "_")
    }
}

impl FromStr for SharePath {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_part = |part: &str| {
            let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            !part.is_empty() && part.bytes().all(allowed)
        };
        let is_free = |place: &&str| {
            let rest = text.strip_prefix(*place);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let parts = text.strip_prefix('/').unwrap_or_default().split('/');
        if text.len() <= 200 && PLACES.iter().any(is_free) && parts.into_iter().all(is_part) {
            return Ok(Self(text.to_owned()));
        }
        let rule =
            "must be /storage, /srv, /mnt, /media or a folder below one of them, of a-z, 0-9 and -";
        Err(InvalidName::new("the shared folder", text, rule))
    }
}

/// A shared folder and who has it: `PATH=HOST,HOST`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Where the hosts see it.
    pub path: SharePath,
    /// The hosts that have it.
    pub hosts: Vec<HostName>,
}

impl FromStr for Share {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let rule = "must read PATH=HOST,HOST";
        let (path, hosts) = text
            .split_once('=')
            .ok_or_else(|| InvalidName::new("the share", text, rule))?;
        Ok(Self {
            path: path.parse()?,
            hosts: hosts.split(',').map(str::parse).collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(HostName::as_str).collect();
        write!(f, "{}={}", self.path, hosts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_free_place_and_its_hosts() {
        for text in ["/storage=one,two", "/srv/site-2/files=one", "/mnt=one"] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), text);
        }
        for wrong in [
            "/storage",
            "/storage=",
            "/storage=one,",
            "storage=one",
            "/=one",
            "/usr=one",
            "/storage2=one",
            "/storage/../usr=one",
            "/storage//a=one",
            "/storage/a_b=one",
        ] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
