//! One host of a rollout.

use std::collections::VecDeque;

use super::event::{Moment, StepId};
use crate::gate::Baseline;
use crate::name::{HostName, ReleaseNumber};
use crate::plan::PlannedStep;
use crate::step::Step;

/// How far a host has come.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// What it has to do in this phase.
    pub(super) queue: VecDeque<PlannedStep>,
    /// What it is doing. A watch that has passed its time goes on, and is not here any more.
    pub(super) current: Option<StepId>,
    /// Whether the lock is ours.
    pub(super) locked: bool,
    /// Whether something has changed for its users, or may have.
    pub(super) touched: bool,
    /// Whether it went back by itself (`failure_action` is not `rollback`).
    pub(super) failed: bool,
    /// Why it could not go back.
    pub(super) stuck: Option<String>,
    /// Whether nothing more is to be tidied up on it.
    pub(super) left_alone: bool,
}

/// A step that was given out.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) host: HostName,
    pub(super) step: Step,
    pub(super) since: Moment,
    /// Of a watch, after its first look.
    pub(super) baseline: Option<Baseline>,
}

impl Track {
    pub(super) fn is_busy(&self) -> bool {
        self.current.is_some() || !self.queue.is_empty()
    }

    /// A stack that could not be stopped is not removed either.
    pub(super) fn keep_stack(&mut self, stack: ReleaseNumber) {
        let removes =
            |step: &Step| matches!(step, Step::RemoveStack(remains) if remains.release == stack);
        self.queue.retain(|planned| !removes(&planned.step));
    }

    pub(super) fn finish(&mut self, id: StepId) {
        if self.current == Some(id) {
            self.current = None;
        }
    }
}
