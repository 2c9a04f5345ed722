//! Why a machine cannot be reached, and how to mend it.

use std::io;
use std::time::Duration;

/// Why there is no stream to a machine.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// A configuration file has a mistake, or asks for what is not carried out.
    #[error("{place}: {why}")]
    Config {
        /// File and line.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The way leads over another machine.
    #[error("{place}: the way to `{host}` goes by {option}, which Lotse cannot go")]
    Proxy {
        /// The host as it was given.
        host: String,
        /// The option.
        option: &'static str,
        /// File and line.
        place: String,
    },
    /// A file with pinned host keys cannot be read.
    #[error("cannot read the pinned host keys of {0}")]
    Trust(String, #[source] io::Error),
    /// A line with a marker has a mistake.
    #[error("{0} has a marker, but no key that can be read")]
    TrustLine(String),
    /// No host key is pinned.
    #[error("nobody has pinned a host key of {host}; it shows the key {fingerprint}{}", places_of(.consulted))]
    UnknownHost {
        /// The host, with its port.
        host: String,
        /// The key's fingerprint.
        fingerprint: String,
        /// The line that pins the key.
        line: String,
        /// Where pinned keys were looked for.
        consulted: Vec<String>,
    },
    /// Other keys are pinned.
    #[error(
        "THE HOST KEY OF {host} HAS CHANGED: it shows {fingerprint}, which is none of those pinned at {}; \
         somebody may be between you and the host",
        .places.join(", ")
    )]
    ChangedHost {
        /// The host, with its port.
        host: String,
        /// The fingerprint of the key that it shows.
        fingerprint: String,
        /// The lines that pin others.
        places: Vec<String>,
        /// The line that would pin this one.
        line: String,
    },
    /// The key is known to be in wrong hands.
    #[error("THE HOST KEY OF {host} IS REVOKED at {place}: {fingerprint} is not to be trusted")]
    RevokedHost {
        /// The host, with its port.
        host: String,
        /// The key's fingerprint.
        fingerprint: String,
        /// The line that revokes it.
        place: String,
    },
    /// Only authorities are pinned.
    #[error("{place} trusts certificates of an authority for {host}, which Lotse does not check")]
    Authority {
        /// The host, with its port.
        host: String,
        /// The line.
        place: String,
        /// The line that pins the host's own key.
        line: String,
    },
    /// There is no connection.
    #[error("cannot connect to {host}")]
    Connect {
        /// The host, with its port.
        host: String,
        /// Why not.
        source: io::Error,
    },
    /// Both sides cannot agree, or the other one is no sshd.
    #[error("{host} does not speak SSH with us: {why}")]
    Handshake {
        /// The host, with its port.
        host: String,
        /// Why not.
        why: String,
    },
    /// It took too long.
    #[error("{host} did not answer within {} s", .limit.as_secs())]
    TimedOut {
        /// The host, with its port.
        host: String,
        /// The time that it had.
        limit: Duration,
    },
    /// A key that was asked for cannot be used.
    #[error("cannot use the private key of {name}: {why}")]
    Key {
        /// Where it comes from.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// No key opened the door.
    #[error("{host} does not let {user} in{}", list_of(.tried))]
    Refused {
        /// The host, with its port.
        host: String,
        /// Who wanted in.
        user: String,
        /// What was tried.
        tried: Vec<String>,
    },
    /// The connection ended.
    #[error("the SSH connection to {host} broke: {why}")]
    Broken {
        /// The host, with its port.
        host: String,
        /// Why.
        why: String,
    },
    /// The host opens no stream to the socket.
    #[error("{host} does not open {path}: {why}")]
    Socket {
        /// The host, with its port.
        host: String,
        /// The socket.
        path: String,
        /// The host's reason.
        why: String,
    },
    /// The host starts no command.
    #[error("{host} does not run `{command}`: {why}")]
    Command {
        /// The host, with its port.
        host: String,
        /// The command.
        command: String,
        /// The host's reason.
        why: String,
    },
}

impl SshError {
    /// How to mend it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Config { .. } => {
                "mend the line, or name another file in LOTSE_SSH_CONFIG (`none` for no file)".to_owned()
            }
            Self::Proxy { host, .. } => format!(
                "give an address that is reached directly, or open the way yourself: \
                 `ssh -N -L 2222:localhost:22 {host}`, then ssh://USER@localhost:2222"
            ),
            Self::Trust(..) | Self::TrustLine(_) => "mend the file".to_owned(),
            Self::UnknownHost { line, .. } => format!(
                "compare it with what the host's administrator says (`ssh-keygen -lf \
                 /etc/ssh/ssh_host_ed25519_key.pub` there); when it is the same, add this line to \
                 ~/.ssh/known_hosts or to the variable SSH_KNOWN_HOSTS:\n{line}"
            ),
            Self::ChangedHost { line, .. } => format!(
                "ask the host's administrator; only when the key was changed on purpose, replace the \
                 pinned line by:\n{line}"
            ),
            Self::RevokedHost { .. } => "the host needs a new key".to_owned(),
            Self::Authority { line, .. } => format!(
                "pin the host's own key as well, when it is the right one:\n{line}"
            ),
            Self::Connect { source, .. } => match source.kind() {
                io::ErrorKind::ConnectionRefused => "does sshd run there, at that port?".to_owned(),
                _ => "is the name right and the host up, and does a firewall let the connection through?".to_owned(),
            },
            Self::TimedOut { .. } | Self::Broken { .. } => "is the host up, and the way to it?".to_owned(),
            Self::Key { .. } => {
                "a key in OpenSSH's or PEM form is needed; LOTSE_SSH_KEY_PASSPHRASE opens one that has a passphrase".to_owned()
            }
            Self::Refused { user, .. } => format!(
                "does ~/.ssh/authorized_keys of {user} on the host have the public half of a key that was tried? \
                 `ssh-add` or LOTSE_SSH_KEY give further ones"
            ),
            Self::Handshake { .. } | Self::Socket { .. } | Self::Command { .. } => return None,
        })
    }
}

fn places_of(consulted: &[String]) -> String {
    match consulted.is_empty() {
        true => String::new(),
        false => format!(" (looked for in {})", consulted.join(", ")),
    }
}

fn list_of(tried: &[String]) -> String {
    match tried.is_empty() {
        true => ": there is no key to come with".to_owned(),
        false => format!("; tried {}", tried.join(", ")),
    }
}
