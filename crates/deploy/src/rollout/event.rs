//! What goes in and comes out of a rollout.

use std::time::Duration;

use compose::project::ServiceName;
use serde::{Deserialize, Serialize};

use super::outcome::{Outcome, Reason};
use crate::host::{ContainerSeen, HostSeen};
use crate::name::{Holder, HostName};
use crate::release::Place;
use crate::span::Span;
use crate::step::Step;

/// A point in time: so long after some moment before the rollout, by a clock that never goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

impl Moment {
    /// How long ago an earlier moment was.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The number of a step that was given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u64);

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// Carry out a step. Each is answered once, by [`Event::Done`] or [`Event::Failed`], unless it
    /// is stopped before.
    Run {
        /// Its number.
        id: StepId,
        /// Where.
        host: HostName,
        /// What.
        step: Step,
        /// Why, for people.
        why: String,
    },
    /// Break a step off. Nothing more is wanted of it.
    Stop {
        /// Which.
        id: StepId,
    },
    /// The rollout is over; nothing follows.
    Finish(Outcome),
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A step was carried out.
    Done(StepId, Seen),
    /// A step failed.
    Failed(StepId, Failure),
    /// What containers do, of [`Step::Await`] and [`Step::Watch`].
    Looked(StepId, Look),
    /// The lease of a host's lock could not be renewed, as somebody else has it.
    LockLost {
        /// Where.
        host: HostName,
        /// Who has it.
        by: Option<Holder>,
    },
    /// The user wants it to end: it goes back.
    Interrupted,
}

/// What a step saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// Nothing worth telling.
    Nothing,
    /// The host, under the lock that was just taken.
    Host(Box<HostSeen>),
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In which way.
    pub kind: FailureKind,
    /// In words, with the mend where there is one.
    pub message: String,
    /// The service that it was about.
    pub service: Option<ServiceName>,
    /// The last lines of its container.
    pub last_lines: Vec<String>,
}

/// In which way a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Somebody else has the lock.
    Locked {
        /// Who.
        holder: Holder,
        /// When it expires.
        expires_in: Span,
    },
    /// The host is away.
    Unreachable,
    /// A once-service ended with this status.
    Exited(i64),
    /// It was refused, or came to nothing.
    Failed,
}

/// What the containers of an [`Awaited`](crate::Awaited) do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// The containers, of all services that are waited for.
    pub containers: Vec<Found>,
    /// Services that the edge has found ill since the switch.
    pub ill: Vec<Ill>,
}

/// A container that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it belongs to.
    pub place: Place,
    /// The container.
    pub container: ContainerSeen,
    /// Its last lines, where it is not well.
    pub last_lines: Vec<String>,
}

/// A service that is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ill {
    /// The service.
    pub service: ServiceName,
    /// Why.
    pub reason: Reason,
    /// The last lines of its container.
    pub last_lines: Vec<String>,
}
