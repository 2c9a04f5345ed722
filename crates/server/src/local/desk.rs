//! Where events meet the pipeline's state, and where its effects are carried out: jobs are laid out
//! for the runner, delays are waited for, resources are given.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ci::Graph;
use model::{Secret, Variable};
use pipeline::{
    Downstream, Effect, Event, Failure, ProcessMode, Run, Status, Waiting, next_resource,
};
use runner_api::JobResponse;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::running::{Above, Attempt, Pipeline};
use super::{Blueprint, ChildWish, Happening, Place, Subject, handout, wish};
use crate::http::RUNNER_PREFIX;
use crate::parcels::Parcel;

#[derive(Debug)]
pub(super) struct Desk {
    /// The git repository that jobs fetch from.
    pub(super) repository: PathBuf,
    /// Where artifacts lie.
    pub(super) folder: PathBuf,
    runner_token: Secret,
    state: Mutex<State>,
    happenings: UnboundedSender<Happening>,
    /// Counts changes of what waits for the runner.
    queue: watch::Sender<u64>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// The first is the one that was asked for.
    pub(super) pipelines: Vec<Pipeline>,
    /// Which job a number belongs to.
    places: BTreeMap<i64, Place>,
    /// In the order of becoming so; some may no longer be.
    pending: VecDeque<Place>,
    ended: bool,
}

impl State {
    /// How many pipelines are above this one.
    pub(super) fn levels(&self, pipeline: usize) -> usize {
        let above = |&at: &usize| self.pipelines[at].above.map(|above| above.place.pipeline);
        std::iter::successors(Some(pipeline), above).count() - 1
    }

    fn next_id(&self) -> i64 {
        self.places.last_key_value().map_or(1, |(last, _)| last + 1)
    }

    fn attempt(&mut self, place: Place) -> &mut Attempt {
        &mut self.pipelines[place.pipeline].attempts[place.job]
    }

    fn status(&self, place: Place) -> Option<Status> {
        self.pipelines[place.pipeline].run.job_status(place.job)
    }

    /// All jobs of all pipelines.
    fn all(&self) -> impl Iterator<Item = Place> {
        let jobs = |(pipeline, one): (usize, &Pipeline)| {
            (0..one.attempts.len()).map(move |job| Place { pipeline, job })
        };
        self.pipelines.iter().enumerate().flat_map(jobs)
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
        let desk = Arc::new(Self {
            repository: blueprint.repository,
            folder: blueprint.folder,
            runner_token: Secret::random(RUNNER_PREFIX),
            state: Mutex::default(),
            happenings,
            queue: watch::Sender::new(0),
        });
        let first = Beginning {
            graph: blueprint.graph,
            subject: blueprint.subject,
            settings: blueprint.settings,
            given: Vec::new(),
            play: blueprint.play,
            above: None,
        };
        desk.begin(&mut desk.state(), first);
        desk
    }

    fn begin(self: &Arc<Self>, state: &mut State, new: Beginning) -> usize {
        let pipeline = state.pipelines.len();
        let (run, effects) = Run::new(&new.graph);
        let first = state.next_id();
        let attempts: Vec<_> = (first..)
            .take(new.graph.jobs.len())
            .map(|id| Attempt::new(id, 1))
            .collect();
        for (job, attempt) in attempts.iter().enumerate() {
            state.places.insert(attempt.id, Place { pipeline, job });
        }
        state.pipelines.push(Pipeline {
            number: i64::try_from(pipeline).unwrap_or(i64::MAX - 1) + 1,
            graph: new.graph,
            subject: new.subject,
            settings: new.settings,
            given: new.given,
            play: new.play,
            run,
            attempts,
            above: new.above,
        });
        self.follow(state, pipeline, effects);
        pipeline
    }

