//! What a container shall be: the Engine's words for its creation, typed.
//!
//! What is left out of a spec is left to the image and the engine. Two equal specs make equal
//! containers; nothing here is filled in from the machine that asks.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use model::Secret;
use serde::{Deserialize, Serialize};

use crate::name::{ImageRef, Name};

/// A container to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The image; it must be there.
    pub image: ImageRef,
    /// Which of the image's platforms, such as `linux/arm64`.
    pub platform: Option<String>,
    /// Arguments of the entrypoint [default: the image's].
    pub command: Option<Vec<String>>,
    /// The program and its first arguments [default: the image's].
    pub entrypoint: Option<Vec<String>>,
    /// Variables; one without a value is taken away from those of the image.
    pub environment: BTreeMap<String, Option<Secret>>,
    /// Labels beside those of the image.
    pub labels: BTreeMap<String, String>,
    /// The folder to start in.
    pub working_dir: Option<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`.
    pub user: Option<String>,
    /// Further groups of the user.
    pub groups: Vec<String>,
    /// The host name [default: the container's id].
    pub hostname: Option<String>,
    /// The domain name.
    pub domainname: Option<String>,
    /// Whether it gets a terminal.
    pub terminal: bool,
    /// Whether its standard input stays open.
    pub open_stdin: bool,
    /// A small init that forwards signals and collects orphans [default: the engine's setting].
    pub init: Option<bool>,
    /// What is mounted.
    pub mounts: Vec<Mount>,
    /// Containers whose mounts it gets too, `NAME[:ro]`.
    pub volumes_from: Vec<String>,
    /// Where it meets others.
    pub networking: Networking,
    /// Ports that are published on the host.
    pub ports: Vec<PublishedPort>,
    /// Ports that it says it listens on.
    pub exposed: Vec<Port>,
    /// Names that it finds at these addresses; `host-gateway` is the host's.
    pub extra_hosts: Vec<ExtraHost>,
    /// Name servers and how they are asked.
    pub dns: Dns,
    /// Whether it comes back when it ends.
    pub restart: Restart,
    /// How its health is asked for [default: the image's].
    pub healthcheck: Option<Healthcheck>,
    /// Limits.
    pub resources: Resources,
    /// What it may do on the machine.
    pub security: Security,
    /// Where its output goes [default: the engine's].
    pub logging: Option<Logging>,
    /// The signal that asks it to end [default: the image's, or SIGTERM].
    pub stop_signal: Option<String>,
    /// How long it may take to end [default: 10 s]. Whole seconds, rounded up.
    #[serde(default)]
    pub stop_grace: Option<Duration>,
    /// Namespaces that it shares.
    pub namespaces: Namespaces,
    /// Whether it goes when it ends.
    pub auto_remove: bool,
    /// The runtime that starts it, such as `runc`.
    pub runtime: Option<String>,
    /// Annotations for the runtime (API 1.43 on).
    pub annotations: BTreeMap<String, String>,
    /// Options of the storage driver.
    pub storage: BTreeMap<String, String>,
}

/// Where a container meets others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Networking {
    /// The engine's `bridge`, which knows no names.
    #[default]
    Default,
    /// Nowhere.
    None,
    /// The host's own network.
    Host,
    /// The network of another container.
    Container(Name),
    /// Networks; it is attached to the first at its creation and then to the others.
    Networks(Vec<Attachment>),
}

/// One network of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The network.
    pub network: Name,
    /// Names by which others on the network find it.
    pub aliases: Vec<String>,
    /// Its address there.
    pub ipv4: Option<Ipv4Addr>,
    /// Its address there.
    pub ipv6: Option<Ipv6Addr>,
    /// Its link-local addresses.
    pub link_local: Vec<IpAddr>,
    /// Its hardware address there.
    pub mac_address: Option<String>,
    /// Options of the network's driver.
    pub options: BTreeMap<String, String>,
}

impl Attachment {
    /// This network, under these names.
    pub fn new(network: Name, aliases: impl IntoIterator<Item = String>) -> Self {
        Self {
            network,
            aliases: aliases.into_iter().collect(),
            ipv4: None,
            ipv6: None,
            link_local: Vec::new(),
            mac_address: None,
            options: BTreeMap::new(),
        }
    }
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where, in the container.
    pub target: String,
    /// Whether it can only be read.
    pub read_only: bool,
    /// What.
    pub source: MountSource,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A folder or file of the host.
    Bind {
        /// Its absolute path there.
        path: String,
        /// Whether a folder is made where nothing is. Without it the creation fails.
        create: bool,
        /// `rprivate`, `private`, `rshared`, `shared`, `rslave` or `slave`.
        propagation: Option<Propagation>,
        /// Whether mounts below it come along; yes unless said otherwise.
        recursive: bool,
    },
    /// A volume; one that does not exist is made.
    Volume {
        /// Its name; an anonymous one without.
        name: Option<Name>,
        /// Whether an empty volume is *not* filled from the image.
        no_copy: bool,
        /// A folder of the volume in place of all of it (API 1.45 on).
        subpath: Option<String>,
    },
    /// Memory.
    Tmpfs {
        /// The most that it holds, in bytes.
        size: Option<u64>,
        /// Its mode, such as `0o1777`.
        mode: Option<u32>,
    },
}

impl Mount {
    /// A named volume.
    pub fn volume(name: Name, target: impl Into<String>) -> Self {
        let source = MountSource::Volume {
            name: Some(name),
            no_copy: false,
            subpath: None,
        };
        Self::new(source, target)
    }

    /// A folder or file of the host, which must exist.
    pub fn bind(path: impl Into<String>, target: impl Into<String>) -> Self {
        let source = MountSource::Bind {
            path: path.into(),
            create: false,
            propagation: None,
            recursive: true,
        };
        Self::new(source, target)
    }

    /// Mounts for reading and writing.
    pub fn new(source: MountSource, target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            read_only: false,
            source,
        }
    }
}

/// How mounts made later are seen on both sides (mount(8), "shared subtrees").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the kernel's own words")]
pub enum Propagation {
    Private,
    Rprivate,
    Shared,
    Rshared,
    Slave,
    Rslave,
}

/// A port of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Its protocol.
    pub protocol: Transport,
}

/// What a port speaks.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the protocols' own names")]
pub enum Transport {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// A port of a container that the host listens on for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The container's.
    pub container: Port,
    /// The host's address [default: all].
    pub address: Option<IpAddr>,
    /// The host's port, or a range of which one is taken [default: any free].
    pub host: Option<(u16, u16)>,
}

/// A name in `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraHost {
    /// The name.
    pub name: String,
    /// Its address, or `host-gateway`.
    pub address: String,
}

