//! What follows from a failure: the way back, or a note of what was left.

use std::collections::BTreeSet;

use compose::project::FailureAction;

use super::Rollout;
use super::event::{Failure, FailureKind, Ill, StepId};
use super::outcome::{Cause, Consequence, Leftover, Outcome, Reason};
use super::phase::Phase;
use crate::name::{Holder, HostName};
use crate::plan::PlannedStep;
use crate::problem::{Problem, Problems};
use crate::record::Entry;
use crate::step::Step;

impl Rollout {
    pub(super) fn step_failed(&mut self, id: StepId, failure: Failure) {
        let Some(running) = self.running.remove(&id) else {
            return;
        };
        if let Some(track) = self.tracks.get_mut(&running.host) {
            track.finish(id);
        }
        if matches!(self.phase, Phase::LockingFirst | Phase::LockingRest) {
            return self.refuse(&running.host, failure);
        }
        let cause = cause(&running.host, &running.step, failure);
        self.failed(&running.host, Some(&running.step), cause);
    }

    pub(super) fn found_ill(&mut self, host: &HostName, step: Option<&Step>, ill: Ill) {
        let cause = Cause {
            host: Some(host.clone()),
            service: Some(ill.service),
            reason: ill.reason,
            last_lines: ill.last_lines,
        };
        self.failed(host, step, cause);
    }

    /// The lock is somebody else's: what is under way ends where it is, and nothing more is done.
    pub(super) fn lock_lost(&mut self, host: HostName, by: Option<Holder>) {
        if self.phase == Phase::Over {
            return;
        }
        let ids: Vec<StepId> = self.running.keys().copied().collect();
        ids.into_iter().for_each(|id| self.stop(id));
        self.end(Outcome::LockLost { host, by });
    }

    pub(super) fn interrupted(&mut self) {
        let cause = Cause {
            host: None,
            service: None,
            reason: Reason::Interrupted,
            last_lines: Vec::new(),
        };
        match self.phase {
            Phase::Idle | Phase::LockingFirst | Phase::LockingRest => {
                self.outcome = Some(Outcome::Interrupted);
                self.tracks
                    .values_mut()
                    .for_each(|track| track.queue.clear());
            }
            Phase::Preparing | Phase::Once | Phase::Rolling(_) => self.turn_back(cause),
            _ => {}
        }
    }

    fn refuse(&mut self, host: &HostName, failure: Failure) {
        let host = host.clone();
        let problem = match failure.kind {
            FailureKind::Locked { holder, expires_in } => Problem::Locked {
                host,
                holder,
                expires_in,
            },
            _ => Problem::Unreachable {
                host,
                why: failure.message,
            },
        };
        let mut problems = match self.outcome.take() {
            Some(Outcome::Refused(Problems(problems))) => problems,
            _ => Vec::new(),
        };
        problems.push(problem);
        self.outcome = Some(Outcome::Refused(Problems(problems)));
    }

    fn failed(&mut self, host: &HostName, step: Option<&Step>, cause: Cause) {
        let alone = self.tracks.get(host).is_some_and(|track| track.failed);
        match self.phase {
            Phase::Rolling(_) | Phase::Turning if alone => self.back_failed(host, step, &cause),
            Phase::Preparing | Phase::Once => self.turn_back(cause),
            Phase::Rolling(_) => match self.plan.as_ref().map(|plan| plan.policy.failure_action) {
                Some(FailureAction::Pause | FailureAction::Continue) => {
                    self.back_alone(host, cause);
                }
                Some(FailureAction::Rollback) | None => self.turn_back(cause),
            },
            Phase::Turning => self.causes.push(cause),
            Phase::GoingBack(_) => self.back_failed(host, step, &cause),
            Phase::Committing | Phase::Finishing | Phase::Clearing | Phase::Unlocking => {
                self.left(host, step, &cause);
            }
            Phase::Idle | Phase::LockingFirst | Phase::LockingRest | Phase::Over => {}
        }
    }

    /// All hosts go back, as soon as what cannot be broken off has come to its end.
    fn turn_back(&mut self, cause: Cause) {
        self.causes.push(cause);
        self.turn(Phase::Turning);
    }

