//! The lab's key pair, the hosts' keys, and the files by which `ssh` uses and trusts them.

use std::path::{Path, PathBuf};

use crate::folder::{Folder, replace};
use crate::name::HostName;
use crate::record::{HostRecord, Record};
use crate::subnet::Subnet;
use crate::tool::Tools;
use crate::{Error, Result};

/// A lab's keys; all files are in the lab's folder and root's only.
pub(crate) struct Keys(PathBuf);

/// What a host needs of them.
pub(crate) struct HostKeys {
    /// The key by which root enters every host of the lab.
    pub(crate) user_key: Vec<u8>,
    pub(crate) user_public_key: Vec<u8>,
    pub(crate) host_key: Vec<u8>,
    pub(crate) known_hosts: Vec<u8>,
}

impl Keys {
    pub(crate) fn of(folder: &Folder) -> Self {
        Self(folder.keys())
    }

    /// Makes the keys that are missing and writes `known_hosts` and the client's configuration.
    pub(crate) fn ensure(&self, tools: &Tools<'_>, record: &Record, subnet: Subnet) -> Result<()> {
        make_key(tools, &self.user_key(), &format!("lab {}", record.name))?;
        for host in &record.hosts {
            make_key(tools, &self.host_key(&host.name), host.name.as_str())?;
        }
        let known_hosts = record
            .hosts
            .iter()
            .map(|host| self.known_host(host, subnet))
            .collect::<Result<String>>()?;
        replace(&self.known_hosts(), known_hosts.as_bytes(), 0o600)
            .map_err(Error::file("write the lab's known_hosts"))?;
        let config = self.client_config(record, subnet);
        replace(&self.config(), config.as_bytes(), 0o600)
            .map_err(Error::file("write the lab's ssh configuration"))
    }

    pub(crate) fn for_host(&self, host: &HostName) -> Result<HostKeys> {
        Ok(HostKeys {
            user_key: read(&self.user_key())?,
            user_public_key: read(&public(&self.user_key()))?,
            host_key: read(&self.host_key(host))?,
            known_hosts: read(&self.known_hosts())?,
        })
    }

    /// The configuration to be given to `ssh -F`.
    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("config")
    }

    fn user_key(&self) -> PathBuf {
        self.0.join("id_ed25519")
    }

    fn host_key(&self, host: &HostName) -> PathBuf {
        self.0.join(format!("host-{host}"))
    }

    fn known_hosts(&self) -> PathBuf {
        self.0.join("known_hosts")
    }

    fn known_host(&self, host: &HostRecord, subnet: Subnet) -> Result<String> {
        let key = read(&public(&self.host_key(&host.name)))?;
        let key = String::from_utf8_lossy(&key);
        let key = key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        Ok(format!(
            "{name},{name}.lab,{address} {key}\n",
            name = host.name,
            address = subnet.address(host.seat)
        ))
    }

    fn client_config(&self, record: &Record, subnet: Subnet) -> String {
        let hosts = record.hosts.iter().map(|host| {
            format!(
                "Host {name} {name}.lab {address}\n  HostName {address}\n",
                name = host.name,
                address = subnet.address(host.seat)
            )
        });
        let rest = format!(
            "Host *\n  User root\n  IdentityFile \"{}\"\n  IdentitiesOnly yes\n  UserKnownHostsFile \"{}\"\n  StrictHostKeyChecking yes\n",
            self.user_key().display(),
            self.known_hosts().display()
        );
        hosts.chain([rest]).collect()
    }
}

/// The key counts as made once its private half has its name; until then it has another one.
fn make_key(tools: &Tools<'_>, path: &Path, comment: &str) -> Result<()> {
    if path.is_file() {
        return Ok(());
    }
    let new = path.with_extension("new");
    let _ = fs_err::remove_file(&new);
    let file = new.display().to_string();
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", &file];
    tools.run("ssh-keygen", &arguments)?;
    // `ssh-keygen` appends where `with_extension` replaces.
    let made = [
        (PathBuf::from(format!("{file}.pub")), public(path)),
        (new, path.to_owned()),
    ];
    let mut moves = made.iter().map(|(from, to)| fs_err::rename(from, to));
    moves.try_for_each(|moved| moved.map_err(Error::file("keep a key of the lab")))
}

fn public(path: &Path) -> PathBuf {
    path.with_extension("pub")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs_err::read(path).map_err(Error::file("read a key of the lab"))
}
