//! What a job is made of beside its scripts: containers, artifacts, caches, logins.

use std::collections::BTreeMap;

use model::Secret;
use serde::{Deserialize, Serialize};

use crate::job::Variable;
use crate::json::null_as_default;

/// A container: the job's own, or a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Which image.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// Names that a service is found by, with commas or spaces between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// In place of the image's command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// In place of the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Ports.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub ports: Vec<Port>,
    /// Variables of a service alone.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub variables: Vec<Variable>,
    /// `always`, `if-not-present`, `never`, in the order to try.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub pull_policy: Vec<String>,
    /// `docker: {platform, user}`.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub executor_opts: BTreeMap<String, serde_json::Value>,
}

/// A port of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its number.
    #[serde(default, deserialize_with = "null_as_default")]
    pub number: u16,
    /// `http`, `https`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub protocol: String,
    /// What it is called.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
}

/// What to keep of a job's result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The archive's name, before expansion.
    #[serde(default)]
    pub name: Option<String>,
    /// Also all files that git does not know.
    #[serde(default, deserialize_with = "null_as_default")]
    pub untracked: bool,
    /// Which files.
    #[serde(default, deserialize_with = "null_as_default")]
    pub paths: Vec<String>,
    /// But not these.
    #[serde(default, deserialize_with = "null_as_default")]
    pub exclude: Vec<String>,
    /// On which outcome.
    #[serde(default, deserialize_with = "null_as_default")]
    pub when: When,
    /// `archive`, `junit`, `dotenv`, …
    #[serde(default, deserialize_with = "null_as_default")]
    pub artifact_type: String,
    /// How it is packed.
    #[serde(default, deserialize_with = "null_as_default")]
    pub artifact_format: ArtifactFormat,
    /// `1 week`, `never`.
    #[serde(default)]
    pub expire_in: Option<String>,
}

/// How artifacts are packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactFormat {
    /// A zip archive.
    #[default]
    Zip,
    /// One file after the other, each compressed (reports).
    Gzip,
    /// One file as it is.
    Raw,
}

impl ArtifactFormat {
    /// GitLab's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Gzip => "gzip",
            Self::Raw => "raw",
        }
    }
}

/// What to keep for the next job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Jobs with the same key share it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub key: String,
    /// Also all files that git does not know.
    #[serde(default, deserialize_with = "null_as_default")]
    pub untracked: bool,
    /// Take it, store it or both.
    #[serde(default, deserialize_with = "null_as_default")]
    pub policy: CachePolicy,
    /// Which files.
    #[serde(default, deserialize_with = "null_as_default")]
    pub paths: Vec<String>,
    /// On which outcome it is stored.
    #[serde(default, deserialize_with = "null_as_default")]
    pub when: When,
    /// Keys to try when there is nothing under `key`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub fallback_keys: Vec<String>,
}

/// What a job does with a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CachePolicy {
    /// Both.
    #[default]
    PullPush,
    /// Takes it.
    Pull,
    /// Stores it.
    Push,
}

/// A login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `registry`.
    #[serde(rename = "type", default, deserialize_with = "null_as_default")]
    pub kind: String,
    /// Of what.
    #[serde(default, deserialize_with = "null_as_default")]
    pub url: String,
    /// Who.
    #[serde(default, deserialize_with = "null_as_default")]
    pub username: String,
    /// The password.
    #[serde(default, deserialize_with = "null_as_default")]
    pub password: Secret,
}

/// A job whose artifacts come first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Its number.
    pub id: i64,
    /// What its artifacts are asked for with.
    #[serde(default, deserialize_with = "null_as_default")]
    pub token: Secret,
    /// Its name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// Its artifacts; `None` when it made none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts_file: Option<ArtifactsFile>,
}

/// An archive of artifacts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactsFile {
    /// `artifacts.zip`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub filename: String,
    /// In bytes.
    #[serde(default, deserialize_with = "null_as_default")]
    pub size: u64,
}

/// On which outcome something is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The script went well.
    #[default]
    OnSuccess,
    /// It did not.
    OnFailure,
    /// Either.
    Always,
}

impl When {
    /// Whether this is to be done after a script that went well or not.
    pub fn holds(self, success: bool) -> bool {
        match self {
            Self::OnSuccess => success,
            Self::OnFailure => !success,
            Self::Always => true,
        }
    }
}
