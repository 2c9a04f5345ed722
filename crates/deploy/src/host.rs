//! What is on a host, as somebody saw it a moment ago.
//!
//! Only things of one environment are here, but for images, ports and names of volumes and
//! networks: those are the host's. Times are lengths by the host's own clock, never points.

use std::collections::{BTreeMap, BTreeSet};

use compose::project::ServiceName;
use model::Digest;
use serde::{Deserialize, Serialize};

use crate::name::{Holder, HostName, ReleaseNumber};
use crate::record::Record;
use crate::release::{LeadsTo, Listen, Place};
use crate::span::Span;

/// All hosts of an environment.
pub type Observed = BTreeMap<HostName, Result<HostSeen, Unreached>>;

/// Why a host could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{0}")]
pub struct Unreached(pub String);

/// One host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostSeen {
    /// The edge, where there is one.
    pub edge: Option<EdgeSeen>,
    /// The lock of the environment, dead ones too.
    pub lock: Option<LockSeen>,
    /// What earlier rollouts wrote down.
    pub record: Record,
    /// Containers of stacks and once-services, by release.
    pub stacks: BTreeMap<ReleaseNumber, Vec<ContainerSeen>>,
    /// Containers of standing services.
    pub standing: BTreeMap<ServiceName, Vec<ContainerSeen>>,
    /// Names of all networks of the host.
    pub networks: BTreeSet<String>,
    /// All volumes of the host by name.
    pub volumes: BTreeMap<String, VolumeSeen>,
    /// Images of the host: digests of manifests and of configurations (image ids).
    pub images: BTreeSet<Digest>,
    /// Ports that others than the edge listen at, with words for who that is.
    pub ports: Vec<PortTaken>,
    /// Containers of the compose project that Docker Compose has made, but for those of `run`.
    #[serde(default)]
    pub composed: Vec<ComposedSeen>,
}

/// The edge of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeSeen {
    /// The version of its program.
    pub version: String,
    /// Whether it answers.
    pub running: bool,
    /// Its routes that belong to this environment.
    pub routes: Vec<RouteSeen>,
}

/// A route of the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSeen {
    /// Where it listens.
    pub listen: Listen,
    /// Where it leads: `None` unless the targets are exactly the running containers of one service
    /// of one stack, at the port given here.
    pub leads_to: Option<LeadsTo>,
}

/// A lock that somebody holds or held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockSeen {
    /// Who.
    pub holder: Holder,
    /// When it expires, by the host's clock; zero when it has.
    pub expires_in: Span,
}

impl LockSeen {
    /// Whether it still counts.
    pub fn is_live(&self) -> bool {
        self.expires_in > Span::default()
    }
}

/// A container of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSeen {
    /// Its name.
    pub name: String,
    /// Its service.
    pub service: ServiceName,
    /// The hash of the definition that it was made from (label `lotse.hash`).
    pub hash: Digest,
    /// What it does.
    pub state: State,
    /// What its health check says; `None` when it has none.
    pub health: Option<Health>,
    /// How often the engine has started it again.
    pub restarts: u32,
    /// How long it has been running.
    pub running_for: Option<Span>,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was made and never started.
    Created,
    /// It runs.
    Running,
    /// The engine is about to start it again.
    Restarting,
    /// Somebody paused it.
    Paused,
    /// It ended with this status.
    Exited(i64),
}

/// What a health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It cannot tell yet.
    Starting,
    /// Well.
    Healthy,
    /// Ill.
    Unhealthy,
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSeen {
    /// Whether a [`crate::Step::FillVolume`] for it came to its end.
    pub filled: bool,
}

/// A port that is not free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortTaken {
    /// The address and port.
    pub listen: Listen,
    /// Who listens: `container nginx-1 of the compose project web`, `process 4711 (nginx)`.
    pub by: String,
}

/// A container that Docker Compose has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposedSeen {
    /// Its name.
    pub name: String,
    /// Its project, as it stands in the label.
    pub project: String,
    /// Its service, as it stands in the label.
    pub service: String,
    /// Whether its process is there.
    pub is_up: bool,
    /// The TCP ports that it publishes.
    pub listens: Vec<Listen>,
    /// How long it is given to stop.
    pub grace: Span,
}

impl ContainerSeen {
    /// Whether its process is there.
    pub fn is_up(&self) -> bool {
        matches!(
            self.state,
            State::Running | State::Restarting | State::Paused
        )
    }
}

impl HostSeen {
    /// The stack that all routes to stacks lead to; `None` when there is none, or several.
    pub fn serving(&self) -> Option<ReleaseNumber> {
        let mut stacks = self.routes().map(|route| {
            let leads_to = route.leads_to.as_ref()?;
            Some(leads_to.place)
        });
        let mut found = None;
        for place in stacks.by_ref() {
            match (place?, found) {
                (Place::Standing, _) => {}
                (Place::Stack(number), None) => found = Some(number),
                (Place::Stack(number), Some(before)) if number == before => {}
                (Place::Stack(_), Some(_)) => return None,
            }
        }
        found
    }

    /// The routes of its edge.
    pub fn routes(&self) -> impl Iterator<Item = &RouteSeen> {
        self.edge.iter().flat_map(|edge| &edge.routes)
    }

    /// The containers of a service in a stack.
    pub fn stack(
        &self,
        release: ReleaseNumber,
        service: &ServiceName,
    ) -> impl Iterator<Item = &ContainerSeen> {
        let containers = self.stacks.get(&release).into_iter().flatten();
        containers.filter(move |container| container.service == *service)
    }

    /// Whether anything of a stack runs.
    pub fn is_stack_up(&self, release: ReleaseNumber) -> bool {
        let mut containers = self.stacks.get(&release).into_iter().flatten();
        containers.any(ContainerSeen::is_up)
    }
}
