//! What the user has logged in to: `~/.config/lotse/config.toml`, readable by its owner alone.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use fs_err::os::unix::fs::OpenOptionsExt as _;
use model::Secret;
use serde::{Deserialize, Serialize};

use super::ServerAddress;
use crate::output::Failure;

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    /// The server that is meant when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    /// All servers, by address.
    #[serde(default)]
    servers: BTreeMap<String, Login>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: Secret,
}

impl Configuration {
    /// Reads the file; empty when there is none.
    pub(crate) fn load() -> Result<Self, Failure> {
        let path = path()?;
        let text = match fs_err::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(Failure::user("cannot read the configuration").because(&error));
            }
        };
        toml::from_str(&text).map_err(|error| {
            // The error's full text quotes the line, which may hold a token.
            let line = error
                .span()
                .map_or(0, |span| text[..span.start].lines().count().max(1));
            Failure::user(format!("{}:{line}: {}", path.display(), error.message()))
                .hint("mend the file, or delete it and log in again with `lotse login URL`")
        })
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn save(&self) -> Result<PathBuf, Failure> {
        let path = path()?;
        let text = toml::to_string(self)
            .map_err(|error| Failure::internal("cannot write TOML").because(&error))?;
        write_private(&path, text.as_bytes())
            .map_err(|error| Failure::user("cannot store the configuration").because(&error))?;
        Ok(path)
    }

    /// Remembers a login, and means this server from now on.
    pub(crate) fn log_in(&mut self, server: &ServerAddress, token: Secret) {
        self.server = Some(server.to_string());
        self.servers.insert(server.to_string(), Login { token });
    }

    /// The server that is meant when none is named.
    pub(crate) fn server(&self) -> Option<ServerAddress> {
        self.server.as_ref()?.parse().ok()
    }

    pub(crate) fn token(&self, server: &ServerAddress) -> Option<Secret> {
        let login = self.servers.get(&server.to_string())?;
        Some(login.token.clone())
    }
}

fn path() -> Result<PathBuf, Failure> {
    let variable = |name: &str| {
        let value = std::env::var_os(name).map(PathBuf::from);
        value.filter(|path| path.is_absolute())
    };
    let folder = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    let folder = folder.ok_or_else(|| {
        Failure::user("there is no place for the configuration: HOME is not set")
            .hint("set HOME, or give LOTSE_URL and LOTSE_TOKEN")
    })?;
    Ok(folder.join("lotse/config.toml"))
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if !folder.is_dir() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let new = folder.join(format!("config.toml.{}", std::process::id()));
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.mode(0o600);
    let mut file = options.open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs_err::rename(&new, path)
}
