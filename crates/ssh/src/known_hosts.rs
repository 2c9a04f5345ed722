//! Pinned host keys: known_hosts as `sshd(8)` describes it, with hashed names, patterns, ports and
//! markers.
//!
//! A key is accepted when a line pins it for this host. There is no way to accept an unknown one.

use std::io::ErrorKind;

use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, PublicKey};
use sha1::Sha1;

use crate::access::TrustSource;
use crate::config::text_of;
use crate::error::SshError;
use crate::pattern::list_matches;

const DEFAULT_PORT: u16 = 22;

/// The lines that speak of one host.
#[derive(Debug)]
pub(crate) struct Pinned {
    lines: Vec<Line>,
    /// What was looked through, for messages.
    pub(crate) consulted: Vec<String>,
}

#[derive(Debug)]
struct Line {
    key: PublicKey,
    marker: Option<Marker>,
    place: String,
}

/// What is pinned says of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the one.
    Known,
    /// Nothing is pinned for this host.
    Unknown,
    /// Others are pinned, at these places.
    Changed(Vec<String>),
    /// It was revoked, at this place.
    Revoked(String),
    /// Only authorities are pinned, at this place.
    Authority(String),
}

impl Pinned {
    /// Looks through all sources for a host.
    pub(crate) fn read(sources: &[TrustSource], host: &str, port: u16) -> Result<Self, SshError> {
        let name = name_of(host, port);
        let mut pinned = Self {
            lines: Vec::new(),
            consulted: Vec::new(),
        };
        for source in sources {
            let text = match source {
                TrustSource::Text { text, .. } => text.clone(),
                TrustSource::File(path) => match text_of(path) {
                    Ok(text) => text,
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(SshError::Trust(source.name(), error)),
                },
            };
            pinned.consulted.push(source.name());
            pinned.add(&source.name(), &text, &name)?;
        }
        Ok(pinned)
    }

    fn add(&mut self, source: &str, text: &str, name: &str) -> Result<(), SshError> {
        for (index, line) in text.lines().enumerate() {
            let place = format!("{source}:{}", index + 1);
            // Tabs divide as well as spaces do.
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.parse::<Entry>() {
                Ok(entry) if speaks_of(entry.host_patterns(), name) => self.lines.push(Line {
                    key: entry.public_key().clone(),
                    marker: entry.marker().copied(),
                    place,
                }),
                Ok(_) => {}
                // A key that is revoked must not come in because its line has a mistake. Other
                // lines that nobody understands pin nothing.
                Err(_) if line.starts_with('@') => return Err(SshError::TrustLine(place)),
                Err(_) => {}
            }
        }
        Ok(())
    }

    pub(crate) fn verdict(&self, key: &PublicKey) -> Verdict {
        let is_same = |line: &&Line| line.key.key_data() == key.key_data();
        let of = |marker: Option<Marker>| self.lines.iter().filter(move |l| l.marker == marker);
        if let Some(line) = of(Some(Marker::Revoked)).find(is_same) {
            return Verdict::Revoked(line.place.clone());
        }
        if of(None).any(|line| is_same(&line)) {
            return Verdict::Known;
        }
        let others: Vec<String> = of(None).map(|line| line.place.clone()).collect();
        match (others.is_empty(), of(Some(Marker::CertAuthority)).next()) {
            (false, _) => Verdict::Changed(others),
            (true, Some(line)) => Verdict::Authority(line.place.clone()),
            (true, None) => Verdict::Unknown,
        }
    }

    /// The kinds of the keys that are pinned: asked for first, so that the host shows one of them.
    pub(crate) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        let pinned = self.lines.iter().filter(|line| line.marker.is_none());
        pinned.map(|line| line.key.algorithm())
    }
}

/// The line that pins a key.
pub(crate) fn line_for(host: &str, port: u16, key: &PublicKey) -> String {
    let mut key = key.clone();
    key.set_comment("");
    let key = key.to_openssh().unwrap_or_default();
    format!("{} {}", name_of(host, port), key.trim_end())
}

