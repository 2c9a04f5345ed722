//! The project goes; its data stays.

use std::time::Duration;

use docker::container::{ContainerSummary, Removal};
use docker::{DockerError, Name, if_found};
use futures_util::future::try_join_all;

use super::resources::{is_own_network, is_own_volume};
use super::{OnEngine, ProjectError, Tell, label};

/// What goes beside containers and networks.
#[derive(Debug, Clone, Default)]
pub struct Down {
    /// Volumes of the project that hold no data, and those of `with_data`.
    pub volumes: bool,
    /// Names of volumes on the engine, or their keys in the files, that go with their data.
    pub with_data: Vec<String>,
    /// How long containers may take to end, in place of their own time.
    pub grace: Option<Duration>,
    /// Containers of services that the files do not have.
    pub orphans: bool,
}

impl OnEngine<'_> {
    /// Takes the project down.
    ///
    /// Volumes without a name always stay: they may hold data.
    ///
    /// # Errors
    /// `Data`, before anything is done, when a volume that was not named holds data.
    pub async fn down(&self, request: &Down, tell: Tell<'_>) -> Result<(), ProjectError> {
        let volumes = match request.volumes {
            true => self.volumes_to_remove(&request.with_data).await?,
            false => Vec::new(),
        };
        let containers = self.engine.list_containers(self.filter()).await?;
        let services = &self.project.services;
        let of_files = |container: &&ContainerSummary| {
            let service = container.labels.get(label::SERVICE);
            request.orphans
                || service.is_none_or(|service| {
                    services.contains_key(service.as_str())
                        || self.project.inactive.contains_key(service.as_str())
                })
        };
        let gone = containers.iter().filter(of_files).map(|container| async {
            let id = &container.id;
            if_found(self.engine.stop_container(id, request.grace).await)?;
            if_found(self.engine.remove_container(id, Removal::Killed).await)?;
            tell(format!("{} removed", container.name));
            Ok::<_, DockerError>(())
        });
        try_join_all(gone).await?;
        self.remove_networks(tell).await?;
        for volume in volumes {
            if if_found(self.engine.remove_volume(&volume).await)?.is_some() {
                tell(format!("volume {volume} removed"));
            }
        }
        Ok(())
    }

    async fn remove_networks(&self, tell: Tell<'_>) -> Result<(), ProjectError> {
        for (key, network) in &self.project.networks {
            let name: Name = self.project.network_name(key).parse()?;
            if !is_own_network(network) {
                continue;
            }
            match if_found(self.engine.remove_network(&name).await) {
                Ok(Some(())) => tell(format!("network {name} removed")),
                Ok(None) => {}
                // Others have joined it.
                Err(error) if error.problem().to_string().contains("active endpoints") => {
                    tell(format!(
                        "network {name} stays: containers of others are on it"
                    ));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The volumes of the project that are there; an error when one would take data along.
    async fn volumes_to_remove(&self, with_data: &[String]) -> Result<Vec<Name>, ProjectError> {
        let sizes = self.engine.disk_use().await?.volumes;
        let (mut volumes, mut holding) = (Vec::new(), Vec::new());
        for (key, volume) in &self.project.volumes {
            let name = self.project.volume_name(key);
            if !is_own_volume(volume) || !sizes.contains_key(&name) {
                continue;
            }
            let is_named = with_data
                .iter()
                .any(|given| *given == name || given == key.as_str());
            // What a driver does not know may be any number.
            if !is_named && sizes[&name].size != Some(0) {
                holding.push(name.clone());
            }
            volumes.push(name.parse()?);
        }
        match holding.is_empty() {
            true => Ok(volumes),
            false => Err(ProjectError::Data(holding)),
        }
    }
}
