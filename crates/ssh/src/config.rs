//! What `ssh_config(5)` files say about a host: where it is, who comes, and with which key.
//!
//! As in OpenSSH the first value wins. Options that change the way to a host and that are not
//! carried out here (`ProxyJump`, `Match exec`) are errors where they apply; those that only change
//! how a terminal session looks are none of our business.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::access::Access;
use crate::error::SshError;
use crate::pattern::{list_matches, matches};

/// No configuration of a person is larger, in bytes.
const LARGEST: u64 = 1 << 20;
/// As many levels of `Include` as OpenSSH allows.
const DEEPEST: usize = 16;
/// Options of which each line adds one.
const COLLECTED: &str = "identityfile";

/// What is said about one host.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HostConfig {
    pub(crate) host_name: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) key_files: Vec<PathBuf>,
    pub(crate) only_these_keys: bool,
    /// In place of the usual files of the user.
    pub(crate) known_hosts: Option<Vec<PathBuf>>,
    /// The name that its key is pinned under.
    pub(crate) key_alias: Option<String>,
    /// `Some(None)`: none shall be asked.
    pub(crate) agent: Option<Option<PathBuf>>,
}

/// Reads what the configurations say about a host.
pub(crate) fn read(access: &Access, host: &str) -> Result<HostConfig, SshError> {
    let mut reader = Reader {
        access,
        host,
        said: BTreeMap::new(),
        key_files: Vec::new(),
    };
    for config in &access.configs {
        reader.file(config, 0)?;
    }
    reader.finish()
}

struct Reader<'a> {
    access: &'a Access,
    host: &'a str,
    /// The first value of each option, and where it stands.
    said: BTreeMap<String, Said>,
    key_files: Vec<String>,
}