fn name_of(host: &str, port: u16) -> String {
    let host = host.to_lowercase();
    match port {
        DEFAULT_PORT => host,
        _ => format!("[{host}]:{port}"),
    }
}

fn speaks_of(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::Patterns(patterns) => list_matches(patterns.iter().map(String::as_str), name),
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
            .is_ok_and(|hmac| hmac.chain_update(name).verify_slice(hash).is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const TWO: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";

    fn check(text: &str, host: &str, port: u16) -> Verdict {
        let source = TrustSource::Text {
            name: "VARIABLE".to_owned(),
            text: text.to_owned(),
        };
        let pinned = Pinned::read(&[source], host, port).unwrap();
        pinned.verdict(&PublicKey::from_openssh(ONE).unwrap())
    }

    fn at(line: usize) -> Vec<String> {
        vec![format!("VARIABLE:{line}")]
    }

    #[test]
    fn a_key_is_known_by_its_line() {
        // `ssh-keygen -H` made these of `web` and `[web]:2222`.
        let hashed =
            format!("|1|DAR2TAbwmJAkBqAfg4fCJg/ZU/k=|cp1lHDiZGbOqrZ+WjxWfC0vZR7I= {ONE}\n");
        for (text, host, port, verdict) in [
            (format!("web {ONE}"), "web", 22, Verdict::Known),
            (format!("web {ONE} comment\r\n"), "WEB", 22, Verdict::Known),
            (
                format!("\n# c\nweb,10.0.0.1\t{ONE}"),
                "10.0.0.1",
                22,
                Verdict::Known,
            ),
            (
                format!("*.example.org,!b.example.org {ONE}"),
                "a.example.org",
                22,
                Verdict::Known,
            ),
            (
                format!("*.example.org,!b.example.org {ONE}"),
                "b.example.org",
                22,
                Verdict::Unknown,
            ),
            (format!("[web]:2222 {ONE}"), "web", 2222, Verdict::Known),
            (format!("web {ONE}"), "web", 2222, Verdict::Unknown),
            (format!("[web]:2222 {ONE}"), "web", 22, Verdict::Unknown),
            (hashed, "web", 23, Verdict::Unknown),
            (format!("web {TWO}\nweb {ONE}"), "web", 22, Verdict::Known),
            (format!("web {TWO}"), "web", 22, Verdict::Changed(at(1))),
            (
                format!("web {ONE}\n@revoked * {ONE}"),
                "web",
                22,
                Verdict::Revoked("VARIABLE:2".into()),
            ),
            (format!("@revoked web {TWO}"), "web", 22, Verdict::Unknown),
            (
                format!("@cert-authority * {TWO}"),
                "web",
                22,
                Verdict::Authority("VARIABLE:1".into()),
            ),
            (
                format!("@cert-authority * {TWO}\nweb {ONE}"),
                "web",
                22,
                Verdict::Known,
            ),
            (
                "web what-is-this AAAA\nnonsense\n".to_owned(),
                "web",
                22,
                Verdict::Unknown,
            ),
        ] {
            assert_eq!(check(&text, host, port), verdict, "{text}");
        }
    }

    #[test]
    fn a_revoking_line_with_a_mistake_is_an_error() {
        let source = TrustSource::Text {
            name: "VARIABLE".to_owned(),
            text: format!("web {ONE}\n@revoked web ssh-ed25519 AAAA"),
        };
        let error = Pinned::read(&[source], "web", 22).unwrap_err();
        assert!(error.to_string().contains("VARIABLE:2"), "{error}");
    }

    #[test]
    fn the_line_to_add_is_understood() {
        let key = PublicKey::from_openssh(&format!("{ONE} someone@somewhere")).unwrap();
        let line = line_for("Web", 2222, &key);
        assert_eq!(line, format!("[web]:2222 {ONE}"));
        assert_eq!(check(&line, "web", 2222), Verdict::Known);
    }
}
