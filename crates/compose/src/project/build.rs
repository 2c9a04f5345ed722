//! How an image is made.

use std::collections::BTreeMap;

use model::Secret;
use serde::{Deserialize, Serialize};

use super::{Extensions, ExtraHost, Ulimit};

/// `build:` of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// An absolute folder, or the address of a repository or archive.
    pub context: String,
    /// The Dockerfile, relative to the context.
    pub dockerfile: Option<String>,
    /// The Dockerfile itself.
    pub dockerfile_inline: Option<String>,
    /// Build arguments; `None` where the environment has no value either.
    pub args: BTreeMap<String, Option<Secret>>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Images to take layers from.
    pub cache_from: Vec<String>,
    /// The stage to build.
    pub target: Option<String>,
    /// The network of `RUN`.
    pub network: Option<String>,
    /// Size of `/dev/shm`, in bytes.
    pub shm_size: Option<i64>,
    /// Lines of `/etc/hosts`.
    pub extra_hosts: Vec<ExtraHost>,
    /// The isolation technology (Windows).
    pub isolation: Option<String>,
    /// Limits of `RUN`.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Without the cache.
    pub no_cache: bool,
    /// Pulls base images even if they are there.
    pub pull: bool,
    /// Further names of the image.
    pub tags: Vec<String>,
    /// `os/architecture`; the builder of the engine makes one.
    pub platform: Option<String>,
    /// `x-…` keys.
    #[serde(default)]
    pub extensions: Extensions,
}

impl Build {
    /// Whether the context is the address of a repository or archive, which the engine fetches.
    pub fn is_remote(&self) -> bool {
        crate::shape::is_url(&self.context)
    }
}
