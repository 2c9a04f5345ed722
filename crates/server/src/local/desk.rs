//! Where events meet the pipeline's state, and where its effects are carried out: jobs are laid out
//! for the runner, delays are waited for, resources are given.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use model::{Secret, Variable};
use pipeline::{
    Downstream, Effect, Event, Failure, ProcessMode, Run, Status, Waiting, next_resource,
};
use runner_api::JobResponse;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::{Blueprint, Happening, handout};
use crate::auth::JOB_TOKEN_PREFIX;
use crate::http::RUNNER_PREFIX;
use crate::parcels::Parcel;

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) blueprint: Blueprint,
    runner_token: Secret,
    state: Mutex<State>,
    happenings: UnboundedSender<Happening>,
    /// Counts changes of what waits for the runner.
    queue: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct State {
    run: Run,
    /// The newest of each job.
    pub(super) attempts: Vec<Attempt>,
    /// Which job a number belongs to.
    nodes: BTreeMap<i64, usize>,
    /// In the order of becoming so; some may no longer be.
    pending: VecDeque<usize>,
    ended: bool,
}

/// One attempt of a job.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) id: i64,
    pub(super) number: u32,
    pub(super) token: Secret,
    /// Bytes of its log that have come.
    received: u64,
    failure: Option<Failure>,
    pub(super) archive: Option<Parcel>,
    /// From a `dotenv` report, for the jobs that take its artifacts.
    pub(super) dotenv: Vec<Variable>,
}

impl Attempt {
    fn new(id: i64, number: u32) -> Self {
        Self {
            id,
            number,
            token: Secret::random(JOB_TOKEN_PREFIX),
            received: 0,
            failure: None,
            archive: None,
            dotenv: Vec::new(),
        }
    }
}

/// What became of a part of a log.
pub(super) enum Appended {
    /// It was taken; the log has this many bytes now.
    Done(u64),
    /// It does not begin where the log ends, which is here.
    Gap(u64),
}

impl Desk {
    pub(super) fn open(blueprint: Blueprint, happenings: UnboundedSender<Happening>) -> Arc<Self> {
        let (run, effects) = Run::new(&blueprint.graph);
        let attempts: Vec<_> = (1..).take(blueprint.graph.jobs.len()).map(first).collect();
        let nodes = attempts
            .iter()
            .enumerate()
            .map(|(node, one)| (one.id, node));
        let state = State {
            run,
            nodes: nodes.collect(),
            attempts,
            pending: VecDeque::new(),
            ended: false,
        };
        let desk = Arc::new(Self {
            blueprint,
            runner_token: Secret::random(RUNNER_PREFIX),
            state: Mutex::new(state),
            happenings,
            queue: watch::Sender::new(0),
        });
        desk.follow(&mut desk.state(), effects);
        desk
    }

    pub(super) fn runner_token(&self) -> &Secret {
        &self.runner_token
    }

    /// Changes whenever a job is laid out for the runner.
    pub(super) fn queue(&self) -> watch::Receiver<u64> {
        self.queue.subscribe()
    }

    pub(super) fn cancel(self: &Arc<Self>) {
        let mut state = self.state();
        if let Ok(effects) = state.run.apply(Event::CancelAll) {
            self.follow(&mut state, effects);
        }
    }

    /// The job that has waited longest; it is the runner's from then on.
    pub(super) fn take(self: &Arc<Self>) -> Option<JobResponse> {
        let mut state = self.state();
        while let Some(job) = state.pending.pop_front() {
            if self.apply(&mut state, Event::Start { job }) {
                return Some(handout::of(&self.blueprint, &state, job));
            }
        }
        None
    }

    /// What a job's token opens: its place in the graph, while that attempt is the newest.
    pub(super) fn job(&self, id: i64, token: &Secret) -> Option<usize> {
        let state = self.state();
        let node = *state.nodes.get(&id)?;
        let attempt = &state.attempts[node];
        (attempt.id == id && attempt.token == *token).then_some(node)
    }

    pub(super) fn status(&self, job: usize) -> Status {
        let status = self.state().run.job_status(job);
        status.unwrap_or(Status::Canceled)
    }

    pub(super) fn append(&self, job: usize, start: u64, text: Bytes) -> Appended {
        let mut state = self.state();
        let attempt = &mut state.attempts[job];
        if start != attempt.received {
            return Appended::Gap(attempt.received);
        }
        attempt.received += text.len() as u64;
        let received = attempt.received;
        self.tell(Happening::Log { job, text });
        Appended::Done(received)
    }

    /// How much of the job's log has come.
    pub(super) fn received(&self, job: usize) -> u64 {
        self.state().attempts[job].received
    }

    /// The runner's last word on a job; a job that was being cancelled is cancelled, whatever it says.
    pub(super) fn finish(self: &Arc<Self>, job: usize, failure: Option<Failure>) {
        let mut state = self.state();
        let event = match (state.run.job_status(job), failure) {
            (Some(Status::Canceling), _) => Event::Canceled { job },
            (_, None) => Event::Succeeded { job },
            (_, Some(failure)) => {
                state.attempts[job].failure = Some(failure.clone());
                Event::Failed { job, failure }
            }
        };
        self.apply(&mut state, event);
    }

    pub(super) fn keep_archive(&self, job: usize, archive: Parcel) {
        self.state().attempts[job].archive = Some(archive);
    }

