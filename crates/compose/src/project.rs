//! One application as its compose files describe it, with nothing left to look up.
//!
//! All names are checked, all values have their types and units, short forms are written out, and
//! every service, network, volume, config and secret that is mentioned is there. What the engine is
//! asked for is decided elsewhere; what `x-` keys mean too, but for `x-lotse`.

mod attach;
mod build;
mod deploy;
mod health;
mod limits;
mod mount;
mod name;
mod network;
mod port;
mod service;
mod volume;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use attach::{Endpoint, ExternalLink, Link, Namespace, Networking};
pub use build::Build;
pub use deploy::{
    Deploy, FailureAction, Mode, Order, RestartCondition, RestartPolicy, UpdateConfig,
};
pub use health::{Healthcheck, Test};
pub use limits::{Blkio, DeviceRate, DeviceRequest, DeviceWeight, GpuCount, Limits, Ulimit};
pub use mount::{
    Device, FileMount, Mount, MountKind, Propagation, Selinux, VolumesFrom, VolumesFromSource,
};
pub use name::{
    ConfigName, NameError, NetworkName, ProjectName, SecretName, ServiceName, VolumeName,
};
pub use network::{Ipam, Network, NetworkKind, OwnNetwork, Subnet};
pub use port::{AppProtocol, Expose, Port, PortMode, Protocol, Published};
pub use service::{
    Condition, Dependency, ExtraHost, Logging, PullPolicy, Restart, Security, Service,
};
pub use volume::{Content, File, FileSource, OwnVolume, Per, Volume, VolumeKind};

/// `x-…` keys, as they are written.
pub type Extensions = BTreeMap<String, serde_json::Value>;

/// One application: what `docker compose` calls a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its name, which the names of containers, networks and volumes begin with.
    pub name: ProjectName,
    /// The absolute folder that relative paths were resolved against.
    pub directory: String,
    /// What runs: services without profile, and those of the profiles asked for.
    pub services: BTreeMap<ServiceName, Service>,
    /// Services of profiles that were not asked for.
    pub inactive: BTreeMap<ServiceName, Service>,
    /// Those that services use, `default` among them where one does.
    pub networks: BTreeMap<NetworkName, Network>,
    /// All named volumes.
    pub volumes: BTreeMap<VolumeName, Volume>,
    /// All configs.
    pub configs: BTreeMap<ConfigName, File>,
    /// All secrets.
    pub secrets: BTreeMap<SecretName, File>,
    /// `x-…` keys of the top level.
    #[serde(default)]
    pub extensions: Extensions,
}

impl Project {
    /// The name of a network on the engine: the one that the file gives, or `<project>_<key>`.
    pub fn network_name(&self, key: &NetworkName) -> String {
        let own = self.networks.get(key).and_then(Network::given_name);
        own.map_or_else(|| format!("{}_{key}", self.name), str::to_owned)
    }

    /// The name of a volume on the engine: the one that the file gives, or `<project>_<key>`.
    pub fn volume_name(&self, key: &VolumeName) -> String {
        let own = self.volumes.get(key).and_then(Volume::given_name);
        own.map_or_else(|| format!("{}_{key}", self.name), str::to_owned)
    }
}
