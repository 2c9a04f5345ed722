//! What a deploy or a rollback will do, host by host: steps that leave nothing to choose.
//!
//! A plan is made of what was asked and what was seen, and of nothing else: the same input makes
//! the same plan. It leaves out what is there already, so planning again after a rollout was cut
//! off, wherever that was, goes on from there.

mod adopt;
mod back;
mod check;
mod finish;
mod host;
mod note;
mod prepare;
mod roll;
mod show;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::host::{HostSeen, Observed};
use crate::name::{EnvironmentName, HostName, ReleaseNumber};
use crate::policy::Policy;
use crate::problem::{Problem, Problems};
use crate::record::Intent;
use crate::release::Release;
use crate::request::{Desired, Request};
use crate::step::Step;

use adopt::Composed;

pub use note::Note;

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The environment.
    pub environment: EnvironmentName,
    /// Forth or back, from where and to where.
    pub intent: Intent,
    /// How.
    pub policy: Policy,
    /// All hosts in the order of `lotse.toml`.
    pub hosts: Vec<HostPlan>,
    /// The hosts that change, batch by batch.
    pub batches: Vec<Vec<HostName>>,
    /// What people should know.
    pub notes: Vec<Note>,
    /// All releases that steps speak of and that are known. They hold secrets, and are not shown.
    #[serde(skip)]
    pub releases: BTreeMap<ReleaseNumber, Arc<Release>>,
}

/// What happens on one host. Each list is empty where nothing is left to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostPlan {
    /// The host.
    pub host: HostName,
    /// The release that it goes back to on a failure.
    pub from: Option<ReleaseNumber>,
    /// Whether a rollout that was cut off has begun to change it.
    pub begun: bool,
    /// What users notice nothing of. All hosts first.
    pub prepare: Vec<PlannedStep>,
    /// Once-services and what they need, on one host.
    pub once: Vec<PlannedStep>,
    /// The new stack, the switch and the watch, when the host's batch is on.
    pub roll: Vec<PlannedStep>,
    /// When all hosts serve the release.
    pub commit: Vec<PlannedStep>,
    /// What is not needed any more, at last.
    pub finish: Vec<PlannedStep>,
    /// The way back on a failure, up to the switch.
    pub back: Vec<PlannedStep>,
    /// After the way back: the failed stack.
    pub clear: Vec<PlannedStep>,
}

/// A step, and the reason for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedStep {
    /// The step.
    pub step: Step,
    /// Why.
    pub why: String,
}

impl PlannedStep {
    pub(crate) fn new(step: Step, why: impl Into<String>) -> Self {
        Self {
            step,
            why: why.into(),
        }
    }
}

impl Plan {
    /// Plans what was asked for on hosts that were seen so.
    ///
    /// # Errors
    /// All that stands against it, at once.
    pub fn make(request: &Request, observed: &Observed) -> Result<Self, Problems> {
        let mut problems = check::hosts(request, observed);
        let seen = reached(request, observed);
        if let Desired::Deploy(draft) | Desired::Adopt(draft) = &request.desired {
            problems.extend(draft.problems().iter().cloned());
        }
        let target = match target::find(&request.desired, &seen) {
            Ok(target) => target,
            Err(problem) => {
                problems.push(problem);
                return Err(Problems(problems));
            }
        };
        let policy = Policy::of(&request.environment, &target.release, target.intent.way);
        let composed = Composed::of(&request.desired, &target.release);
        problems.extend(check::release(&target.release, &policy, &seen, &composed));
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(host::plan(request, policy, target, &seen, &composed))
    }

    /// The release that shall be.
    pub fn release(&self) -> Option<&Arc<Release>> {
        self.releases.get(&self.intent.to)
    }

    /// Whether nothing is left to do.
    pub fn is_empty(&self) -> bool {
        let lists = |host: &HostPlan| {
            host.prepare.is_empty()
                && host.once.is_empty()
                && host.roll.is_empty()
                && host.commit.is_empty()
                && host.finish.is_empty()
        };
        self.hosts.iter().all(lists)
    }

    pub(crate) fn host(&self, name: &HostName) -> Option<&HostPlan> {
        self.hosts.iter().find(|plan| plan.host == *name)
    }
}

/// Hosts that could be looked at, in the order of `lotse.toml`.
type SeenHosts<'a> = Vec<(&'a HostName, &'a HostSeen)>;

fn reached<'a>(request: &'a Request, observed: &'a Observed) -> SeenHosts<'a> {
    let hosts = request.environment.hosts.iter();
    hosts
        .filter_map(|host| Some((host, observed.get(host)?.as_ref().ok()?)))
        .collect()
}

/// For a problem that only one place can have.
type Found<T> = Result<T, Problem>;
