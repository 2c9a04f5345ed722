//! Volumes: data that outlives containers. Nothing here removes more than the one that is named.

use std::collections::BTreeMap;

use bollard::query_parameters::RemoveVolumeOptions;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::{DockerError, Operation};
use crate::filter::Filter;
use crate::name::Name;
use crate::time::timestamp;

/// A volume to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// The driver [default: `local`].
    pub driver: Option<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A volume as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: Name,
    /// Its driver.
    pub driver: String,
    /// Where it lies on the host.
    pub mountpoint: String,
    /// When it was made; the driver `local` says when its folder last changed.
    pub created: Option<Timestamp>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Whether this is a name as the engine gives one to a volume that has none.
pub fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// bollard's type expects the driver's status in a form that plug-ins do not have.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Seen {
    name: Name,
    driver: String,
    mountpoint: String,
    created_at: Option<String>,
    options: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<&'a str>,
    driver_opts: &'a BTreeMap<String, String>,
    labels: &'a BTreeMap<String, String>,
}

impl Engine {
    /// Makes a volume, and returns the one that is there when there is one of this name and
    /// driver: its labels and options are not changed.
    ///
    /// # Errors
    /// Conflict: there is one of this name with another driver. Refused: the driver does.
    pub async fn create_volume(
        &self,
        name: &Name,
        spec: &VolumeSpec,
    ) -> Result<Volume, DockerError> {
        let operation = Operation::of("create the volume", name);
        let body = Body {
            name: name.as_str(),
            driver: spec.driver.as_deref(),
            driver_opts: &spec.options,
            labels: &spec.labels,
        };
        let making = self.transport.post::<Seen>("/volumes/create", &body);
        Ok(self.call(&operation, making).await?.into())
    }

    /// What a volume is.
    ///
    /// # Errors
    /// Not found: the volume.
    pub async fn inspect_volume(&self, name: &Name) -> Result<Volume, DockerError> {
        let operation = Operation::of("inspect the volume", name);
        let path = format!("/volumes/{name}");
        let seen = self.call(&operation, self.transport.get::<Seen>(&path));
        Ok(seen.await?.into())
    }

    /// All volumes that the filter lets through.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn list_volumes(&self, filter: Filter) -> Result<Vec<Volume>, DockerError> {
        #[derive(Deserialize)]
        struct Listed {
            #[serde(rename = "Volumes")]
            volumes: Option<Vec<Seen>>,
        }
        let operation = Operation::plain("list the volumes");
        let path = format!("/volumes{}", filter.query());
        let listed = self
            .call(&operation, self.transport.get::<Listed>(&path))
            .await?;
        let volumes = listed.volumes.unwrap_or_default();
        Ok(volumes.into_iter().map(Volume::from).collect())
    }

    /// Removes a volume with its data. There is no way back.
    ///
    /// # Errors
    /// Not found: the volume. Conflict: a container has it, also one that does not run.
    pub async fn remove_volume(&self, name: &Name) -> Result<(), DockerError> {
        let operation = Operation::of("remove the volume", name);
        let options = RemoveVolumeOptions { force: false };
        let removing = self.docker.remove_volume(name.as_str(), Some(options));
        self.call(&operation, removing).await
    }
}

impl From<Seen> for Volume {
    fn from(seen: Seen) -> Self {
        Self {
            name: seen.name,
            driver: seen.driver,
            mountpoint: seen.mountpoint,
            created: timestamp(seen.created_at.as_deref()),
            options: seen.options.unwrap_or_default(),
            labels: seen.labels.unwrap_or_default(),
        }
    }
}