struct Said {
    values: Vec<String>,
    place: String,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), SshError> {
        let text = match text_of(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(wrong(path.display(), error.to_string())),
        };
        let mut applies = true;
        for (index, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), index + 1);
            let Some((option, values)) = words(line).map_err(|why| wrong(&place, why))? else {
                continue;
            };
            match option.as_str() {
                "host" => applies = list_matches(values.iter().map(String::as_str), self.host),
                "match" => applies = self.applies(&values).map_err(|why| wrong(&place, why))?,
                _ if !applies => {}
                "include" if depth == DEEPEST => {
                    return Err(wrong(&place, "too many files include each other"));
                }
                "include" => {
                    for file in included(self.access, path, &values) {
                        self.file(&file, depth + 1)?;
                    }
                }
                COLLECTED => self.key_files.extend(values),
                _ => {
                    self.said.entry(option).or_insert(Said { values, place });
                }
            }
        }
        Ok(())
    }

    /// Whether the conditions of a `Match` hold.
    fn applies(&self, criteria: &[String]) -> Result<bool, String> {
        let mut all = true;
        let mut words = criteria.iter();
        while let Some(word) = words.next() {
            let (name, negated) = match word.strip_prefix('!') {
                Some(name) => (name.to_lowercase(), true),
                None => (word.to_lowercase(), false),
            };
            let holds = match name.as_str() {
                "all" => true,
                // Both speak of a second reading, which there is none of.
                "canonical" | "final" => false,
                "host" | "originalhost" | "user" | "localuser" => {
                    let patterns = words.next().map_or("", String::as_str);
                    list_matches(patterns.split(','), self.subject(&name))
                }
                other => return Err(format!("the condition `Match {other}` is not understood")),
            };
            all &= holds != negated;
        }
        Ok(all)
    }

    fn subject(&self, criterion: &str) -> &str {
        match criterion {
            "host" => self.first("hostname").unwrap_or(self.host),
            "originalhost" => self.host,
            "user" => self.first("user").unwrap_or(&self.access.user),
            _ => &self.access.user,
        }
    }

    fn first(&self, option: &str) -> Option<&str> {
        Some(self.said.get(option)?.values.first()?)
    }

    fn finish(&self) -> Result<HostConfig, SshError> {
        for proxy in ["proxyjump", "proxycommand"] {
            if let Some(said) = self.said.get(proxy)
                && !said
                    .values
                    .iter()
                    .all(|value| value.eq_ignore_ascii_case("none"))
            {
                return Err(SshError::Proxy {
                    host: self.host.to_owned(),
                    option: if proxy == "proxyjump" {
                        "ProxyJump"
                    } else {
                        "ProxyCommand"
                    },
                    place: said.place.clone(),
                });
            }
        }
        let own = |option: &str| self.first(option).map(|value| self.written_out(value));
        Ok(HostConfig {
            host_name: own("hostname"),
            user: own("user"),
            port: self.port()?,
            key_files: self.paths(&self.key_files),
            only_these_keys: self.first("identitiesonly").is_some_and(is_yes),
            known_hosts: self.known_hosts(),
            key_alias: own("hostkeyalias"),
            agent: self.agent(),
        })
    }

    fn port(&self) -> Result<Option<u16>, SshError> {
        let Some(said) = self.said.get("port") else {
            return Ok(None);
        };
        let port = said.values.first().and_then(|text| text.parse().ok());
        match port {
            Some(port) if port != 0 => Ok(Some(port)),
            _ => Err(wrong(&said.place, "the port is no number from 1 to 65535")),
        }
    }

    fn known_hosts(&self) -> Option<Vec<PathBuf>> {
        let files = |option: &str| self.said.get(option).map(|said| self.paths(&said.values));
        let (own, global) = (files("userknownhostsfile"), files("globalknownhostsfile"));
        match (own, global) {
            (None, None) => None,
            (own, global) => Some(own.into_iter().chain(global).flatten().collect()),
        }
    }

    fn agent(&self) -> Option<Option<PathBuf>> {
        match self.first("identityagent")? {
            "SSH_AUTH_SOCK" => None,
            text if text.eq_ignore_ascii_case("none") => Some(None),
            text => Some(Some(self.access.whole_path(&self.written_out(text)))),
        }
    }

    fn paths(&self, values: &[String]) -> Vec<PathBuf> {
        let named = values
            .iter()
            .filter(|value| !value.eq_ignore_ascii_case("none"));
        named
            .map(|value| self.access.whole_path(&self.written_out(value)))
            .collect()
    }

    /// The tokens of `ssh_config(5)` that a path or a name can have.
    fn written_out(&self, text: &str) -> String {
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                out.push(char);
                continue;
            }
            match chars.next() {
                Some('h') => out += self.target(),
                Some('n') => out += self.host,
                Some('p') => out += self.first("port").unwrap_or("22"),
                Some('r') => out += self.first("user").unwrap_or(&self.access.user),
                Some('u') => out += &self.access.user,
                Some('d') => out += &self.access.home.to_string_lossy(),
                Some(other) => out.push(other),
                None => out.push('%'),
            }
        }
        out
    }

    /// `%h` is the name that is connected to; in `HostName` itself, the one that was given.
    fn target(&self) -> &str {
        match self.first("hostname") {
            Some(name) if !name.contains('%') => name,
            _ => self.host,
        }
    }
}

fn is_yes(text: &str) -> bool {
    text.eq_ignore_ascii_case("yes") || text.eq_ignore_ascii_case("true")
}

fn wrong(place: impl ToString, why: impl Into<String>) -> SshError {
    SshError::Config {
        place: place.to_string(),
        why: why.into(),
    }
}

pub(crate) fn text_of(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(std::io::Error::other("it is larger than 1 MiB")),
        false => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// The option in lower case, and its values.
fn words(line: &str) -> Result<Option<(String, Vec<String>)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line.find(|char: char| char.is_whitespace() || char == '=');
    let (option, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Ok(Some((option.to_lowercase(), values(rest)?)))
}

fn values(text: &str) -> Result<Vec<String>, &'static str> {
    let mut values = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a quote does not end")?,
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                rest.split_at(end)
            }
        };
        values.push(value.to_owned());
        rest = after.trim_start();
    }
    Ok(values)
}

