//! What people should know before they let a plan run.

use std::fmt;

use compose::project::{MountKind, Networking, ServiceName};
use serde::Serialize;

use crate::name::{Holder, HostName, ReleaseNumber};
use crate::record::{Intent, Way};
use crate::release::{Kind, Release};
use crate::span::Span;

/// Something worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub enum Note {
    /// An earlier rollout was cut off.
    CutOff {
        /// What it was about to do.
        intent: Intent,
    },
    /// A lock was left by somebody who is gone.
    DeadLock {
        /// Where.
        host: HostName,
        /// By whom.
        holder: Holder,
    },
    /// Ports are closed while they go from containers of Docker Compose to the edge.
    PortGap {
        /// Where.
        host: HostName,
        /// The containers.
        containers: Vec<String>,
        /// The longest time that they may take to stop.
        at_most: Span,
    },
    /// A standing service is replaced, and away for that time.
    Gap {
        /// Which.
        service: ServiceName,
    },
    /// A released service can write to a folder of the host, beside its predecessor.
    SharedFolder {
        /// Which.
        service: ServiceName,
        /// The folder.
        path: String,
    },
    /// A released service uses the host's own network, beside its predecessor.
    HostNetwork {
        /// Which.
        service: ServiceName,
    },
    /// `container_name` of a released service.
    ContainerName {
        /// Which.
        service: ServiceName,
        /// The name.
        name: String,
    },
    /// No host knows what the release before was made of.
    NoWayBack {
        /// Where.
        host: HostName,
        /// The release.
        release: ReleaseNumber,
    },
}

/// What is worth knowing about a release by itself.
pub(super) fn of(release: &Release) -> Vec<Note> {
    let mut notes = Vec::new();
    for (service, member) in release.of_kind(Kind::Released) {
        let definition = &member.definition;
        if definition.networking == Networking::Host {
            notes.push(Note::HostNetwork {
                service: service.clone(),
            });
        }
        if let Some(name) = &definition.container_name {
            notes.push(Note::ContainerName {
                service: service.clone(),
                name: name.clone(),
            });
        }
        for mount in definition.mounts.iter().filter(|mount| !mount.read_only) {
            if let MountKind::Bind { source, .. } = &mount.kind
                && !source.ends_with(".sock")
            {
                notes.push(Note::SharedFolder {
                    service: service.clone(),
                    path: source.clone(),
                });
            }
        }
    }
    notes
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutOff { intent } => match intent.way {
                Way::Deploy => write!(f, "an earlier deploy of release {} was cut off", intent.to),
                Way::Rollback => write!(
                    f,
                    "an earlier rollback to release {} was cut off",
                    intent.to
                ),
            },
            Self::DeadLock { host, holder } => write!(
                f,
                "{}: {holder} left a lock, which has expired",
                host.short()
            ),
            Self::PortGap {
                host,
                containers,
                at_most,
            } => write!(
                f,
                "{}: the ports are closed once, from when {} is told to stop until it has stopped: \
                 at most {at_most}, and some 100 ms for the edge to take them",
                host.short(),
                containers.join(", ")
            ),
            Self::Gap { service } => {
                write!(
                    f,
                    "`{service}` is standing and has changed: it is away while it is replaced, host by host"
                )
            }
            Self::SharedFolder { service, path } => write!(
                f,
                "`{service}` runs beside its predecessor on the folder {path}: \
                 if it must not, give `deploy.update_config.order: stop-first`"
            ),
            Self::HostNetwork { service } => write!(
                f,
                "`{service}` runs beside its predecessor in the host's network: \
                 if it listens at a port, give `deploy.update_config.order: stop-first`"
            ),
            Self::ContainerName { service, name } => write!(
                f,
                "two containers of `{service}` are there at once, so none is called {name}; others find it by that name"
            ),
            Self::NoWayBack { host, release } => write!(
                f,
                "{}: nobody knows what release {release} is made of, so there is no way back to it",
                host.short()
            ),
        }
    }
}
