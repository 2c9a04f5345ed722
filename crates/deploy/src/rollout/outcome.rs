//! How a rollout ends, and why.

use std::fmt;

use compose::project::ServiceName;
use serde::{Deserialize, Serialize};

use crate::name::{Holder, HostName, ReleaseNumber};
use crate::problem::Problems;
use crate::span::Span;

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Every host serves the release.
    Done {
        /// Which.
        release: ReleaseNumber,
        /// What could not be tidied up.
        leftovers: Vec<Leftover>,
    },
    /// The hosts went back to what served before.
    RolledBack {
        /// The release that failed.
        release: ReleaseNumber,
        /// Why; the first is what sent them back.
        causes: Vec<Cause>,
        /// What serves.
        to: Option<ReleaseNumber>,
        /// Hosts that could not go back, and what could not be tidied up.
        leftovers: Vec<Leftover>,
    },
    /// Hosts that failed went back, others were not begun (`failure_action: pause`).
    Paused {
        /// The release.
        release: ReleaseNumber,
        /// Why.
        causes: Vec<Cause>,
        /// What could not be done.
        leftovers: Vec<Leftover>,
    },
    /// Hosts that failed went back, all others serve the release (`failure_action: continue`).
    Partly {
        /// The release.
        release: ReleaseNumber,
        /// Why.
        causes: Vec<Cause>,
        /// What could not be done.
        leftovers: Vec<Leftover>,
    },
    /// Nothing was changed.
    Refused(Problems),
    /// The user wanted it to end before anything was changed.
    Interrupted,
    /// Somebody else took over: all was left as it was.
    LockLost {
        /// Where.
        host: HostName,
        /// Who.
        by: Option<Holder>,
    },
}

/// Why a rollout did not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Where; `None` when it was about no host.
    pub host: Option<HostName>,
    /// The service.
    pub service: Option<ServiceName>,
    /// Why.
    pub reason: Reason,
    /// The last lines of its container.
    pub last_lines: Vec<String>,
}

/// In which way something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It ended.
    Exited {
        /// With this status.
        status: i64,
    },
    /// Its health check says so.
    Unhealthy,
    /// It ends, and is started again, and ends.
    Restarts {
        /// So often.
        times: u32,
    },
    /// Its containers are not there.
    Gone,
    /// It is not ready.
    NotYet,
    /// It was not well in time.
    TooSlow {
        /// So much time it had.
        deadline: Span,
        /// What was still wrong.
        last: Box<Reason>,
    },
    /// The edge got no good answer from it.
    NoAnswer(String),
    /// A step failed.
    Step {
        /// What was to be done.
        step: String,
        /// In words.
        message: String,
    },
    /// The host is away.
    Unreachable {
        /// What was to be done.
        step: String,
        /// In words.
        message: String,
    },
    /// The user wanted it to end.
    Interrupted,
}

/// Something that was left undone on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Where.
    pub host: HostName,
    /// What was to be done.
    pub step: String,
    /// Why it was not.
    pub message: String,
    /// What follows.
    pub consequence: Consequence,
}

/// What follows for a host on which something was left undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consequence {
    /// Something is there that nobody needs.
    Untidy,
    /// It serves the release and its record does not say so: what comes next takes the release before
    /// for the one in force, until a deploy of the same release writes it down.
    Unwritten,
    /// It does not serve what it should.
    Stuck,
}

impl Outcome {
    /// Whether every host serves the release.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Done { .. })
    }

    /// Whether a host serves the release and its record does not say so.
    pub fn is_unwritten(&self) -> bool {
        let unwritten = |left: &Leftover| left.consequence == Consequence::Unwritten;
        matches!(self, Self::Done { leftovers, .. } if leftovers.iter().any(unwritten))
    }

    /// Adds what was left undone at the very end.
    pub(super) fn add(&mut self, more: Vec<Leftover>) {
        match self {
            Self::Done { leftovers, .. }
            | Self::RolledBack { leftovers, .. }
            | Self::Paused { leftovers, .. }
            | Self::Partly { leftovers, .. } => leftovers.extend(more),
            Self::Refused(_) | Self::Interrupted | Self::LockLost { .. } => {}
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { status: 0 } => f.write_str(
                "ended with status 0 (if it is meant to end, give `x-lotse: { once: true }`, \
                 or let another service wait for `service_completed_successfully`)",
            ),
            Self::Exited { status } => write!(f, "ended with status {status}"),
            Self::Unhealthy => f.write_str("is unhealthy, says its health check"),
            Self::Restarts { times } => write!(f, "ended and was started again {times} times"),
            Self::Gone => f.write_str("has no container"),
            Self::NotYet => f.write_str("is not ready"),
            Self::TooSlow { deadline, last } => {
                write!(f, "{last}, and was not well within {deadline}")
            }
            Self::NoAnswer(why) => write!(f, "gave no good answer: {why}"),
            Self::Step { step, message } => write!(f, "cannot {step}: {message}"),
            Self::Unreachable { step, message } => {
                write!(f, "cannot be reached to {step}: {message}")
            }
            Self::Interrupted => f.write_str("was interrupted"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, &self.service) {
            (Some(host), Some(service)) => write!(f, "{}: {service} {}", host.short(), self.reason),
            (Some(host), None) => write!(f, "{}: {}", host.short(), self.reason),
            (None, _) => write!(f, "the rollout {}", self.reason),
        }
    }
}
