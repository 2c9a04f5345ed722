//! The routes, kept in one file so that the edge has them again after any kind of end.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::edge::table::Mode;
use crate::spec::RouteSpec;

/// The file's content.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    version: Version,
    /// The number of the last swap.
    pub(crate) generation: u64,
    pub(crate) routes: Vec<KeptRoute>,
}

/// The form of the file. Another number is another form, which this program cannot read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Version;

/// A route as it is kept.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptRoute {
    pub(crate) generation: u64,
    pub(crate) spec: RouteSpec,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) drained: BTreeSet<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) maintenance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) paused_until: Option<Timestamp>,
}

impl KeptRoute {
    /// What becomes of the route's requests; a pause that is over is none.
    pub(crate) fn mode(&self) -> Mode {
        if let Some(page) = &self.maintenance {
            return Mode::Maintenance(page.as_str().into());
        }
        let left = self
            .paused_until
            .map(|until| until.duration_since(Timestamp::now()));
        match left.and_then(|left| Duration::try_from(left).ok()) {
            Some(left) if !left.is_zero() => Mode::Paused(Instant::now() + left),
            _ => Mode::Serving,
        }
    }
}

/// What is wrong with the state file.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read.
    #[error("cannot read the state file")]
    Read(#[source] std::io::Error),
    /// It is no state file, or one of a newer edge.
    #[error("the state file {} does not make sense: mend it, or move it away to begin without routes", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// It cannot be written.
    #[error("cannot write the state file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl State {
    pub(crate) fn new(generation: u64, routes: Vec<KeptRoute>) -> Self {
        Self {
            version: Version,
            generation,
            routes,
        }
    }

    /// What the file holds; nothing when there is none.
    pub(crate) fn load(path: &Path) -> Result<Self, StateError> {
        let text = match fs_err::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(StateError::Read(error)),
        };
        serde_json::from_slice(&text).map_err(|source| StateError::Parse {
            path: path.to_owned(),
            source,
        })
    }

    /// Puts a new file in the place of the old one; a crash leaves one or the other.
    pub(crate) fn save(&self, path: &Path) -> Result<(), StateError> {
        let failed = |source| StateError::Write {
            path: path.to_owned(),
            source,
        };
        self.replace(path).map_err(failed)
    }

    fn replace(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        let beside = path.with_extension("json.new");
        let mut file = fs_err::File::create(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs_err::rename(&beside, path)?;
        match path.parent() {
            Some(folder) => fs_err::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl From<Version> for u32 {
    fn from(Version: Version) -> Self {
        1
    }
}

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        match number {
            1 => Ok(Self),
            other => Err(format!(
                "it has version {other}, this program knows version 1"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.json");
        assert_eq!(State::load(&path).unwrap(), State::default());
        let spec: RouteSpec =
            serde_json::from_str(r#"{"route":{"listen":"80"},"targets":["10.0.0.1:80*2"]}"#)
                .unwrap();
        let route = KeptRoute {
            generation: 7,
            spec,
            drained: ["10.0.0.1:80".parse().unwrap()].into(),
            maintenance: Some("away".to_owned()),
            paused_until: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        };
        let state = State::new(8, vec![route]);
        state.save(&path).unwrap();
        assert_eq!(State::load(&path).unwrap(), state);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_not_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.json");
        for text in [
            "",
            "{",
            "{\"version\":2,\"generation\":1,\"routes\":[]}",
            "[]",
        ] {
            fs_err::write(&path, text).unwrap();
            let error = State::load(&path).unwrap_err().to_string();
            assert!(error.contains("edge.json"), "{error}");
            assert_eq!(fs_err::read_to_string(&path).unwrap(), text);
        }
    }
}
