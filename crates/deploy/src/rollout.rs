//! A rollout: gives out steps, hears what came of them, and decides what follows.
//!
//! It locks all hosts, plans on what was seen under the lock, prepares all of them, runs
//! once-services, then takes batch after batch. A failure anywhere sends every host that was
//! touched back the way it came, the last batch first. Whoever drives it carries out each
//! [`Action::Run`] and reports; times come in with the events.

mod event;
mod failure;
mod look;
mod outcome;
mod phase;
mod track;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::host::Observed;
use crate::name::{HostName, ReleaseNumber};
use crate::plan::Plan;
use crate::problem::Problems;
use crate::release::Release;
use crate::request::Request;
use crate::step::Step;

pub use event::{Action, Event, Failure, FailureKind, Found, Ill, Look, Moment, Seen, StepId};
pub use outcome::{Cause, Consequence, Leftover, Outcome, Reason};

use phase::Phase;
use track::{Running, Track};

/// A deploy or a rollback at work.
#[derive(Debug)]
pub struct Rollout {
    request: Request,
    plan: Option<Plan>,
    observed: Observed,
    phase: Phase,
    tracks: BTreeMap<HostName, Track>,
    running: BTreeMap<StepId, Running>,
    last_id: u64,
    now: Moment,
    /// Why it goes back, halts or ends.
    causes: Vec<Cause>,
    leftovers: Vec<Leftover>,
    outcome: Option<Outcome>,
    actions: Vec<Action>,
}

impl Rollout {
    /// A rollout of what was asked for. Nothing happens until [`Rollout::start`].
    pub fn new(request: Request) -> Self {
        let hosts = request.environment.hosts.iter();
        let tracks = hosts.map(|host| (host.clone(), Track::default())).collect();
        Self {
            request,
            plan: None,
            observed: Observed::new(),
            phase: Phase::Idle,
            tracks,
            running: BTreeMap::new(),
            last_id: 0,
            now: Moment::default(),
            causes: Vec::new(),
            leftovers: Vec::new(),
            outcome: None,
            actions: Vec::new(),
        }
    }

    /// The first actions.
    pub fn start(&mut self, now: Moment) -> Vec<Action> {
        self.now = now;
        if self.phase == Phase::Idle {
            match self.request.environment.hosts.is_empty() {
                true => self.end(Outcome::Refused(Problems(vec![crate::Problem::NoHosts]))),
                false => self.enter(Phase::LockingFirst),
            }
        }
        self.advance()
    }

    /// What follows from an event. Events about steps that were stopped are ignored.
    pub fn on(&mut self, now: Moment, event: Event) -> Vec<Action> {
        self.now = self.now.max(now);
        match event {
            Event::Done(id, seen) => self.done(id, seen),
            Event::Failed(id, failure) => self.step_failed(id, failure),
            Event::Looked(id, look) => self.looked(id, &look),
            Event::LockLost { host, by } => self.lock_lost(host, by),
            Event::Interrupted => self.interrupted(),
        }
        self.advance()
    }

    /// The plan, once all hosts are locked.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// A release that steps speak of.
    pub fn release(&self, number: ReleaseNumber) -> Option<&Arc<Release>> {
        self.plan.as_ref()?.releases.get(&number)
    }

    /// What has gone wrong so far. Where it sends hosts back, the first is why.
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Gives out the next step of each host; where no host has one left, the next phase begins.
    fn advance(&mut self) -> Vec<Action> {
        while self.phase != Phase::Over {
            let hosts: Vec<HostName> = self.tracks.keys().cloned().collect();
            for host in hosts {
                self.give_out(&host);
            }
            if self.tracks.values().any(Track::is_busy) {
                break;
            }
            self.next_phase();
        }
        std::mem::take(&mut self.actions)
    }

    fn give_out(&mut self, host: &HostName) {
        let Some(track) = self.tracks.get_mut(host) else {
            return;
        };
        if track.current.is_some() {
            return;
        }
        let Some(planned) = track.queue.pop_front() else {
            return;
        };
        self.last_id += 1;
        let id = StepId(self.last_id);
        track.current = Some(id);
        track.touched |= self.phase.changes_hosts() && !matches!(planned.step, Step::Wait { .. });
        let running = Running {
            host: host.clone(),
            step: planned.step.clone(),
            since: self.now,
            baseline: None,
        };
        self.running.insert(id, running);
        self.actions.push(Action::Run {
            id,
            host: host.clone(),
            step: planned.step,
            why: planned.why,
        });
    }

    fn done(&mut self, id: StepId, seen: Seen) {
        let Some(running) = self.running.remove(&id) else {
            return;
        };
        if let Some(track) = self.tracks.get_mut(&running.host) {
            track.locked |= matches!(running.step, Step::Lock(_));
            track.finish(id);
        }
        if let Seen::Host(seen) = seen {
            self.observed.insert(running.host, Ok(*seen));
        }
    }

    fn stop(&mut self, id: StepId) {
        if let Some(running) = self.running.remove(&id) {
            self.actions.push(Action::Stop { id });
            if let Some(track) = self.tracks.get_mut(&running.host) {
                track.finish(id);
            }
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.phase = Phase::Over;
        self.actions.push(Action::Finish(outcome.clone()));
        self.outcome = Some(outcome);
    }
}
