//! What a container sees of volumes, folders, files and devices.

use serde::{Deserialize, Serialize};

use super::{ServiceName, VolumeName};

/// An entry of `volumes:` of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The path in the container.
    pub target: String,
    /// Whether the container cannot write to it.
    pub read_only: bool,
    /// What is mounted.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A folder or file of the host.
    Bind {
        /// Its absolute path on the host.
        source: String,
        /// Whether mounts below it are seen from the other side.
        propagation: Option<Propagation>,
        /// A folder is made when there is nothing at the path.
        create_host_path: bool,
        /// The label for SELinux.
        selinux: Option<Selinux>,
    },
    /// A volume; without a name one that lives as long as its container.
    Volume {
        /// The key under the project's volumes.
        name: Option<VolumeName>,
        /// A fresh volume is not filled from the image.
        nocopy: bool,
        /// A path within the volume.
        subpath: Option<String>,
    },
    /// A file system in memory.
    Tmpfs {
        /// At most so many bytes.
        size: Option<i64>,
        /// Permissions of its root.
        mode: Option<u32>,
    },
    /// The content of an image.
    Image {
        /// The image's name.
        source: String,
        /// A path within the image.
        subpath: Option<String>,
    },
}

/// Whether mounts below a bind mount are seen from the other side (`mount(8)`, "Shared subtree").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words of mount(8)")]
pub enum Propagation {
    Private,
    Rprivate,
    Shared,
    Rshared,
    Slave,
    Rslave,
}

/// A label for SELinux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selinux {
    /// `z`: several containers share it.
    Shared,
    /// `Z`: one container's own.
    Private,
}

/// An entry of `volumes_from:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesFrom {
    /// Whose mounts.
    pub source: VolumesFromSource,
    /// Whether it cannot write to them.
    pub read_only: bool,
}

/// Whose mounts `volumes_from` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumesFromSource {
    /// A service of the project.
    Service(ServiceName),
    /// A container outside of it.
    Container(String),
}

/// A config or secret as a service sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMount {
    /// The key under the project's configs or secrets.
    pub source: String,
    /// The absolute path in the container.
    pub target: String,
    /// The owner's number; 0 where nothing is said.
    pub uid: Option<String>,
    /// The group's number; 0 where nothing is said.
    pub gid: Option<String>,
    /// Permissions; 0444 where nothing is said.
    pub mode: Option<u32>,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The path on the host, or a name of the Container Device Interface (`vendor.com/gpu=0`).
    pub source: String,
    /// The path in the container.
    pub target: String,
    /// `r`, `w`, `m` (make nodes) in any mixture.
    pub permissions: String,
}
