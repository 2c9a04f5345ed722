//! Where a machine is: `ssh://[user@]host[:port][/path]`, as in `DOCKER_HOST`.

use std::fmt;
use std::str::FromStr;

/// A machine's address. What it leaves out, the user's configuration or the defaults say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SshAddress {
    /// Who comes.
    pub user: Option<String>,
    /// The machine: a name, an address (IPv6 without brackets), or a `Host` of `~/.ssh/config`.
    pub host: String,
    /// The port of its sshd.
    pub port: Option<u16>,
    /// A path on the machine; what it means is up to whoever asks for it.
    pub path: Option<String>,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It has another form.
    #[error("`{0}` is no address: expected ssh://[USER@]HOST[:PORT][/PATH]")]
    Form(String),
    /// It has a password in it, which is not repeated here.
    #[error("the address has a password in it: use a key, and write ssh://USER@HOST")]
    Password,
}

impl FromStr for SshAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text.strip_prefix("ssh://");
        let rest = rest.ok_or_else(|| AddressError::Form(short(text)))?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(AddressError::Password);
        }
        let form = || AddressError::Form(short(text));
        let (host, port) = host_and_port(place).ok_or_else(form)?;
        let is_fit = is_host(host) && user.is_none_or(is_word);
        if !is_fit || !path.chars().all(|char| !char.is_control()) {
            return Err(form());
        }
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            path: (path.len() > 1).then(|| path.to_owned()),
        })
    }
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port_of(port)?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, Some(port_of(port)?))),
        None => Some((text, None)),
    }
}

fn port_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|&port| port != 0)
}

/// A name that begins with `-` would be an option to the tools that people compare us with.
fn is_host(text: &str) -> bool {
    let fits = |char: char| char.is_alphanumeric() || "._-:%".contains(char);
    !text.is_empty() && text.len() <= 255 && !text.starts_with('-') && text.chars().all(fits)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control())
}

impl fmt::Display for SshAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.path.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in [
            "ssh://web-01",
            "ssh://deploy@web-01",
            "ssh://deploy@web-01:2222/run/user/1000/docker.sock",
            "ssh://[::1]:22",
            "ssh://u@[fe80::1%eth0]",
        ] {
            assert_eq!(text.parse::<SshAddress>().unwrap().to_string(), text);
        }
        let address: SshAddress = "ssh://web-01/".parse().unwrap();
        assert_eq!(address.path, None);
    }

    #[test]
    fn what_is_no_address_says_so() {
        for bad in [
            "",
            "web-01",
            "ssh://",
            "ssh://@web",
            "ssh://-oProxyCommand=x",
            "ssh://web:0",
            "ssh://web:99999",
            "ssh://web:x",
            "ssh://[::1",
            "ssh://[::1]x",
            "ssh://a b",
            "tcp://web",
        ] {
            assert!(bad.parse::<SshAddress>().is_err(), "{bad}");
        }
        let error = "ssh://deploy:hunter2@web"
            .parse::<SshAddress>()
            .unwrap_err();
        assert_eq!(error, AddressError::Password);
        assert!(!error.to_string().contains("hunter2"));
    }
}
