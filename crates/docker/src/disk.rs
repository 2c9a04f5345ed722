//! What an engine's objects take of the disk (`docker system df`).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::engine::Engine;
use crate::error::{DockerError, Operation};

/// Bytes on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskUse {
    /// All layers of images, each once.
    pub layers: u64,
    /// What containers wrote beside their images and volumes.
    pub containers: u64,
    /// Volumes by their names.
    pub volumes: BTreeMap<String, VolumeUse>,
    /// What builds have kept.
    pub build_cache: u64,
}

/// What a volume takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeUse {
    /// Bytes; nothing when its driver does not know.
    pub size: Option<u64>,
    /// So many containers have it, also those that do not run.
    pub users: u64,
}

/// The answer up to API 1.51; bollard only knows the later form.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Seen {
    layers_size: Option<i64>,
    containers: Option<Vec<SeenContainer>>,
    volumes: Option<Vec<SeenVolume>>,
    build_cache: Option<Vec<SeenCache>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenContainer {
    size_rw: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenVolume {
    name: String,
    usage_data: Option<SeenUse>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenUse {
    size: i64,
    ref_count: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SeenCache {
    size: Option<i64>,
}

impl Engine {
    /// What everything takes. The engine walks through all volumes for it, which may take long.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn disk_use(&self) -> Result<DiskUse, DockerError> {
        let operation = Operation::plain("measure the disk use");
        let asking = self.transport.get::<Seen>("/system/df");
        let seen = self.call_within(self.transfer_patience(), &operation, asking);
        Ok(seen.await?.into())
    }
}

impl From<Seen> for DiskUse {
    fn from(seen: Seen) -> Self {
        let containers = seen.containers.into_iter().flatten();
        let caches = seen.build_cache.into_iter().flatten();
        Self {
            layers: bytes(seen.layers_size),
            containers: containers.map(|container| bytes(container.size_rw)).sum(),
            volumes: seen.volumes.into_iter().flatten().map(volume).collect(),
            build_cache: caches.map(|cache| bytes(cache.size)).sum(),
        }
    }
}

/// The engine says -1 where it does not know.
fn volume(seen: SeenVolume) -> (String, VolumeUse) {
    let known = |number: i64| u64::try_from(number).ok();
    let seen_use = seen.usage_data;
    let volume = VolumeUse {
        size: seen_use.as_ref().and_then(|seen| known(seen.size)),
        users: seen_use.and_then(|seen| known(seen.ref_count)).unwrap_or(0),
    };
    (seen.name, volume)
}

fn bytes(number: Option<i64>) -> u64 {
    number
        .and_then(|number| number.try_into().ok())
        .unwrap_or(0)
}
