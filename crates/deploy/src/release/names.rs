//! The names that things of a release have on an engine.
//!
//! What belongs to a release carries its number, so that two releases never touch. What outlives
//! releases has the name that `docker compose` gives it, so that data is found again.

use compose::project::{
    Network, NetworkKind, NetworkName, Per, ServiceName, VolumeKind, VolumeName,
};

use super::{Kind, Release};

/// Labels of what Lotse makes.
pub mod label {
    /// The compose project's name.
    pub const PROJECT: &str = "lotse.project";
    /// The environment.
    pub const ENVIRONMENT: &str = "lotse.environment";
    /// The number of the release that it was made for.
    pub const RELEASE: &str = "lotse.release";
    /// The service.
    pub const SERVICE: &str = "lotse.service";
    /// `released`, `standing` or `once`.
    pub const KIND: &str = "lotse.kind";
    /// The hash of the definition.
    pub const HASH: &str = "lotse.hash";
}

impl Release {
    /// The name of a service's container; the first has index 1.
    pub fn container_name(&self, service: &ServiceName, index: u32) -> String {
        let kind = self.services.get(service).map(super::Member::kind);
        match kind {
            Some(Kind::Standing) => format!("{}-standing-{service}-{index}", self.project),
            _ => format!("{}-r{}-{service}-{index}", self.project, self.number),
        }
    }

    /// The name of the network that is this release's own.
    pub fn own_network_name(&self, key: &NetworkName) -> String {
        format!("{}-r{}-{key}", self.project, self.number)
    }

    /// The name of the network at which standing services meet each other.
    pub fn standing_network_name(&self) -> String {
        format!("{}-standing", self.project)
    }

    /// The name of a network that is not this release's own: one that is external, has a name of
    /// its own or fixed addresses. There can be only one of it.
    pub fn shared_network_name(&self, key: &NetworkName) -> Option<String> {
        let network = self.networks.get(key)?;
        let name = || match network.given_name() {
            Some(name) => name.to_owned(),
            None => format!("{}_{key}", self.project),
        };
        is_shared(network).then(name)
    }

    /// The name of a volume.
    pub fn volume_name(&self, key: &VolumeName) -> String {
        let volume = self.volumes.get(key);
        let given = volume.and_then(compose::project::Volume::given_name);
        let name = given.map_or_else(|| format!("{}_{key}", self.project), str::to_owned);
        match self.volume_is_own(key) {
            true => format!("{name}-r{}", self.number),
            false => name,
        }
    }

    /// Whether the volume lives as long as the release: `x-lotse: { per: release }`.
    pub fn volume_is_own(&self, key: &VolumeName) -> bool {
        match self.volumes.get(key).map(|volume| &volume.kind) {
            Some(VolumeKind::Own(own)) => own.per == Per::Release,
            _ => false,
        }
    }
}

fn is_shared(network: &Network) -> bool {
    match &network.kind {
        NetworkKind::External(_) => true,
        NetworkKind::Own(own) => {
            own.name.is_some() || own.ipam.config.iter().any(|range| range.subnet.is_some())
        }
    }
}
