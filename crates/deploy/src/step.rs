//! The steps of a plan: all that a rollout can have done on a host.
//!
//! Each is safe to repeat: done again, or after it was cut off in the middle, it leads to the same
//! end. A step names things by release, service and key; what they are made of is in the release
//! ([`Release::blueprint`](crate::Release::blueprint)), so that a plan can be shown without secrets.

mod show;

use compose::project::{NetworkName, ServiceName, VolumeName};
use serde::{Deserialize, Serialize};

use crate::name::{Holder, ReleaseNumber};
use crate::record::Entry;
use crate::release::{Image, LeadsTo, Place, Route};
use crate::span::Span;

/// One thing to be done on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Takes the lock of the environment, unless somebody else holds a live one: then it fails as
    /// [`FailureKind::Locked`](crate::FailureKind). From then on the lease is renewed until
    /// [`Step::Unlock`]. Answers with [`Seen::Host`](crate::Seen), looked at under the lock.
    Lock(Lease),
    /// Gives the lock back, where this holder has it.
    Unlock {
        /// Who has it.
        holder: Holder,
    },
    /// Sees to an edge of this version that runs; one of another version is replaced, its listening
    /// sockets handed over.
    PlaceEdge {
        /// The version.
        version: String,
    },
    /// Writes into the host's record.
    Record {
        /// What.
        entry: Entry,
    },
    /// Pulls an image by digest.
    Pull {
        /// Which.
        image: Image,
        /// For whom.
        services: Vec<ServiceName>,
    },
    /// Makes a network, unless it is there.
    MakeNetwork {
        /// Its name.
        name: String,
        /// The release that says what it is made of.
        release: ReleaseNumber,
        /// What it is made of.
        like: NetworkLike,
    },
    /// Makes a volume, unless it is there. A volume that is there is never touched.
    MakeVolume {
        /// Its name.
        name: String,
        /// The release that says what it is made of.
        release: ReleaseNumber,
        /// Its key there.
        key: VolumeName,
    },
    /// Makes a release's own volume and fills it from images, by containers that are made and never
    /// started; then writes down that it is filled. One that is there and was never written down as
    /// filled was cut off before any container could use it: it is made anew.
    FillVolume {
        /// Its name.
        name: String,
        /// The release.
        release: ReleaseNumber,
        /// Its key there.
        key: VolumeName,
        /// From where, in this order, until there is something in it.
        from: Vec<FillFrom>,
    },
    /// Has a standing service run by the definition of this release: containers with another hash
    /// are stopped (`stop_grace_period`) and removed, then the new ones are made, joined to the
    /// networks of all stacks in `join`, and started. Containers with the same hash are started
    /// where they do not run, and otherwise left alone.
    UpdateStanding(StandingUpdate),
    /// Joins the containers of standing services to the networks of a stack.
    Join {
        /// The stack.
        release: ReleaseNumber,
        /// The services.
        services: Vec<ServiceName>,
    },
    /// Stops the containers of a standing service, and keeps them.
    RetireStanding {
        /// The service.
        service: ServiceName,
    },
    /// Runs a once-service to its end: waits for its container if it runs, is content if it ended
    /// with 0, else removes it and starts another. Fails with its last lines.
    RunOnce {
        /// The release.
        release: ReleaseNumber,
        /// The service.
        service: ServiceName,
    },
    /// Has all containers of these services of a stack run: those with the right hash are started
    /// where they do not, others are made, too many are removed. Services may start side by side.
    Start {
        /// The release.
        release: ReleaseNumber,
        /// The services.
        services: Vec<ServiceName>,
    },
    /// Looks at these containers, at each change and at least every second, and reports each
    /// [`Look`](crate::Look) until the rollout stops the step.
    Await {
        /// At whom.
        waits: Vec<Awaited>,
        /// How long they may take.
        deadline: Span,
        /// How long a container without health check must have run.
        settle: Span,
    },
    /// Has the edge ask the containers of these services, all of them, until all are well.
    Probe {
        /// How and whom.
        probes: Vec<Probe>,
        /// How long that may take.
        deadline: Span,
    },
    /// Makes the routes of the environment exactly these, in one step; done when the edge has
    /// swapped. The addresses are those of the running containers.
    Switch(Switch),
    /// As [`Step::Await`], after the switch; goes on past its time, until the rollout stops it.
    Watch {
        /// At whom.
        waits: Vec<Awaited>,
        /// How long until the next hosts.
        time: Span,
    },
    /// Waits until the edge has no requests left at a stack, then stops its containers, wave after
    /// wave, each with its `stop_grace_period`, and keeps them.
    Retire {
        /// The stack.
        release: ReleaseNumber,
        /// The services, those first that others do not need. Containers of services that are not
        /// among them are stopped first.
        waves: Vec<Vec<ServiceName>>,
        /// How long requests may take to end.
        drain: Span,
    },
    /// Removes a stack: its containers, then these things of its own.
    RemoveStack(Remains),
    /// Stops containers that Docker Compose has made, each with its own grace period, and keeps
    /// them. They do not come back when the engine is started again.
    SetAside {
        /// Their names.
        containers: Vec<String>,
    },
    /// Starts containers again that were set aside.
    BringBack {
        /// Their names.
        containers: Vec<String>,
    },
    /// Waits.
    Wait {
        /// How long.
        time: Span,
    },
}

