//! Named volumes, configs and secrets of a project.

use std::collections::BTreeMap;

use model::Secret;
use serde::{Deserialize, Serialize};

use super::Extensions;

/// A volume under `volumes:`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Whose it is.
    pub kind: VolumeKind,
    /// `x-…` keys but `x-lotse`.
    #[serde(default)]
    pub extensions: Extensions,
}

/// Who makes a volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum VolumeKind {
    /// It must be there, under this name.
    External(String),
    /// The project makes it.
    Own(OwnVolume),
}

/// What a volume of the project's own is made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnVolume {
    /// The name on the engine, where the file gives one.
    pub name: Option<String>,
    /// The driver; the engine's default is `local`.
    pub driver: Option<String>,
    /// The driver's options.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// How long it lives: `x-lotse: { per: … }`.
    pub per: Per,
}

/// What a volume lives as long as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// The project: every release sees the same data.
    #[default]
    Project,
    /// The release: each has a fresh one, filled from its image.
    Release,
}

/// A config or a secret: a file that containers see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// Where its content comes from.
    pub source: FileSource,
    /// The name on the engine, where the file gives one.
    pub name: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `x-…` keys.
    #[serde(default)]
    pub extensions: Extensions,
}

/// Where the content of a config or secret comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FileSource {
    /// A file at this absolute path, beside the compose files.
    Path(String),
    /// It is known already: `content:` or `environment:`.
    Content(Content),
}

/// A content that is not shown by accident.
pub type Content = Secret;

impl Volume {
    /// The name on the engine that the file gives.
    pub fn given_name(&self) -> Option<&str> {
        match &self.kind {
            VolumeKind::External(name) => Some(name),
            VolumeKind::Own(own) => own.name.as_deref(),
        }
    }
}