/// The files that an `Include` names; patterns are allowed in the last part of a path.
fn included(access: &Access, from: &Path, values: &[String]) -> Vec<PathBuf> {
    let folder = from.parent().unwrap_or(Path::new("/"));
    let mut files = Vec::new();
    for value in values {
        let path = folder.join(access.whole_path(value));
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        match (path.parent(), name) {
            (Some(folder), Some(name)) if name.contains(['*', '?']) => {
                files.extend(matching(folder, &name));
            }
            _ => files.push(path),
        }
    }
    files
}

/// In the order of their names; hidden files only where the pattern asks for them, as in a shell.
fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            matches(pattern, &name) && (pattern.starts_with('.') || !name.starts_with('.'))
        })
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a configuration says about a host, beside a file `extra.conf` that can be included.
    fn check(config: &str, host: &str) -> Result<HostConfig, SshError> {
        let home = tempfile::tempdir().unwrap();
        let ssh = home.path().join(".ssh");
        fs_err::create_dir_all(ssh.join("more")).unwrap();
        fs_err::write(ssh.join("config"), config).unwrap();
        fs_err::write(ssh.join("more/a.conf"), "Host inner\n  Port 4000\n").unwrap();
        fs_err::write(ssh.join("more/.hidden.conf"), "Port 1\n").unwrap();
        let mut access = Access::of_user("me", home.path());
        access.configs.truncate(1);
        let mut found = read(&access, host)?;
        let under = |path: &PathBuf| match path.strip_prefix(home.path()) {
            Ok(rest) => Path::new("~").join(rest),
            Err(_) => path.clone(),
        };
        found.key_files = found.key_files.iter().map(under).collect();
        Ok(found)
    }

    #[test]
    fn the_first_value_wins() {
        let config = "Port=2222\nHost web-* !web-9\n\tHostName \"%h.example.org\" # here\n  User deploy\n\
                      Host *\n  User other\n  Port 1\n  IdentityFile ~/.ssh/%n-key\n  IdentityFile /keys/all\n";
        let web = check(config, "web-1").unwrap();
        assert_eq!(web.host_name.as_deref(), Some("web-1.example.org"));
        assert_eq!(web.user.as_deref(), Some("deploy"));
        assert_eq!(web.port, Some(2222));
        assert_eq!(
            web.key_files,
            [Path::new("~/.ssh/web-1-key"), Path::new("/keys/all")]
        );
        let other = check(config, "web-9").unwrap();
        assert_eq!(
            (other.host_name, other.user.as_deref()),
            (None, Some("other"))
        );
    }

    #[test]
    fn match_and_include() {
        let config = "Include more/*.conf\nMatch originalhost inner user me\n  User one\n\
                      Match !host inner\n  User two\nMatch final\n  User three\n";
        let inner = check(config, "inner").unwrap();
        assert_eq!(
            (inner.port, inner.user.as_deref()),
            (Some(4000), Some("one"))
        );
        let outer = check(config, "outer").unwrap();
        assert_eq!((outer.port, outer.user.as_deref()), (None, Some("two")));
    }

    #[test]
    fn what_is_not_carried_out_is_an_error_where_it_applies() {
        let config = "Host far\n  ProxyJump gate\nHost near\n  ProxyJump none\nHost odd\n  Port x\n\
                      Host last\n  Include config\nHost late\nMatch exec \"true\"\n";
        for (host, says) in [
            ("far", "ProxyJump"),
            ("odd", "the port is no number"),
            ("last", "include each other"),
        ] {
            let config = config.replace("Match exec \"true\"\n", "");
            let error = check(&config, host).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("config:"), "{error}");
        }
        let error = check(config, "near").unwrap_err().to_string();
        assert!(
            error.contains("config:10: the condition `Match exec`"),
            "{error}"
        );
        assert!(check("User \"me\n", "x").is_err());
        assert_eq!(check("", "x").unwrap(), HostConfig::default());
    }
}
