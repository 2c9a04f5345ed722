//! A pipeline that runs: its statuses, and what each event does to them.

mod downstream;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::{Effect, Event, EventError, Failure};
use crate::plan::{JobKind, Plan, PlannedJob};
use crate::state::{JobState, RunState};
use crate::status::{Counts, Kind, Status};
use ci::{AllowFailure, Graph, JobFailureCancel, NewCommitCancel, When};

/// A pipeline's state. Cheap to clone, but for its statuses.
#[derive(Debug, Clone)]
pub struct Run {
    pub(crate) plan: Arc<Plan>,
    pub(crate) jobs: Vec<JobState>,
    /// As shown; a stage whose jobs are all created again keeps what it showed.
    stages: Vec<Status>,
    pipeline: Status,
    pub(crate) stage_counts: Vec<Counts>,
    /// Counts of what each job needs; empty for those that wait for stages.
    pub(crate) need_counts: Vec<Counts>,
    /// Created jobs that wait for earlier stages, by stage.
    pub(crate) waiting: Vec<BTreeSet<usize>>,
    /// Created jobs with `needs` whose needs changed, as (stage, rank, job).
    pub(crate) changed: BTreeSet<(usize, usize, usize)>,
    changed_stages: BTreeSet<usize>,
}

impl Run {
    /// A run in which nothing happened yet, and the effects of its creation: what can run at once
    /// is pending.
    pub fn new(graph: &Graph) -> (Self, Vec<Effect>) {
        let mut run = Self::assemble(graph, vec![JobState::default(); graph.jobs.len()]);
        let mut effects = Vec::new();
        run.settle(&mut effects);
        (run, effects)
    }

    /// The run as it was stored.
    ///
    /// # Errors
    /// When the state is that of another graph.
    pub fn restore(graph: &Graph, state: RunState) -> Result<Self, EventError> {
        if state.jobs.len() != graph.jobs.len() {
            return Err(EventError::Mismatch {
                found: state.jobs.len(),
                expected: graph.jobs.len(),
            });
        }
        let mut run = Self::assemble(graph, state.jobs);
        run.show(&mut Vec::new());
        if state.stages.len() == run.stages.len() {
            run.stages = state.stages;
        }
        run.pipeline = state.pipeline.unwrap_or(run.pipeline);
        Ok(run)
    }

    /// What [`Run::restore`] wants.
    pub fn state(&self) -> RunState {
        RunState {
            jobs: self.jobs.clone(),
            stages: self.stages.clone(),
            pipeline: Some(self.pipeline),
        }
    }

    /// What a job of this index has; `None` when there is none.
    pub fn job(&self, job: usize) -> Option<&JobState> {
        self.jobs.get(job)
    }

    /// A job's status; `None` when there is none of this index.
    pub fn job_status(&self, job: usize) -> Option<Status> {
        self.jobs.get(job).map(|state| state.status)
    }

    /// A stage's status; `None` when there is none of this index.
    pub fn stage_status(&self, stage: usize) -> Option<Status> {
        self.stages.get(stage).copied()
    }

    /// The pipeline's status.
    pub fn status(&self) -> Status {
        self.pipeline
    }

    /// Whether the job's failure, were it to fail now, would be none for the pipeline.
    pub fn allows_failure(&self, job: usize) -> bool {
        self.plan.jobs[job].allow_failure == AllowFailure::Yes || self.jobs[job].forgiven
    }

    /// Takes an event and says what follows.
    ///
    /// # Errors
    /// When the event cannot be, because there is no such job or its status does not allow it.
    /// Nothing has changed then.
    pub fn apply(&mut self, event: Event) -> Result<Vec<Effect>, EventError> {
        let mut effects = Vec::new();
        match event {
            Event::Start { job } => self.start(job, &mut effects)?,
            Event::Succeeded { job } => self.succeed(job, &mut effects)?,
            Event::Failed { job, failure } => self.fail(job, &failure, &mut effects)?,
            Event::Cancel { job } => self.cancel(job, &mut effects)?,
            Event::Canceled { job } => self.canceled(job, &mut effects)?,
            Event::CancelAll => self.cancel_all(&mut effects),
            Event::Superseded => self.supersede(&mut effects),
            Event::Play { job } => self.play(job, &mut effects)?,
            Event::Retry { job } => self.retry(job, &mut effects)?,
            Event::RetryAll => self.retry_all(&mut effects),
            Event::Due { job } => self.due(job, &mut effects)?,
            Event::ResourceAcquired { job } => self.acquire(job, &mut effects)?,
            Event::Downstream { job, state } => self.downstream(job, &state, &mut effects)?,
        }
        self.settle(&mut effects);
        Ok(effects)
    }