    /// Begins the child that a trigger job asked for, if it still waits for it.
    pub(super) fn begin_child(self: &Arc<Self>, wish: &ChildWish, graph: Graph) -> Option<usize> {
        let mut state = self.state();
        let place = self.waiting(&mut state, wish)?;
        let parent = &state.pipelines[place.pipeline];
        let child = Beginning {
            graph,
            subject: wish::subject_below(&parent.subject),
            settings: parent.settings.clone(),
            given: wish.variables.clone(),
            play: BTreeSet::new(),
            above: Some(Above {
                place,
                id: wish.attempt,
            }),
        };
        let number = self.begin(&mut state, child);
        self.tell_above(&mut state, place, Downstream::Created);
        Some(number)
    }

    pub(super) fn refuse_child(self: &Arc<Self>, wish: &ChildWish) {
        let mut state = self.state();
        if let Some(place) = self.waiting(&mut state, wish) {
            let reason = "downstream_pipeline_creation_failed".to_owned();
            state.attempt(place).failure = Some(Failure::other(&reason));
            self.tell_above(&mut state, place, Downstream::Refused { reason });
        }
    }

    fn waiting(&self, state: &mut State, wish: &ChildWish) -> Option<Place> {
        let place = wish.place;
        let waits = state.status(place) == Some(Status::Pending);
        (waits && state.attempt(place).id == wish.attempt).then_some(place)
    }

    fn tell_above(self: &Arc<Self>, state: &mut State, place: Place, below: Downstream) {
        let job = place.job;
        self.apply(
            state,
            place.pipeline,
            Event::Downstream { job, state: below },
        );
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
        self.apply(&mut state, 0, Event::CancelAll);
    }

    /// The job that has waited longest; it is the runner's from then on.
    pub(super) fn take(self: &Arc<Self>) -> Option<JobResponse> {
        let mut state = self.state();
        while let Some(place) = state.pending.pop_front() {
            let job = place.job;
            if self.apply(&mut state, place.pipeline, Event::Start { job }) {
                return Some(handout::of(self, &state, place));
            }
        }
        None
    }

    /// What a job's token opens: its place, while that attempt is the newest.
    pub(super) fn job(&self, id: i64, token: &Secret) -> Option<Place> {
        let mut state = self.state();
        let place = *state.places.get(&id)?;
        let attempt = state.attempt(place);
        (attempt.id == id && attempt.token == *token).then_some(place)
    }

    pub(super) fn status(&self, place: Place) -> Status {
        self.state().status(place).unwrap_or(Status::Canceled)
    }

    pub(super) fn append(&self, place: Place, start: u64, text: Bytes) -> Appended {
        let mut state = self.state();
        let attempt = state.attempt(place);
        if start != attempt.received {
            return Appended::Gap(attempt.received);
        }
        attempt.received += text.len() as u64;
        let received = attempt.received;
        self.tell(Happening::Log { place, text });
        Appended::Done(received)
    }

    /// How much of the job's log has come.
    pub(super) fn received(&self, place: Place) -> u64 {
        self.state().attempt(place).received
    }

    /// The runner's last word on a job; a job that was being cancelled is cancelled, whatever it says.
    pub(super) fn finish(self: &Arc<Self>, place: Place, failure: Option<Failure>) {
        let mut state = self.state();
        let job = place.job;
        let event = match (state.status(place), failure) {
            (Some(Status::Canceling), _) => Event::Canceled { job },
            (_, None) => Event::Succeeded { job },
            (_, Some(failure)) => {
                state.attempt(place).failure = Some(failure.clone());
                Event::Failed { job, failure }
            }
        };
        self.apply(&mut state, place.pipeline, event);
    }

    pub(super) fn keep_archive(&self, place: Place, archive: Parcel) {
        self.state().attempt(place).archive = Some(archive);
    }

    pub(super) fn keep_dotenv(&self, place: Place, variables: Vec<Variable>) {
        self.state().attempt(place).dotenv = variables;
    }

    pub(super) fn archive(&self, place: Place) -> Option<Parcel> {
        self.state().attempt(place).archive.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, happening: Happening) {
        // Whoever listened may be gone; the jobs go on until this is dropped.
        let _ = self.happenings.send(happening);
    }