    pub(super) fn keep_dotenv(&self, job: usize, variables: Vec<Variable>) {
        self.state().attempts[job].dotenv = variables;
    }

    pub(super) fn archive(&self, job: usize) -> Option<Parcel> {
        self.state().attempts[job].archive.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, happening: Happening) {
        // Whoever listened may be gone; the jobs go on until this is dropped.
        let _ = self.happenings.send(happening);
    }

    /// Whether the event could be.
    fn apply(self: &Arc<Self>, state: &mut State, event: Event) -> bool {
        match state.run.apply(event) {
            Ok(effects) => {
                self.follow(state, effects);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "an event came too late");
                false
            }
        }
    }

    /// Carries out effects, and those that follow from them.
    fn follow(self: &Arc<Self>, state: &mut State, effects: Vec<Effect>) {
        let mut open = VecDeque::from(effects);
        while let Some(effect) = open.pop_front() {
            if let Some(event) = self.carry_out(state, &effect) {
                match state.run.apply(event) {
                    Ok(effects) => open.extend(effects),
                    Err(error) => tracing::debug!(%error, "an event came too late"),
                }
            }
        }
        if !state.pending.is_empty() {
            self.queue.send_modify(|count| *count += 1);
        }
        self.end_if_nothing_goes_on(state);
    }

    /// Returns the event that follows at once.
    fn carry_out(self: &Arc<Self>, state: &mut State, effect: &Effect) -> Option<Event> {
        match *effect {
            Effect::Attempt { job, number, .. } => {
                self.renew(state, job, number);
                None
            }
            Effect::Job { job, status } => self.changed(state, job, status),
            Effect::Delay { job, seconds } => {
                self.wait(job, seconds);
                None
            }
            Effect::RequestResource { job } | Effect::ReleaseResource { job } => {
                self.grant(state, job)
            }
            // Pipelines that start pipelines are not carried out: as on the server, the job fails.
            Effect::StartDownstream { job } => {
                let reason = "downstream_pipeline_creation_failed".to_owned();
                state.attempts[job].failure = Some(Failure::other(&reason));
                let state = Downstream::Refused { reason };
                Some(Event::Downstream { job, state })
            }
            Effect::Stop { .. }
            | Effect::CancelDownstream { .. }
            | Effect::Stage { .. }
            | Effect::Pipeline { .. } => None,
        }
    }

    fn renew(&self, state: &mut State, job: usize, number: u32) {
        let id = state.nodes.last_key_value().map_or(1, |(last, _)| last + 1);
        state.attempts[job] = Attempt::new(id, number);
        state.nodes.insert(id, job);
    }

    fn changed(&self, state: &mut State, job: usize, status: Status) -> Option<Event> {
        let attempt = &state.attempts[job];
        let failure = attempt.failure.clone();
        self.tell(Happening::Job {
            job,
            attempt: attempt.number,
            status,
            failure: failure.filter(|_| status == Status::Failed),
            forgiven: state.run.allows_failure(job),
        });
        match status {
            Status::Pending if self.blueprint.graph.jobs[job].trigger.is_none() => {
                state.pending.push_back(job);
                None
            }
            Status::Manual | Status::Scheduled if self.blueprint.play.contains(&job) => {
                Some(Event::Play { job })
            }
            _ => None,
        }
    }

    fn wait(self: &Arc<Self>, job: usize, seconds: u64) {
        if self.blueprint.play.contains(&job) {
            return;
        }
        self.tell(Happening::Delayed { job, seconds });
        let desk = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            if let Some(desk) = desk.upgrade() {
                let mut state = desk.state();
                desk.apply(&mut state, Event::Due { job });
            }
        });
    }

    /// Gives the resource of the job's group to the next of it, when it is free.
    fn grant(&self, state: &State, job: usize) -> Option<Event> {
        let jobs = &self.blueprint.graph.jobs;
        let group = jobs[job].resource_group.as_ref()?;
        let of_group = |at: &usize| jobs[*at].resource_group.as_ref() == Some(group);
        let members: Vec<usize> = (0..jobs.len()).filter(of_group).collect();
        let holds = |at: &usize| state.run.job(*at).is_some_and(|job| job.holds_resource);
        if members.iter().any(holds) {
            return None;
        }
        let waiting: Vec<Waiting> = (members.iter())
            .map(|&at| Waiting {
                pipeline: 1,
                job: state.attempts[at].id,
                ready: state.run.job_status(at) == Some(Status::WaitingForResource),
            })
            .collect();
        let next = next_resource(ProcessMode::default(), &waiting)?;
        let job = *state.nodes.get(&next)?;
        Some(Event::ResourceAcquired { job })
    }

    fn end_if_nothing_goes_on(&self, state: &mut State) {
        let goes_on = |job: usize| state.run.job_status(job).is_some_and(goes_on);
        if !state.ended && !(0..state.attempts.len()).any(goes_on) {
            state.ended = true;
            let status = state.run.status();
            self.tell(Happening::Ended { status });
        }
    }
}

fn first(id: i64) -> Attempt {
    Attempt::new(id, 1)
}

/// Whether something will happen to such a job without anybody's doing. A created job waits for
/// others, so it alone does not count.
fn goes_on(status: Status) -> bool {
    matches!(
        status,
        Status::Pending
            | Status::Preparing
            | Status::Running
            | Status::Canceling
            | Status::WaitingForResource
            | Status::Scheduled
    )
}