    fn assemble(graph: &Graph, jobs: Vec<JobState>) -> Self {
        let plan = Arc::new(Plan::new(graph));
        let mut run = Self {
            stages: vec![Status::Created; plan.stages.len()],
            pipeline: Status::Created,
            stage_counts: vec![Counts::default(); plan.stages.len()],
            need_counts: vec![Counts::default(); jobs.len()],
            waiting: vec![BTreeSet::new(); plan.stages.len()],
            changed: BTreeSet::new(),
            changed_stages: (0..plan.stages.len()).collect(),
            plan,
            jobs,
        };
        for job in 0..run.jobs.len() {
            let kind = run.kind(job);
            let plan = Arc::clone(&run.plan);
            run.stage_counts[plan.jobs[job].stage].add(kind);
            for &other in &plan.jobs[job].needed_by {
                run.need_counts[other].add(kind);
            }
            run.note_if_created(job);
        }
        run
    }

    fn start(&mut self, job: usize, effects: &mut Vec<Effect>) -> Result<(), EventError> {
        self.expect(job, "started", |status| status == Status::Pending)?;
        self.jobs[job].started = true;
        self.set(job, Status::Running, effects);
        Ok(())
    }

    fn succeed(&mut self, job: usize, effects: &mut Vec<Effect>) -> Result<(), EventError> {
        self.expect(job, "succeeded", can_end)?;
        self.jobs[job].started = true;
        self.set(job, Status::Success, effects);
        Ok(())
    }

    fn fail(
        &mut self,
        job: usize,
        failure: &Failure,
        effects: &mut Vec<Effect>,
    ) -> Result<(), EventError> {
        let status = self.expect(job, "failed", |status| !status.is_complete())?;
        if status == Status::Canceling {
            self.set(job, Status::Canceled, effects);
            return Ok(());
        }
        let planned = &self.plan.jobs[job];
        if let AllowFailure::ExitCodes(codes) = &planned.allow_failure {
            self.jobs[job].forgiven = failure.exit_code.is_some_and(|code| codes.contains(&code));
        }
        let again =
            planned.kind == JobKind::Script && retries(planned, self.jobs[job].attempt, failure);
        self.set(job, Status::Failed, effects);
        if again {
            self.attempt_again(job, Attempt::Automatic, effects);
        } else if self.plan.on_job_failure == JobFailureCancel::All && !self.allows_failure(job) {
            self.cancel_all(effects);
        }
        Ok(())
    }

    fn cancel(&mut self, job: usize, effects: &mut Vec<Effect>) -> Result<(), EventError> {
        self.expect(job, "canceled", |status| {
            !status.is_complete() && status != Status::Canceling
        })?;
        self.cancel_one(job, effects);
        Ok(())
    }

    fn cancel_one(&mut self, job: usize, effects: &mut Vec<Effect>) {
        let is_script = self.plan.jobs[job].kind == JobKind::Script;
        if is_script && self.jobs[job].status == Status::Running {
            self.set(job, Status::Canceling, effects);
            effects.push(Effect::Stop { job });
            return;
        }
        self.set(job, Status::Canceled, effects);
        if !is_script && self.jobs[job].started {
            effects.push(Effect::CancelDownstream { job });
        }
    }

    fn canceled(&mut self, job: usize, effects: &mut Vec<Effect>) -> Result<(), EventError> {
        self.expect(job, "canceled", |status| !status.is_complete())?;
        self.set(job, Status::Canceled, effects);
        Ok(())
    }

    /// Manual jobs stay: they can still be played.
    fn cancel_where(&mut self, chosen: impl Fn(&PlannedJob) -> bool, effects: &mut Vec<Effect>) {
        let plan = Arc::clone(&self.plan);
        for (job, planned) in plan.jobs.iter().enumerate() {
            let status = self.jobs[job].status;
            if status.is_alive() && status != Status::Canceling && chosen(planned) {
                self.cancel_one(job, effects);
            }
        }
    }

    /// Pipelines below are left alone: whoever sends this sends it to children as well, and each says
    /// itself what is cancelled of it. Of jobs that have begun, only those count that a runner has.
    fn supersede(&mut self, effects: &mut Vec<Effect>) {
        let before = effects.len();
        self.supersede_jobs(effects);
        let mut at = 0;
        effects.retain(|effect| {
            at += 1;
            at <= before || !matches!(effect, Effect::CancelDownstream { .. })
        });
    }

