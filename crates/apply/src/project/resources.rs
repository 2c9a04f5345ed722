//! Networks and volumes of a project: made when they are missing, and never changed.

use compose::project::{Network, NetworkKind, Volume, VolumeKind};
use docker::{Name, if_found};

use super::{OnEngine, ProjectError, Tell, label};
use crate::container::{network_spec, volume_spec};

impl OnEngine<'_> {
    pub(super) async fn make_networks(&self, tell: Tell<'_>) -> Result<(), ProjectError> {
        for (key, network) in &self.project.networks {
            let name: Name = self.project.network_name(key).parse()?;
            let found = if_found(self.engine.inspect_network(&name).await)?;
            match (&network.kind, found) {
                (_, Some(_)) => {}
                (NetworkKind::External(_), None) => return Err(not_there("network", &name)),
                (NetworkKind::Own(own), None) => {
                    let mut spec = network_spec(own);
                    spec.labels.extend(self.labels());
                    spec.labels
                        .insert(label::NETWORK.to_owned(), key.to_string());
                    self.engine.create_network(&name, &spec).await?;
                    tell(format!("network {name} made"));
                }
            }
        }
        Ok(())
    }

    pub(super) async fn make_volumes(&self, tell: Tell<'_>) -> Result<(), ProjectError> {
        for (key, volume) in &self.project.volumes {
            let name: Name = self.project.volume_name(key).parse()?;
            let found = if_found(self.engine.inspect_volume(&name).await)?;
            match (&volume.kind, found) {
                (_, Some(_)) => {}
                (VolumeKind::External(_), None) => return Err(not_there("volume", &name)),
                (VolumeKind::Own(own), None) => {
                    let mut spec = volume_spec(own);
                    spec.labels.extend(self.labels());
                    spec.labels
                        .insert(label::VOLUME.to_owned(), key.to_string());
                    self.engine.create_volume(&name, &spec).await?;
                    tell(format!("volume {name} made"));
                }
            }
        }
        Ok(())
    }
}

/// Whether the project may remove it.
pub(super) fn is_own_network(network: &Network) -> bool {
    matches!(network.kind, NetworkKind::Own(_))
}

/// Whether the project may remove it.
pub(super) fn is_own_volume(volume: &Volume) -> bool {
    matches!(volume.kind, VolumeKind::Own(_))
}

fn not_there(what: &'static str, name: &Name) -> ProjectError {
    ProjectError::NotThere {
        what,
        name: name.to_string(),
    }
}
