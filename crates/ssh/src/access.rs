//! How this side proves who it is, and whom it trusts: all of it values, so that nothing here reads
//! the process's environment.

use std::path::{Path, PathBuf};

use crate::hidden::Hidden;

/// The files and keys that connections are made with.
#[derive(Debug, Clone)]
pub struct Access {
    /// Who comes, where neither the address nor a configuration says it.
    pub user: String,
    /// What `~` means in configurations.
    pub home: PathBuf,
    /// Files in the form of `ssh_config(5)`; what the first says goes before. Absent ones are none.
    pub configs: Vec<PathBuf>,
    /// Keys that are tried before all others.
    pub keys: Vec<KeySource>,
    /// The socket of an ssh-agent.
    pub agent: Option<PathBuf>,
    /// Key files that are tried where the configuration names none. Absent ones are none.
    pub default_keys: Vec<PathBuf>,
    /// Opens keys that have a passphrase.
    pub passphrase: Option<Hidden>,
    /// Where host keys are pinned, in the form of known_hosts (`sshd(8)`). Absent files are none.
    pub trust: Vec<TrustSource>,
}

/// Where a private key comes from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// The key itself.
    Text {
        /// What messages call it, such as the variable's name.
        name: String,
        /// The key in OpenSSH's or PEM form. Line ends of DOS do no harm.
        text: Hidden,
    },
    /// A file; it must be there.
    File(PathBuf),
}

/// Where host keys are pinned.
#[derive(Debug, Clone)]
pub enum TrustSource {
    /// The lines themselves.
    Text {
        /// What messages call it, such as the variable's name.
        name: String,
        /// The lines.
        text: String,
    },
    /// A file.
    File(PathBuf),
}

impl Access {
    /// What `ssh` itself would look at for this user.
    pub fn of_user(user: impl Into<String>, home: impl Into<PathBuf>) -> Self {
        let home = home.into();
        let ssh = home.join(".ssh");
        let keys = ["id_ed25519", "id_ecdsa", "id_rsa"];
        let trust = [
            ssh.join("known_hosts"),
            ssh.join("known_hosts2"),
            "/etc/ssh/ssh_known_hosts".into(),
            "/etc/ssh/ssh_known_hosts2".into(),
        ];
        Self {
            user: user.into(),
            configs: vec![ssh.join("config"), "/etc/ssh/ssh_config".into()],
            keys: Vec::new(),
            agent: None,
            default_keys: keys.iter().map(|name| ssh.join(name)).collect(),
            passphrase: None,
            trust: trust.map(TrustSource::File).to_vec(),
            home,
        }
    }

    /// The path with `~` written out.
    pub(crate) fn whole_path(&self, path: &str) -> PathBuf {
        match path.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => Path::new(path).to_owned(),
        }
    }
}

impl KeySource {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Text { name, .. } => name.clone(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

impl TrustSource {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Text { name, .. } => name.clone(),
            Self::File(path) => path.display().to_string(),
        }
    }
}