    fn supersede_jobs(&mut self, effects: &mut Vec<Effect>) {
        match self.plan.on_new_commit {
            NewCommitCancel::None => {}
            NewCommitCancel::Interruptible => {
                self.cancel_where(|planned| planned.interruptible, effects);
            }
            NewCommitCancel::Conservative => {
                let fixed = |(state, planned): (&JobState, &PlannedJob)| {
                    let script = planned.kind == JobKind::Script;
                    script && state.started && !planned.interruptible
                };
                if !self.jobs.iter().zip(&self.plan.jobs).any(fixed) {
                    self.cancel_where(|_| true, effects);
                }
            }
        }
    }

    fn play(&mut self, job: usize, effects: &mut Vec<Effect>) -> Result<(), EventError> {
        let manual = matches!(self.planned(job)?.when, When::Manual | When::Delayed);
        // a started one shows that the pipeline below it waits: that one's job is to be played
        let started = self.jobs[job].started;
        let status = self.expect(job, "played", |status| match status {
            Status::Manual | Status::Scheduled => !started,
            Status::Success | Status::Failed | Status::Canceled => manual,
            _ => false,
        })?;
        match status {
            Status::Manual | Status::Scheduled => {
                self.jobs[job].enqueue_at_once = true;
                self.enqueue(job, effects);
                self.wake_skipped(job, effects);
            }
            _ => self.attempt_again(job, Attempt::Asked, effects),
        }
        Ok(())
    }

    fn retry(&mut self, job: usize, effects: &mut Vec<Effect>) -> Result<(), EventError> {
        self.expect(job, "retried", |status| {
            matches!(status, Status::Success | Status::Failed | Status::Canceled)
        })?;
        self.attempt_again(job, Attempt::Asked, effects);
        Ok(())
    }

    fn retry_all(&mut self, effects: &mut Vec<Effect>) {
        for job in 0..self.jobs.len() {
            if matches!(self.jobs[job].status, Status::Failed | Status::Canceled) {
                self.renew(job, Attempt::WithAll, effects);
            }
        }
        for job in 0..self.jobs.len() {
            if self.jobs[job].status == Status::Skipped {
                self.set(job, Status::Created, effects);
            }
        }
    }

    fn due(&mut self, job: usize, effects: &mut Vec<Effect>) -> Result<(), EventError> {
        self.expect(job, "due", |status| status == Status::Scheduled)?;
        self.enqueue(job, effects);
        Ok(())
    }

    fn acquire(&mut self, job: usize, effects: &mut Vec<Effect>) -> Result<(), EventError> {
        self.expect(job, "given its resource", |status| {
            status == Status::WaitingForResource
        })?;
        self.jobs[job].holds_resource = true;
        self.make_pending(job, effects);
        Ok(())
    }

    /// A new attempt; what was skipped because of the one before gets its chance again.
    fn attempt_again(&mut self, job: usize, attempt: Attempt, effects: &mut Vec<Effect>) {
        self.renew(job, attempt, effects);
        self.wake_skipped(job, effects);
    }

    fn renew(&mut self, job: usize, attempt: Attempt, effects: &mut Vec<Effect>) {
        let number = self.jobs[job].attempt + 1;
        effects.push(Effect::Attempt {
            job,
            number,
            automatic: attempt == Attempt::Automatic,
        });
        self.change(job, |state| {
            *state = JobState {
                attempt: number,
                enqueue_at_once: attempt != Attempt::WithAll,
                ..JobState::default()
            };
        });
    }