/// Name servers and how they are asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "resolv.conf's own words")]
pub struct Dns {
    pub servers: Vec<IpAddr>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

/// Whether a container comes back when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Restart {
    /// It stays ended.
    #[default]
    No,
    /// It comes back, also after a restart of the engine, unless it was stopped (until then).
    Always,
    /// It comes back unless it was stopped, also after a restart of the engine.
    UnlessStopped,
    /// It comes back after an exit code other than 0; at most so many times, when given.
    OnFailure(Option<u32>),
}

/// How a container's health is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Healthcheck {
    /// Not at all, also when the image says how.
    Disabled,
    /// By a command.
    Test(HealthTest),
}

/// A command that exits 0 in a healthy container. What is left out is the image's, or Docker's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HealthTest {
    /// In the Engine's form: `CMD` and arguments, or `CMD-SHELL` and one line; empty: the image's.
    pub command: Vec<String>,
    /// Between two tests [default: 30 s].
    pub interval: Option<Duration>,
    /// For one test [default: 30 s].
    pub timeout: Option<Duration>,
    /// So many failures in a row make it unhealthy [default: 3].
    pub retries: Option<u32>,
    /// Failures in this time after the start do not count [default: 0 s].
    pub start_period: Option<Duration>,
    /// Between two tests in that time (API 1.44 on) [default: 5 s].
    pub start_interval: Option<Duration>,
}

