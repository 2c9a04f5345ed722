//! What a service is to a rollout, and why.
//!
//! Two containers of a database on one volume destroy it, two of a web server do no harm. Compose
//! has no word for the difference, but files show it: by an explicit `order`, or by a volume that
//! nobody else touches.

use std::fmt;

use compose::Project;
use compose::project::{MountKind, Order, Per, Service, ServiceName, VolumeKind, VolumeName};
use serde::{Deserialize, Serialize};

/// What a service is to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A part of each stack: the new one starts beside the old one.
    Released,
    /// One across releases, replaced only when its own definition changed.
    Standing,
    /// Runs to success on one host before any switch.
    Once,
}

/// Why a service is of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nothing says otherwise: released.
    Usual,
    /// `order: start-first` is given: released.
    StartFirst,
    /// `order: stop-first` is given: standing.
    StopFirst,
    /// It alone mounts this volume and can write to it: standing.
    OnlyMount(VolumeName),
    /// `x-lotse: { once: true }`.
    Once,
}

impl Why {
    /// Why this service of the project is of its kind.
    pub(super) fn of(project: &Project, name: &ServiceName, service: &Service) -> Self {
        if service.once {
            return Self::Once;
        }
        match service.deploy.update_config.order {
            Some(Order::StartFirst) => Self::StartFirst,
            Some(Order::StopFirst) => Self::StopFirst,
            None => match only_mount(project, name, service) {
                Some(volume) => Self::OnlyMount(volume.clone()),
                None => Self::Usual,
            },
        }
    }

    /// The kind that follows.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Usual | Self::StartFirst => Kind::Released,
            Self::StopFirst | Self::OnlyMount(_) => Kind::Standing,
            Self::Once => Kind::Once,
        }
    }
}

/// A volume that outlives releases, that the service can write to, and that no other service which
/// keeps running mounts.
fn only_mount<'a>(
    project: &Project,
    name: &ServiceName,
    service: &'a Service,
) -> Option<&'a VolumeName> {
    let others = || {
        project
            .services
            .iter()
            .filter(|(other, service)| *other != name && !service.once)
    };
    let outlives =
        |volume: &VolumeName| match project.volumes.get(volume).map(|volume| &volume.kind) {
            Some(VolumeKind::Own(own)) => own.per == Per::Project,
            _ => true,
        };
    let mut written = volumes(service)
        .filter(|(_, read_only)| !read_only)
        .map(|(volume, _)| volume);
    written.find(|volume| {
        let shared = others().any(|(_, other)| volumes(other).any(|(theirs, _)| theirs == *volume));
        outlives(volume) && !shared
    })
}

/// The named volumes of a service, and whether each is for reading only.
pub(super) fn volumes(service: &Service) -> impl Iterator<Item = (&VolumeName, bool)> {
    service.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume {
            name: Some(name), ..
        } => Some((name, mount.read_only)),
        _ => None,
    })
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Released => "released",
            Self::Standing => "standing",
            Self::Once => "once",
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usual => f.write_str("nothing says otherwise"),
            Self::StartFirst => f.write_str("`order: start-first` is given"),
            Self::StopFirst => f.write_str("`order: stop-first` is given"),
            Self::OnlyMount(volume) => write!(f, "it alone mounts the volume `{volume}`"),
            Self::Once => f.write_str("`x-lotse: { once: true }` is given"),
        }
    }
}