    /// Skipped jobs of later stages, and those that need this one however far, are created again.
    fn wake_skipped(&mut self, job: usize, effects: &mut Vec<Effect>) {
        let plan = Arc::clone(&self.plan);
        let later = plan.jobs[job].stage + 1..plan.stages.len();
        for stage in later {
            if self.stage_counts[stage].has(Status::Skipped) {
                for &other in &plan.stages[stage] {
                    self.wake(other, effects);
                }
            }
        }
        let mut open = plan.jobs[job].needed_by.clone();
        let mut seen: BTreeSet<usize> = open.iter().copied().collect();
        while let Some(other) = open.pop() {
            self.wake(other, effects);
            for &next in &plan.jobs[other].needed_by {
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
    }

    fn wake(&mut self, job: usize, effects: &mut Vec<Effect>) {
        if self.jobs[job].status == Status::Skipped {
            self.set(job, Status::Created, effects);
        }
    }

    /// The job is ready: it asks for its resource, or is pending.
    pub(crate) fn enqueue(&mut self, job: usize, effects: &mut Vec<Effect>) {
        if self.plan.jobs[job].has_resource_group {
            self.set(job, Status::WaitingForResource, effects);
            effects.push(Effect::RequestResource { job });
        } else {
            self.make_pending(job, effects);
        }
    }

    fn make_pending(&mut self, job: usize, effects: &mut Vec<Effect>) {
        self.set(job, Status::Pending, effects);
        if self.plan.jobs[job].kind != JobKind::Script {
            effects.push(Effect::StartDownstream { job });
        }
    }

    /// Gives a job a status, with all counts that depend on it.
    pub(crate) fn set(&mut self, job: usize, status: Status, effects: &mut Vec<Effect>) {
        if self.jobs[job].status == status {
            return;
        }
        self.change(job, |state| state.status = status);
        effects.push(Effect::Job { job, status });
        if status.is_complete() && std::mem::take(&mut self.jobs[job].holds_resource) {
            effects.push(Effect::ReleaseResource { job });
        }
    }

    fn change(&mut self, job: usize, change: impl FnOnce(&mut JobState)) {
        let before = self.kind(job);
        change(&mut self.jobs[job]);
        let after = self.kind(job);
        let plan = Arc::clone(&self.plan);
        let planned = &plan.jobs[job];
        self.stage_counts[planned.stage].remove(before);
        self.stage_counts[planned.stage].add(after);
        self.changed_stages.insert(planned.stage);
        self.waiting[planned.stage].remove(&job);
        for &other in &planned.needed_by {
            self.need_counts[other].remove(before);
            self.need_counts[other].add(after);
            self.note_if_created(other);
        }
        self.note_if_created(job);
    }

    fn note_if_created(&mut self, job: usize) {
        if self.jobs[job].status != Status::Created {
            return;
        }
        let planned = &self.plan.jobs[job];
        if planned.needs.is_some() {
            self.changed.insert((planned.stage, planned.rank, job));
        } else {
            self.waiting[planned.stage].insert(job);
        }
    }

    fn kind(&self, job: usize) -> Kind {
        Kind::of(self.jobs[job].status, self.allows_failure(job))
    }

    /// Lets everything that is ready go on, then shows what changed.
    fn settle(&mut self, effects: &mut Vec<Effect>) {
        self.process(effects);
        self.show(effects);
    }

    /// A stage or pipeline never goes back to `created`: it keeps what it showed, as in GitLab.
    fn show(&mut self, effects: &mut Vec<Effect>) {
        for stage in std::mem::take(&mut self.changed_stages) {
            let status = self.stage_counts[stage].status();
            if status != Status::Created && status != self.stages[stage] {
                self.stages[stage] = status;
                effects.push(Effect::Stage { stage, status });
            }
        }
        let mut all = Counts::default();
        for counts in &self.stage_counts {
            all.add_all(counts);
        }
        let status = pipeline_status(self.pipeline, all.status());
        if status != self.pipeline {
            self.pipeline = status;
            effects.push(Effect::Pipeline { status });
        }
    }

    fn planned(&self, job: usize) -> Result<&PlannedJob, EventError> {
        self.plan.jobs.get(job).ok_or(EventError::NoJob { job })
    }

    fn expect(
        &self,
        job: usize,
        what: &'static str,
        allowed: impl FnOnce(Status) -> bool,
    ) -> Result<Status, EventError> {
        let name = &self.planned(job)?.name;
        let status = self.jobs[job].status;
        if allowed(status) {
            return Ok(status);
        }
        Err(EventError::Refused {
            name: name.clone(),
            status,
            what,
        })
    }
}

/// What a pipeline shows when its jobs together are `new`: one that ended and goes on is running,
/// and one that runs is not pending again (GitLab, the states of a pipeline).
fn pipeline_status(shown: Status, new: Status) -> Status {
    match (shown, new) {
        (shown, Status::Created) => shown,
        (
            Status::Success | Status::Failed | Status::Canceled | Status::Running,
            Status::Pending,
        ) => Status::Running,
        (_, new) => new,
    }
}

/// Why there is a new attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// `retry` in the file.
    Automatic,
    /// Somebody retried the pipeline: a manual job waits to be played.
    WithAll,
    /// Somebody played or retried this job: it starts at once.
    Asked,
}

fn can_end(status: Status) -> bool {
    matches!(
        status,
        Status::Pending | Status::Running | Status::Canceling
    )
}

/// Whether `retry` of the file asks for another attempt after this failure.
fn retries(planned: &PlannedJob, attempt: u32, failure: &Failure) -> bool {
    let retry = &planned.retry;
    if attempt > retry.max || NEVER_RETRIED.contains(&failure.reason.as_str()) {
        return false;
    }
    let any = retry.when.is_empty() && retry.exit_codes.is_empty();
    let by_reason = |word: &String| word == "always" || *word == failure.reason;
    let by_code = failure
        .exit_code
        .is_some_and(|code| retry.exit_codes.contains(&code));
    any || retry.when.iter().any(by_reason) || by_code
}

/// Reasons that another attempt cannot mend.
const NEVER_RETRIED: [&str; 3] = [
    "missing_dependency_failure",
    "forward_deployment_failure",
    "archived_failure",
];