/// Limits of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of memory that are kept for it.
    pub memory_reservation: Option<u64>,
    /// Bytes of memory and swap together; -1: any.
    pub memory_swap: Option<i64>,
    /// How readily its memory is swapped, 0 to 100.
    pub swappiness: Option<u8>,
    /// Processors in billionths: 1,500,000,000 are one and a half.
    pub nano_cpus: Option<u64>,
    /// Its weight when processors are short.
    pub cpu_shares: Option<u64>,
    /// The period in which `cpu_quota` counts, in µs.
    pub cpu_period: Option<u64>,
    /// Processor time in each period, in µs.
    pub cpu_quota: Option<i64>,
    /// Processor time for real-time tasks in each period, in µs.
    pub cpu_rt_runtime: Option<i64>,
    /// The period for real-time tasks, in µs.
    pub cpu_rt_period: Option<i64>,
    /// The processors that it may use: `0-2,4`.
    pub cpuset: Option<String>,
    /// Processes.
    pub pids: Option<i64>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Its weight when disks are busy, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Weights by device.
    pub blkio_weight_device: Vec<DeviceRate>,
    /// Bytes a second by device.
    pub device_read_bps: Vec<DeviceRate>,
    /// Bytes a second by device.
    pub device_write_bps: Vec<DeviceRate>,
    /// Operations a second by device.
    pub device_read_iops: Vec<DeviceRate>,
    /// Operations a second by device.
    pub device_write_iops: Vec<DeviceRate>,
    /// How readily the kernel ends it when memory is short, -1000 to 1000.
    pub oom_score_adj: Option<i16>,
    /// Whether the kernel does not end it when memory is short.
    pub oom_kill_disable: Option<bool>,
    /// Limits of a process, by their names in setrlimit(2): `nofile`.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The control group above its own.
    pub cgroup_parent: Option<String>,
    /// Devices by driver, such as GPUs.
    pub device_requests: Vec<DeviceRequest>,
}

/// A limit of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Where it is reminded.
    pub soft: i64,
    /// Where it ends.
    pub hard: i64,
}

/// A rate or weight of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// Its path.
    pub path: String,
    /// The rate or weight.
    pub rate: u64,
}

/// Devices that a driver chooses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// The driver, such as `nvidia`.
    pub driver: Option<String>,
    /// How many; -1: all.
    pub count: Option<i64>,
    /// Which.
    pub ids: Vec<String>,
    /// What they can: each inner list must be fulfilled as a whole.
    pub capabilities: Vec<Vec<String>>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// What a container may do on the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Security {
    /// Everything.
    pub privileged: bool,
    /// Whether its own file system can only be read.
    pub read_only: bool,
    /// Capabilities beside the usual (capabilities(7)).
    pub cap_add: Vec<String>,
    /// Capabilities that it does not get.
    pub cap_drop: Vec<String>,
    /// Options such as `no-new-privileges` or `seccomp=…`.
    pub options: Vec<String>,
    /// Kernel settings of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Rules of the devices' control group.
    pub device_rules: Vec<String>,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its path on the host.
    pub host: String,
    /// Its path in the container.
    pub container: String,
    /// Some of `r`, `w` and `m`.
    pub permissions: String,
}

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The driver, such as `json-file`.
    pub driver: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

/// Namespaces that a container shares, in the Engine's words: `host`, `container:NAME`, …
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the kernel's own words")]
pub struct Namespaces {
    pub pid: Option<String>,
    pub ipc: Option<String>,
    pub uts: Option<String>,
    pub user: Option<String>,
    /// `host` or `private`.
    pub cgroup: Option<CgroupNamespace>,
}

/// Which control groups a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the Engine's own words")]
pub enum CgroupNamespace {
    Host,
    Private,
}

impl ContainerSpec {
    /// A container of this image, with nothing said about it.
    pub fn new(image: ImageRef) -> Self {
        Self {
            image,
            platform: None,
            command: None,
            entrypoint: None,
            environment: BTreeMap::new(),
            labels: BTreeMap::new(),
            working_dir: None,
            user: None,
            groups: Vec::new(),
            hostname: None,
            domainname: None,
            terminal: false,
            open_stdin: false,
            init: None,
            mounts: Vec::new(),
            volumes_from: Vec::new(),
            networking: Networking::default(),
            ports: Vec::new(),
            exposed: Vec::new(),
            extra_hosts: Vec::new(),
            dns: Dns::default(),
            restart: Restart::default(),
            healthcheck: None,
            resources: Resources::default(),
            security: Security::default(),
            logging: None,
            stop_signal: None,
            stop_grace: None,
            namespaces: Namespaces::default(),
            auto_remove: false,
            runtime: None,
            annotations: BTreeMap::new(),
            storage: BTreeMap::new(),
        }
    }
}
