//! The runner's configuration file: which servers it works for, with which token, and how.
//!
//! One TOML file of mode 0600 (it holds tokens), replaced as a whole or not at all.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use model::Secret;
use serde::{Deserialize, Serialize};

/// What the file tells who opens it.
const HEAD: &str = "\
# The runners of this machine: `lotse runner register` adds one, `lotse runner run` has them work.
# Beside what is here a [[runner]] may have:
#   shell = \"sh\"                     in place of bash
#   ca_file = \"/path/of/ca.pem\"      certificates to trust beyond the system's
#   environment = { NAME = \"value\" } variables for every job
# Comments of your own are not kept.

";
const DEFAULT_CONCURRENT: u32 = 4;
const DEFAULT_OUTPUT_LIMIT_KIB: u64 = 4096;

/// All runners of one configuration file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// One entry a registration.
    #[serde(default, rename = "runner")]
    pub runners: Vec<RunnerConfig>,
}

/// One registration at one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerConfig {
    /// What people call it.
    pub name: String,
    /// The server, `https://lotse.example.org`.
    pub url: String,
    /// Its number there.
    #[serde(default)]
    pub id: i64,
    /// What it proves itself with.
    pub token: Secret,
    /// Which machine this is, among those that share the token.
    pub system_id: String,
    /// How many jobs it executes at a time.
    #[serde(default = "default_concurrent")]
    pub concurrent: u32,
    /// Where sources are checked out: `builds` and other folders are made in it.
    pub directory: PathBuf,
    /// `bash` or `sh`, or a path; absent is bash where there is one, else sh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// A log is cut at this size, in KiB.
    #[serde(default = "default_output_limit")]
    pub output_limit_kib: u64,
    /// Certificates (PEM) to trust beyond the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Variables that every job gets beyond the few of the runner's own environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

fn default_concurrent() -> u32 {
    DEFAULT_CONCURRENT
}

fn default_output_limit() -> u64 {
    DEFAULT_OUTPUT_LIMIT_KIB
}

/// What can be wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the runner's configuration")]
    Read(#[source] std::io::Error),
    /// It is not what it should be.
    #[error("{} is not a runner's configuration", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        source: toml::de::Error,
    },
    /// It cannot be written.
    #[error("cannot write the runner's configuration {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Config {
    /// Reads the file; no file is a configuration without runners.
    ///
    /// # Errors
    /// When the file cannot be read or is not well-formed.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = match fs_err::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(ConfigError::Read(error)),
        };
        toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source,
        })
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// When it cannot be written; the old one is then still there.
    pub fn save(&self, path: &Path) -> Result<(), ConfigError> {
        let tables = toml::to_string_pretty(self)
            .expect("a configuration has only tables, texts and numbers");
        replace_file(path, format!("{HEAD}{tables}").as_bytes()).map_err(|source| {
            ConfigError::Write {
                path: path.to_owned(),
                source,
            }
        })
    }

    /// The entry of this name.
    pub fn find(&self, name: &str) -> Option<&RunnerConfig> {
        self.runners.iter().find(|runner| runner.name == name)
    }
}

impl RunnerConfig {
    /// The first characters of the token: enough to tell runners apart, too few to be one.
    pub fn short_token(&self) -> &str {
        let token = self.token.expose();
        let token = token.strip_prefix("glrt-").unwrap_or(token);
        let end = token
            .char_indices()
            .nth(9)
            .map_or(token.len(), |(at, _)| at);
        let readable = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let short = &token[..end];
        if !short.is_empty() && short.chars().all(readable) {
            short
        } else {
            "runner"
        }
    }
}

fn replace_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    private_folder(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".lotse-runner")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs_err::File::open(folder)?.sync_all()
}

/// Makes a folder that only its owner may enter; one that exists stays as it is.
pub(crate) fn private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(folder);
    made.map_err(|error| {
        let message = format!("cannot make the folder {}: {error}", folder.display());
        std::io::Error::new(error.kind(), message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        toml::from_str(
            r#"
            [[runner]]
            name = "a"
            url = "http://localhost"
            token = "glrt-0123456789abcdef"
            system_id = "s_1"
            directory = "/srv/runner"
            environment = { PIP_CERT = "/etc/ca.pem" }
            "#,
        )
        .unwrap()
    }

    #[test]
    fn saved_is_what_is_loaded_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etc/runner.toml");
        config().save(&path).unwrap();
        config().save(&path).unwrap();
        let loaded = Config::load(&path).unwrap();
        assert_eq!(loaded.runners[0].token.expose(), "glrt-0123456789abcdef");
        assert_eq!(loaded.runners[0].concurrent, DEFAULT_CONCURRENT);
        let mode = fs_err::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let names = fs_err::read_dir(folder.path().join("etc")).unwrap().count();
        assert_eq!(names, 1, "no temporary file stays");
    }

    #[test]
    fn no_file_is_no_runner_and_a_wrong_key_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runner.toml");
        assert!(Config::load(&path).unwrap().runners.is_empty());
        fs_err::write(&path, "[[runner]]\nnmae = 'x'\n").unwrap();
        assert!(Config::load(&path).is_err());
    }

    #[test]
    fn short_tokens_are_fit_for_a_folder() {
        let mut runner = config().runners.remove(0);
        assert_eq!(runner.short_token(), "012345678");
        runner.token = "../../../etc".into();
        assert_eq!(runner.short_token(), "runner");
        runner.token = "ää".into();
        assert_eq!(runner.short_token(), "runner");
    }
}
