//! The phases of a rollout, and which follows which.

use compose::project::FailureAction;

use super::Rollout;
use super::failure::verdict;
use super::outcome::{Consequence, Leftover, Outcome};
use crate::name::HostName;
use crate::plan::{HostPlan, Plan, PlannedStep};
use crate::policy::Policy;
use crate::step::{Lease, Step};

/// What all hosts are at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    /// The first host's lock decides between two deployers.
    LockingFirst,
    LockingRest,
    Preparing,
    Once,
    /// This batch.
    Rolling(usize),
    Committing,
    Finishing,
    /// Something failed; what cannot be broken off comes to its end.
    Turning,
    /// These groups of hosts are still to go back, the last first.
    GoingBack(Vec<Vec<HostName>>),
    Clearing,
    Unlocking,
    Over,
}

impl Phase {
    /// Whether its steps change what users see, or might.
    pub(super) fn changes_hosts(&self) -> bool {
        matches!(self, Self::Once | Self::Rolling(_))
    }
}

impl Rollout {
    /// What follows when no host has anything left to do.
    pub(super) fn next_phase(&mut self) {
        match self.phase.clone() {
            Phase::LockingFirst if self.outcome.is_none() => self.enter(Phase::LockingRest),
            Phase::LockingRest if self.outcome.is_none() => self.make_plan(),
            Phase::LockingFirst | Phase::LockingRest => self.enter(Phase::Unlocking),
            Phase::Preparing => self.enter(Phase::Once),
            Phase::Once => self.enter(Phase::Rolling(0)),
            Phase::Rolling(batch) => self.after_batch(batch),
            Phase::Committing => self.enter(Phase::Finishing),
            Phase::Finishing => self.over_well(),
            Phase::Turning => {
                let groups = self.way_back();
                self.enter(Phase::GoingBack(groups));
            }
            Phase::GoingBack(groups) if groups.is_empty() => self.enter(Phase::Clearing),
            Phase::GoingBack(groups) => self.enter(Phase::GoingBack(groups)),
            Phase::Clearing => self.over_badly(),
            Phase::Unlocking => {
                let mut outcome = self.outcome.take().unwrap_or(Outcome::Interrupted);
                outcome.add(std::mem::take(&mut self.leftovers));
                self.end(outcome);
            }
            Phase::Idle | Phase::Over => self.phase = Phase::Over,
        }
    }