    /// Whether the event could be.
    fn apply(self: &Arc<Self>, state: &mut State, pipeline: usize, event: Event) -> bool {
        match state.pipelines[pipeline].run.apply(event) {
            Ok(effects) => {
                self.follow(state, pipeline, effects);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "an event came too late");
                false
            }
        }
    }

    /// Carries out effects, and those that follow from them in any pipeline.
    fn follow(self: &Arc<Self>, state: &mut State, pipeline: usize, effects: Vec<Effect>) {
        let of = |pipeline: usize, effects: Vec<Effect>| {
            effects.into_iter().map(move |effect| (pipeline, effect))
        };
        let mut open: VecDeque<_> = of(pipeline, effects).collect();
        while let Some((pipeline, effect)) = open.pop_front() {
            for (other, event) in self.carry_out(state, pipeline, &effect) {
                match state.pipelines[other].run.apply(event) {
                    Ok(effects) => open.extend(of(other, effects)),
                    Err(error) => tracing::debug!(%error, "an event came too late"),
                }
            }
        }
        if !state.pending.is_empty() {
            self.queue.send_modify(|count| *count += 1);
        }
        self.end_if_nothing_goes_on(state);
    }

    /// Returns the events that follow at once, each with its pipeline.
    fn carry_out(
        self: &Arc<Self>,
        state: &mut State,
        pipeline: usize,
        effect: &Effect,
    ) -> Vec<(usize, Event)> {
        let place = |job: usize| Place { pipeline, job };
        let here = |event: Event| (pipeline, event);
        match *effect {
            Effect::Attempt { job, number, .. } => {
                self.renew(state, place(job), number);
                Vec::new()
            }
            Effect::Job { job, status } => {
                let event = self.changed(state, place(job), status);
                event.map(here).into_iter().collect()
            }
            Effect::Delay { job, seconds } => {
                self.wait(state, place(job), seconds);
                Vec::new()
            }
            Effect::RequestResource { job } | Effect::ReleaseResource { job } => {
                self.grant(state, place(job)).into_iter().collect()
            }
            Effect::StartDownstream { job } => {
                let event = self.wish_for_child(state, place(job));
                event.map(here).into_iter().collect()
            }
            Effect::CancelDownstream { job } => {
                let below = |at: &usize| {
                    let above = state.pipelines[*at].above;
                    above.is_some_and(|above| above.place == place(job))
                };
                let children = (0..state.pipelines.len()).filter(below);
                children.map(|child| (child, Event::CancelAll)).collect()
            }
            Effect::Pipeline { status } => {
                let event = to_above(state, pipeline, status);
                event.into_iter().collect()
            }
            Effect::Stop { .. } | Effect::Stage { .. } => Vec::new(),
        }
    }

    /// Whoever listens compiles the child; what cannot be is refused at once.
    fn wish_for_child(&self, state: &mut State, place: Place) -> Option<Event> {
        let refusal = match wish::of(state, place) {
            Ok(wish) => {
                self.tell(Happening::Child(Box::new(wish)));
                return None;
            }
            Err(refusal) => refusal,
        };
        let text = Bytes::from(format!("ERROR: {}\n", refusal.message));
        self.tell(Happening::Log { place, text });
        state.attempt(place).failure = Some(Failure::other(refusal.reason));
        let reason = refusal.reason.to_owned();
        Some(Event::Downstream {
            job: place.job,
            state: Downstream::Refused { reason },
        })
    }

    fn renew(&self, state: &mut State, place: Place, number: u32) {
        let id = state.next_id();
        *state.attempt(place) = Attempt::new(id, number);
        state.places.insert(id, place);
    }

    fn changed(&self, state: &mut State, place: Place, status: Status) -> Option<Event> {
        let Place { pipeline, job } = place;
        let attempt = state.attempt(place);
        let (number, failure) = (attempt.number, attempt.failure.clone());
        let pipeline = &state.pipelines[pipeline];
        self.tell(Happening::Job {
            place,
            attempt: number,
            status,
            failure: failure.filter(|_| status == Status::Failed),
            forgiven: pipeline.run.allows_failure(job),
        });
        match status {
            Status::Pending if pipeline.graph.jobs[job].trigger.is_none() => {
                state.pending.push_back(place);
                None
            }
            Status::Manual | Status::Scheduled if pipeline.play.contains(&job) => {
                Some(Event::Play { job })
            }
            _ => None,
        }
    }

    fn wait(self: &Arc<Self>, state: &State, place: Place, seconds: u64) {
        let Place { pipeline, job } = place;
        if state.pipelines[pipeline].play.contains(&job) {
            return;
        }
        self.tell(Happening::Delayed { place, seconds });
        let desk = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            if let Some(desk) = desk.upgrade() {
                let mut state = desk.state();
                desk.apply(&mut state, pipeline, Event::Due { job });
            }
        });
    }

    /// Gives the resource of the job's group to the next of it, in whatever pipeline, when it is free.
    fn grant(&self, state: &State, place: Place) -> Option<(usize, Event)> {
        let group_of = |place: &Place| {
            let graph = &state.pipelines[place.pipeline].graph;
            graph.jobs[place.job].resource_group.as_ref()
        };
        let group = group_of(&place)?;
        let members: Vec<Place> = (state.all())
            .filter(|member| group_of(member) == Some(group))
            .collect();
        let run = |place: &Place| &state.pipelines[place.pipeline].run;
        let holds = |at: &Place| run(at).job(at.job).is_some_and(|job| job.holds_resource);
        if members.iter().any(holds) {
            return None;
        }
        let waiting: Vec<Waiting> = (members.iter())
            .map(|at| Waiting {
                pipeline: state.pipelines[at.pipeline].number,
                job: state.pipelines[at.pipeline].attempts[at.job].id,
                ready: state.status(*at) == Some(Status::WaitingForResource),
            })
            .collect();
        let next = next_resource(ProcessMode::default(), &waiting)?;
        let Place { pipeline, job } = *state.places.get(&next)?;
        Some((pipeline, Event::ResourceAcquired { job }))
    }

    fn end_if_nothing_goes_on(&self, state: &mut State) {
        let goes_on = |place: Place| {
            let job = &state.pipelines[place.pipeline].graph.jobs[place.job];
            let is_trigger = job.trigger.is_some();
            state
                .status(place)
                .is_some_and(|status| goes_on(status, is_trigger))
        };
        if !state.ended && !state.all().any(goes_on) {
            state.ended = true;
            let status = match state.pipelines[0].run.status() {
                // a trigger job goes along with a pipeline that waits for somebody
                Status::Running => Status::Manual,
                status => status,
            };
            self.tell(Happening::Ended { status });
        }
    }
}

/// A pipeline that begins.
struct Beginning {
    graph: Graph,
    subject: Subject,
    settings: Vec<Variable>,
    given: Vec<Variable>,
    play: BTreeSet<usize>,
    above: Option<Above>,
}

/// What the trigger job above hears, if it still is the attempt that the pipeline was made for.
fn to_above(state: &mut State, pipeline: usize, status: Status) -> Option<(usize, Event)> {
    let above = state.pipelines[pipeline].above?;
    let is_newest = state.attempt(above.place).id == above.id;
    let Place { pipeline, job } = above.place;
    let state = Downstream::Status(status);
    is_newest.then_some((pipeline, Event::Downstream { job, state }))
}

/// Whether something will happen to such a job without anybody's doing. A created job waits for
/// others, and a trigger job that runs for the jobs below, so those alone do not count.
fn goes_on(status: Status, is_trigger: bool) -> bool {
    match status {
        Status::Running => !is_trigger,
        Status::Pending
        | Status::Preparing
        | Status::Canceling
        | Status::WaitingForResource
        | Status::Scheduled => true,
        _ => false,
    }
}
