//! A service: one image, and how its containers run.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Secret;
use serde::{Deserialize, Serialize};

use super::{
    Build, Deploy, Device, Expose, Extensions, ExternalLink, FileMount, Healthcheck, Limits, Link,
    Mount, Namespace, Networking, Port, ServiceName, VolumesFrom,
};

/// A service under `services:`. Where a field is `None` or empty, the image or the engine decides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// The image's name; a service without one has `build`.
    pub image: Option<String>,
    /// How the image is made.
    pub build: Option<Build>,
    /// When the image is pulled.
    pub pull_policy: PullPolicy,
    /// `os/architecture` of the image.
    pub platform: Option<String>,

    /// Arguments; `Some` and empty takes the image's away.
    pub command: Option<Vec<String>>,
    /// Program; `Some` and empty takes the image's away.
    pub entrypoint: Option<Vec<String>>,
    /// Variables. `None` takes a variable of the image away.
    pub environment: BTreeMap<String, Option<Secret>>,
    /// Folder the program starts in.
    pub working_dir: Option<String>,
    /// `user[:group]`, names or numbers.
    pub user: Option<String>,
    /// Further groups of the user.
    pub group_add: Vec<String>,
    /// Whether the engine's own init is process 1.
    pub init: Option<bool>,
    /// With a terminal.
    pub tty: bool,
    /// With standard input.
    pub stdin_open: bool,
    /// The signal that asks it to end.
    pub stop_signal: Option<String>,
    /// How long it may take to end; 10 s where nothing is said.
    pub stop_grace_period: Option<Duration>,

    /// The container's name, for services that run once on a host.
    pub container_name: Option<String>,
    /// Its own host name.
    pub hostname: Option<String>,
    /// Its own domain name.
    pub domainname: Option<String>,
    /// Labels of the containers.
    pub labels: BTreeMap<String, String>,
    /// Annotations for the OCI runtime.
    pub annotations: BTreeMap<String, String>,

    /// When the engine starts it again. `deploy.restart_policy` goes before it.
    pub restart: Restart,
    /// How one sees that it is well.
    pub healthcheck: Option<Healthcheck>,
    /// What must be there before it starts; also what `links`, `volumes_from` and shared namespaces
    /// need.
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// How many, and how they are replaced.
    pub deploy: Deploy,

    /// Networks, or the stack of someone else.
    pub networking: Networking,
    /// `links`, each also a network alias of its target.
    pub links: Vec<Link>,
    /// Links to containers outside of the project.
    pub external_links: Vec<ExternalLink>,
    /// Published ports.
    pub ports: Vec<Port>,
    /// Ports for others of the project.
    pub expose: Vec<Expose>,
    /// Lines of `/etc/hosts`.
    pub extra_hosts: Vec<ExtraHost>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Options of the resolver.
    pub dns_opt: Vec<String>,

    /// Volumes, folders and files of the host.
    pub mounts: Vec<Mount>,
    /// File systems in memory: path to mount options (`size=64m`), which may be empty.
    pub tmpfs: BTreeMap<String, String>,
    /// All mounts of other containers.
    pub volumes_from: Vec<VolumesFrom>,
    /// Configs it sees.
    pub configs: Vec<FileMount>,
    /// Secrets it sees.
    pub secrets: Vec<FileMount>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Options of the storage driver.
    pub storage_opt: BTreeMap<String, String>,

    /// CPU, memory, processes, disks.
    pub limits: Limits,
    /// Rights.
    pub security: Security,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// Where its output goes.
    pub logging: Option<Logging>,
    /// The OCI runtime.
    pub runtime: Option<String>,
    /// The isolation technology (Windows).
    pub isolation: Option<String>,

    /// The profiles it belongs to; none means always.
    pub profiles: Vec<String>,
    /// `x-lotse: { once: true }`: runs to success on one host before any switch.
    pub once: bool,
    /// `x-…` keys but `x-lotse`.
    #[serde(default)]
    pub extensions: Extensions,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    /// When it is not there.
    #[default]
    Missing,
    /// Each time.
    Always,
    /// It must be there.
    Never,
    /// It is built.
    Build,
}

/// When the engine starts a container again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// Whenever it ends.
    Always,
    /// When it fails; at most so often, where a number is given.
    OnFailure(Option<u32>),
    /// Whenever it ends, until it is stopped.
    UnlessStopped,
}

/// What a service waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The state to wait for.
    pub condition: Condition,
    /// Restarted when the dependency is.
    pub restart: bool,
    /// Whether it is an error when the dependency is absent.
    pub required: bool,
}

/// A state of a dependency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It was started.
    #[default]
    ServiceStarted,
    /// Its healthcheck passes.
    ServiceHealthy,
    /// It ended with status 0.
    ServiceCompletedSuccessfully,
}

/// A line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExtraHost {
    /// The name.
    pub host: String,
    /// Its address, or `host-gateway`.
    pub address: String,
}

/// What a container may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Capabilities it gets.
    pub cap_add: Vec<String>,
    /// Capabilities it loses.
    pub cap_drop: Vec<String>,
    /// All rights of the host.
    pub privileged: bool,
    /// Its file system cannot be written to.
    pub read_only: bool,
    /// `label=…`, `seccomp=…`, `no-new-privileges`.
    pub security_opt: Vec<String>,
    /// Whose user namespace.
    pub userns_mode: Option<String>,
    /// Whose inter-process communication.
    pub ipc: Option<Namespace>,
    /// Whose processes it sees.
    pub pid: Option<Namespace>,
    /// Whose host name.
    pub uts: Option<String>,
    /// Whose control groups: `host` or `private`.
    pub cgroup: Option<String>,
    /// The control group above its own.
    pub cgroup_parent: Option<String>,
    /// Rules for devices, `c 1:3 mr`.
    pub device_cgroup_rules: Vec<String>,
}

/// Where the output of a container goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The driver; the engine's default.
    pub driver: Option<String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}