    /// Fills the queues for a phase.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase.clone();
        match phase {
            Phase::LockingFirst => self.lock(|index| index == 0),
            Phase::LockingRest => self.lock(|index| index > 0),
            Phase::Preparing => self.queue_all(|host| host.prepare.clone()),
            Phase::Once => self.queue_all(|host| host.once.clone()),
            Phase::Rolling(batch) => self.queue_batch(batch),
            Phase::Committing => {
                let hosts: Vec<HostName> = self.tracks.keys().cloned().collect();
                hosts.iter().for_each(|host| self.stop_watch(host));
                self.queue_good(|host| host.commit.clone());
            }
            Phase::Finishing => self.queue_good(|host| host.finish.clone()),
            Phase::GoingBack(mut groups) => {
                let group = groups.pop().unwrap_or_default();
                self.phase = Phase::GoingBack(groups);
                group.iter().for_each(|host| self.queue_back(host));
            }
            Phase::Clearing => self.queue_clear(),
            Phase::Unlocking => self.unlock(),
            Phase::Idle | Phase::Turning | Phase::Over => {}
        }
    }

    fn lock(&mut self, whom: impl Fn(usize) -> bool) {
        let lease = Lease {
            holder: self.request.holder.clone(),
            length: Policy::lease(&self.request.environment),
        };
        let hosts = self.request.environment.hosts.iter().enumerate();
        for (_, host) in hosts.filter(|(index, _)| whom(*index)) {
            if let Some(track) = self
                .tracks
                .get_mut(host)
                .filter(|track| !track.locked && track.queue.is_empty())
            {
                let step = Step::Lock(lease.clone());
                track
                    .queue
                    .push_back(PlannedStep::new(step, "two deploys must not mix"));
            }
        }
    }

    fn unlock(&mut self) {
        let holder = &self.request.holder;
        for track in self.tracks.values_mut().filter(|track| track.locked) {
            let step = Step::Unlock {
                holder: holder.clone(),
            };
            track.queue.push_back(PlannedStep::new(step, "it is over"));
        }
    }

    /// Plans on what was seen under the lock.
    fn make_plan(&mut self) {
        match Plan::make(&self.request, &self.observed) {
            Ok(plan) => {
                for host in &plan.hosts {
                    if let Some(track) = self.tracks.get_mut(&host.host) {
                        track.touched = host.begun;
                    }
                }
                self.plan = Some(plan);
                self.enter(Phase::Preparing);
            }
            Err(problems) => {
                self.outcome = Some(Outcome::Refused(problems));
                self.enter(Phase::Unlocking);
            }
        }
    }

    fn queue_all(&mut self, steps: impl Fn(&HostPlan) -> Vec<PlannedStep>) {
        for host in self.plan.iter().flat_map(|plan| &plan.hosts) {
            if let Some(track) = self.tracks.get_mut(&host.host) {
                track.queue = steps(host).into();
            }
        }
    }

    fn queue_good(&mut self, steps: impl Fn(&HostPlan) -> Vec<PlannedStep>) {
        self.queue_all(steps);
        for track in self
            .tracks
            .values_mut()
            .filter(|track| track.failed || track.left_alone)
        {
            track.queue.clear();
        }
    }

    fn queue_batch(&mut self, batch: usize) {
        let Some(plan) = &self.plan else { return };
        let delay = plan.policy.delay;
        for host in plan.batches.get(batch).into_iter().flatten() {
            let Some((track, host)) = self.tracks.get_mut(host).zip(plan.host(host)) else {
                continue;
            };
            if batch > 0 && !delay.get().is_zero() {
                let wait = Step::Wait { time: delay };
                track
                    .queue
                    .push_back(PlannedStep::new(wait, "the pause between two batches"));
            }
            track.queue.extend(host.roll.iter().cloned());
        }
    }

    fn after_batch(&mut self, batch: usize) {
        let Some(plan) = &self.plan else { return };
        let failed = self.tracks.values().any(|track| track.failed);
        let last = batch + 1 >= plan.batches.len();
        match plan.policy.failure_action {
            FailureAction::Pause if failed => self.over_paused(),
            _ if last => self.enter(Phase::Committing),
            _ => self.enter(Phase::Rolling(batch + 1)),
        }
    }

    /// The hosts that must go back, batch by batch; the last group goes first.
    fn way_back(&self) -> Vec<Vec<HostName>> {
        let Some(plan) = &self.plan else {
            return Vec::new();
        };
        let touched = |host: &&HostName| {
            self.tracks
                .get(*host)
                .is_some_and(|track| track.touched && !track.failed)
        };
        let in_batches: Vec<&HostName> = plan.batches.iter().flatten().collect();
        let others = plan
            .hosts
            .iter()
            .map(|host| &host.host)
            .filter(|host| !in_batches.contains(host));
        let mut groups = vec![others.filter(touched).cloned().collect::<Vec<_>>()];
        groups.extend(
            plan.batches
                .iter()
                .map(|batch| batch.iter().filter(touched).cloned().collect()),
        );
        groups.retain(|group| !group.is_empty());
        groups
    }

    fn queue_back(&mut self, name: &HostName) {
        let Some((plan, track)) = self.plan.as_ref().zip(self.tracks.get_mut(name)) else {
            return;
        };
        let Some(host) = plan.host(name) else { return };
        track.queue = host.back.clone().into();
        if host.back.is_empty() {
            let message = "there is no other release that it could go back to".to_owned();
            track.stuck = Some(message.clone());
            let step = "go back".to_owned();
            self.leftovers.push(Leftover {
                host: name.clone(),
                step,
                message,
                consequence: Consequence::Stuck,
            });
        }
    }

    fn queue_clear(&mut self) {
        let Some(plan) = &self.plan else { return };
        let reason = self
            .causes
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        for host in plan.hosts.iter().filter(|host| !host.prepare.is_empty()) {
            let Some(track) = self
                .tracks
                .get_mut(&host.host)
                .filter(|track| track.stuck.is_none())
            else {
                continue;
            };
            track.queue.extend(host.clear.iter().cloned());
            let new = host.from != Some(plan.intent.to);
            track
                .queue
                .extend(verdict(plan.intent.to, new, reason.clone()));
        }
    }

    fn over_well(&mut self) {
        let Some(release) = self.plan.as_ref().map(|plan| plan.intent.to) else {
            return;
        };
        let leftovers = std::mem::take(&mut self.leftovers);
        let causes = std::mem::take(&mut self.causes);
        let outcome = match causes.is_empty() {
            true => Outcome::Done { release, leftovers },
            false => Outcome::Partly {
                release,
                causes,
                leftovers,
            },
        };
        self.outcome = Some(outcome);
        self.enter(Phase::Unlocking);
    }

    fn over_paused(&mut self) {
        let Some(release) = self.plan.as_ref().map(|plan| plan.intent.to) else {
            return;
        };
        let hosts: Vec<HostName> = self.tracks.keys().cloned().collect();
        hosts.iter().for_each(|host| self.stop_watch(host));
        self.outcome = Some(Outcome::Paused {
            release,
            causes: std::mem::take(&mut self.causes),
            leftovers: std::mem::take(&mut self.leftovers),
        });
        self.enter(Phase::Unlocking);
    }

    fn over_badly(&mut self) {
        let Some(intent) = self.plan.as_ref().map(|plan| plan.intent) else {
            return;
        };
        self.outcome = Some(Outcome::RolledBack {
            release: intent.to,
            causes: std::mem::take(&mut self.causes),
            to: intent.from.filter(|from| *from != intent.to),
            leftovers: std::mem::take(&mut self.leftovers),
        });
        self.enter(Phase::Unlocking);
    }
}