    /// Ends what can be broken off and forgets what was to come, but on hosts that are on their way
    /// back already.
    fn turn(&mut self, phase: Phase) {
        let alone: BTreeSet<HostName> = self
            .tracks
            .iter()
            .filter(|(_, track)| track.failed)
            .map(|(host, _)| host.clone())
            .collect();
        for (_, track) in self
            .tracks
            .iter_mut()
            .filter(|(host, _)| !alone.contains(*host))
        {
            track.queue.clear();
        }
        let running = self
            .running
            .iter()
            .filter(|(_, running)| !alone.contains(&running.host));
        let stoppable = running.filter(|(_, running)| running.step.is_stoppable());
        let ids: Vec<StepId> = stoppable.map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.stop(id));
        self.phase = phase;
    }

    /// This host goes back, the others go on (`failure_action` is `pause` or `continue`).
    fn back_alone(&mut self, host: &HostName, cause: Cause) {
        let reason = cause.to_string();
        self.causes.push(cause);
        self.stop_watch(host);
        let Some(plan) = &self.plan else { return };
        let Some(host_plan) = plan.host(host) else {
            return;
        };
        let mut steps = host_plan.back.clone();
        steps.extend(host_plan.clear.iter().cloned());
        steps.extend(verdict(
            plan.intent.to,
            host_plan.from != Some(plan.intent.to),
            reason,
        ));
        if let Some(track) = self.tracks.get_mut(host) {
            track.failed = true;
            track.queue = steps.into();
        }
    }

    pub(super) fn stop_watch(&mut self, host: &HostName) {
        let watches = self.running.iter().filter(|(_, running)| {
            running.host == *host && matches!(running.step, Step::Watch { .. })
        });
        let ids: Vec<StepId> = watches.map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.stop(id));
    }

    /// A step of the way back failed. The switch is what counts: without it the host keeps what it
    /// has, and the failed stack goes on.
    fn back_failed(&mut self, host: &HostName, step: Option<&Step>, cause: &Cause) {
        let decisive = matches!(step, Some(Step::Switch(_)));
        self.left(host, step, cause);
        if let Some(track) = self.tracks.get_mut(host).filter(|_| decisive) {
            track.stuck = Some(cause.to_string());
            track.queue.clear();
            if let Some(leftover) = self.leftovers.last_mut() {
                leftover.consequence = Consequence::Stuck;
            }
        }
    }

    /// Notes what could not be done, and goes on with the next step, unless that makes no sense.
    fn left(&mut self, host: &HostName, step: Option<&Step>, cause: &Cause) {
        let uncommitted = self.phase == Phase::Committing;
        self.leftovers.push(Leftover {
            host: host.clone(),
            step: step.map(ToString::to_string).unwrap_or_default(),
            message: cause.to_string(),
            consequence: match uncommitted {
                true => Consequence::Unwritten,
                false => Consequence::Untidy,
            },
        });
        let away = matches!(cause.reason, Reason::Unreachable { .. });
        if let Some(track) = self.tracks.get_mut(host) {
            track.left_alone |= uncommitted;
            if let Some(Step::Retire { release, .. }) = step {
                track.keep_stack(*release);
            }
            if away
                && !matches!(
                    self.phase,
                    Phase::GoingBack(_) | Phase::Rolling(_) | Phase::Turning
                )
            {
                track.queue.clear();
            }
        }
    }
}

/// The steps that write a failure down.
pub(super) fn verdict(
    release: crate::ReleaseNumber,
    new: bool,
    reason: String,
) -> Vec<PlannedStep> {
    let mut steps = Vec::new();
    if new {
        let entry = Entry::Fail { release, reason };
        steps.push(PlannedStep::new(
            Step::Record { entry },
            "so that nobody goes back to it",
        ));
    }
    steps.push(PlannedStep::new(
        Step::Record {
            entry: Entry::Close,
        },
        "the rollout is over",
    ));
    steps
}

fn cause(host: &HostName, step: &Step, failure: Failure) -> Cause {
    let reason = match failure.kind {
        FailureKind::Exited(status) => Reason::Exited { status },
        FailureKind::Unreachable => Reason::Unreachable {
            step: step.to_string(),
            message: failure.message,
        },
        FailureKind::Locked { .. } | FailureKind::Failed => Reason::Step {
            step: step.to_string(),
            message: failure.message,
        },
    };
    Cause {
        host: Some(host.clone()),
        service: failure.service,
        reason,
        last_lines: failure.last_lines,
    }
}
