//! Trigger jobs and the pipelines that they start.
//!
//! A job that follows its pipeline takes its statuses as they come, also when that pipeline had ended
//! and goes on because somebody retries one of its jobs (GitLab, "Downstream pipelines").

use super::{Run, can_end};
use crate::event::{Downstream, Effect, EventError, Failure};
use crate::plan::{Follows, JobKind};
use crate::status::Status;

impl Run {
    /// Everything that is alive, and the child pipelines, also those that no job follows.
    pub(super) fn cancel_all(&mut self, effects: &mut Vec<Effect>) {
        let first = effects.len();
        self.cancel_where(|_| true, effects);
        for job in 0..self.jobs.len() {
            let cancel = Effect::CancelDownstream { job };
            if self.has_child(job) && !effects[first..].contains(&cancel) {
                effects.push(cancel);
            }
        }
    }

    fn has_child(&self, job: usize) -> bool {
        let is_child = matches!(
            self.plan.jobs[job].kind,
            JobKind::Trigger { child: true, .. }
        );
        is_child && self.jobs[job].started
    }

    pub(super) fn downstream(
        &mut self,
        job: usize,
        state: &Downstream,
        effects: &mut Vec<Effect>,
    ) -> Result<(), EventError> {
        let JobKind::Trigger { follows, .. } = self.planned(job)?.kind else {
            self.expect(job, WHAT, |_| false)?;
            return Ok(());
        };
        match state {
            Downstream::Refused { reason } => {
                self.expect(job, WHAT, can_end)?;
                self.fail(job, &Failure::other(reason), effects)
            }
            Downstream::Created => self.created(job, follows, effects),
            Downstream::Status(status) => match target(follows, *status) {
                Some(target) => self.follow(job, *status, target, effects),
                None => Ok(()),
            },
            Downstream::Removed { reason } => {
                let started = self.jobs[job].started;
                self.expect(job, WHAT, |status| started && !status.is_complete())?;
                self.fail(job, &Failure::other(reason), effects)
            }
        }
    }

    /// A job that was cancelled while its pipeline was being made takes it along.
    fn created(
        &mut self,
        job: usize,
        follows: Follows,
        effects: &mut Vec<Effect>,
    ) -> Result<(), EventError> {
        let started = self.jobs.get(job).is_some_and(|state| state.started);
        let status = self.expect(job, WHAT, |status| {
            can_end(status) || (status == Status::Canceled && !started)
        })?;
        self.jobs[job].started = true;
        match (status, follows) {
            (Status::Canceled, _) => effects.push(Effect::CancelDownstream { job }),
            (_, Follows::Nothing) => self.set(job, Status::Success, effects),
            _ => self.set(job, Status::Running, effects),
        }
        Ok(())
    }

    fn follow(
        &mut self,
        job: usize,
        downstream: Status,
        target: Status,
        effects: &mut Vec<Effect>,
    ) -> Result<(), EventError> {
        let started = self.jobs[job].started;
        let status = self.expect(job, WHAT, |status| started || can_end(status))?;
        let dies = matches!(downstream, Status::Created | Status::Canceling);
        if status == target || (status.is_complete() && dies) {
            return Ok(());
        }
        self.jobs[job].started = true;
        if status.is_complete() {
            self.set(job, Status::Running, effects);
            self.wake_skipped(job, effects);
        }
        match target {
            Status::Failed => self.fail(job, &Failure::other(UNKNOWN), effects),
            _ => {
                self.set(job, target, effects);
                Ok(())
            }
        }
    }
}

/// What cannot be, where an event comes too late.
const WHAT: &str = "changed by the pipeline it started";

/// GitLab names no reason for a job that fails with its pipeline.
const UNKNOWN: &str = "unknown_failure";

/// The status of a trigger job whose pipeline has this one; nothing when it follows none.
fn target(follows: Follows, downstream: Status) -> Option<Status> {
    let ended = match (follows, downstream) {
        (Follows::Nothing, _) => return None,
        (_, Status::Success | Status::Failed | Status::Canceled) => downstream,
        (Follows::End, Status::Skipped) => Status::Failed,
        (Follows::Everything, Status::Skipped | Status::Manual) => downstream,
        _ => Status::Running,
    };
    Some(ended)
}