/// A lock to be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// By whom.
    pub holder: Holder,
    /// It expires so long after the last renewal, by the host's clock. It is renewed at a third.
    pub length: Span,
}

/// The definition that a standing service runs by from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingUpdate {
    /// The release.
    pub release: ReleaseNumber,
    /// The service.
    pub service: ServiceName,
    /// Stacks whose networks it joins ([`crate::Release::stack_attachments`]).
    pub join: Vec<ReleaseNumber>,
    /// The stack whose containers of this service are stopped first: it was released before.
    pub instead_of: Option<ReleaseNumber>,
}

/// What the edge switches to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// All routes.
    pub routes: Vec<Route>,
    /// How long the targets may take to answer.
    pub deadline: Span,
    /// How long the old targets stand by, to serve again when the new ones fail.
    pub standby: Span,
    /// How long requests at the old targets may take to end.
    pub grace: Span,
}

/// A stack that goes, and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remains {
    /// The stack.
    pub release: ReleaseNumber,
    /// Networks; standing services that are still joined leave them.
    pub networks: Vec<String>,
    /// Images that only it used, by [`Image::pinned`].
    pub images: Vec<Image>,
    /// Volumes that the environment names as to be discarded.
    pub volumes: Vec<String>,
}

/// What a network is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkLike {
    /// Of what the release says under this key.
    Key(NetworkName),
    /// Of the engine's defaults.
    Plain,
}

/// Where the content of a volume comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillFrom {
    /// The service whose image it is.
    pub service: ServiceName,
    /// The path where the service mounts the volume.
    pub path: String,
}

/// Containers that are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// What they belong to.
    pub place: Place,
    /// Their service.
    pub service: ServiceName,
    /// What they shall come to.
    pub until: Until,
    /// How many there must be.
    pub containers: u32,
    /// How many of them may fail.
    pub may_fail: u32,
}

/// What containers shall come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Until {
    /// Their health check passes; without one, they have run without restart for a while.
    Healthy,
    /// They ended with status 0.
    Completed,
}

/// A question to the containers of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Whom.
    pub leads_to: LeadsTo,
    /// The path to ask for with HTTP; without, whether connections are taken.
    pub path: Option<String>,
}

impl Step {
    /// Whether it can be broken off at any moment, as it changes nothing or only adds what nobody
    /// uses yet.
    pub fn is_stoppable(&self) -> bool {
        matches!(
            self,
            Self::Pull { .. }
                | Self::Await { .. }
                | Self::Probe { .. }
                | Self::Watch { .. }
                | Self::Wait { .. }
        )
    }
}
