//! Brings events to pipelines and their effects to the world.
//!
//! `pipeline` decides, the store keeps, this carries between them: one event at a time for each
//! pipeline, written in one transaction before anybody hears of it. Runs at work are kept in memory;
//! after a restart they are read back. Nothing is decided here.

mod active;
mod error;
mod update;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ci::Graph;
use model::{JobId, PipelineId, ProjectId};
use pipeline::{
    Downstream, Effect, Event, Failure, ProcessMode, Run, Status, Waiting, next_resource,
};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;

pub(crate) use error::EngineError;

use crate::downstream::Work;
use crate::live::{Live, Queue};
use crate::store::{Assignment, JobRow, NewPipeline, PipelineRow, Store, StoreError};
use active::Active;
use update::Details;

/// All pipelines.
#[derive(Clone)]
pub(crate) struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    queue: Arc<Queue>,
    live: Arc<Live>,
    /// What is to be done about pipelines below others.
    downstream: UnboundedSender<Work>,
    active: Mutex<HashMap<PipelineId, Arc<Mutex<Active>>>>,
}

/// How a job ended, as its runner says.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Success,
    Failed {
        /// GitLab's word.
        reason: &'static str,
        exit_code: Option<i32>,
    },
}

impl Engine {
    pub(crate) fn new(
        store: Store,
        queue: Arc<Queue>,
        live: Arc<Live>,
        downstream: UnboundedSender<Work>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                queue,
                live,
                downstream,
                active: Mutex::default(),
            }),
        }
    }

    /// Makes a pipeline of a graph: what can run at once is pending when this returns.
    pub(crate) async fn create(
        &self,
        graph: &Graph,
        mut new: NewPipeline<'_>,
    ) -> Result<PipelineRow, EngineError> {
        let (run, effects) = Run::new(graph);
        new.status = run.status().as_str();
        new.graph = serde_json::to_string(graph).map_err(|_| EngineError::Graph)?;
        new.jobs = update::first_attempts(graph, &run);
        let (row, jobs) = self.inner.store.create_pipeline(new).await?;
        self.announce(&Announced {
            pipeline: row.id,
            project: row.project,
            is_downstream: row.upstream.is_some(),
            graph,
            effects: &effects,
            attempt: &|node| jobs.get(node).copied(),
        });
        Ok(row)
    }

    /// A runner takes a job. Refused when another one was quicker.
    pub(crate) async fn start(
        &self,
        job: &JobRow,
        assignment: Assignment,
    ) -> Result<(), EngineError> {
        let details = Details {
            assignment: Some(assignment),
            ..Details::default()
        };
        self.about(job, |job| Event::Start { job }, details).await
    }

    /// A job has ended. Returns the status that it has now: a job that was being cancelled is
    /// cancelled, whatever its runner says.
    pub(crate) async fn finish(
        &self,
        job: &JobRow,
        outcome: Outcome,
    ) -> Result<Status, EngineError> {
        let (event, details): (fn(usize, Failure) -> Event, _) = match outcome {
            Outcome::Success => (|job, _| Event::Succeeded { job }, Details::default()),
            Outcome::Failed { reason, exit_code } => (
                |job, failure| Event::Failed { job, failure },
                Details {
                    failure_reason: Some(reason.to_owned()),
                    exit_code,
                    assignment: None,
                },
            ),
        };
        let failure = Failure {
            reason: details.failure_reason.clone().unwrap_or_default(),
            exit_code: details.exit_code,
        };
        if job.status == Status::Canceling {
            self.about(job, |job| Event::Canceled { job }, Details::default())
                .await?;
        } else {
            self.about(job, |job| event(job, failure.clone()), details)
                .await?;
        }
        let row = self.inner.store.job(job.id).await?;
        Ok(row.map_or(Status::Canceled, |row| row.status))
    }

    /// The pipeline below a trigger job was made, could not be made, has another status, or is no more.
    pub(crate) async fn downstream(
        &self,
        job: &JobRow,
        state: Downstream,
    ) -> Result<(), EngineError> {
        let failure_reason = match &state {
            Downstream::Refused { reason } | Downstream::Removed { reason } => Some(reason.clone()),
            Downstream::Created | Downstream::Status(_) => None,
        };
        let details = Details {
            failure_reason,
            ..Details::default()
        };
        self.about(job, |job| Event::Downstream { job, state }, details)
            .await
    }

    /// Removes a project with its pipelines, and fails the trigger jobs of others that follow one of them.
    /// Returns the jobs whose files are nobody's now.
    pub(crate) async fn delete_project(&self, id: ProjectId) -> Result<Vec<JobId>, StoreError> {
        let deleted = self.inner.store.delete_project(id).await?;
        for job in deleted.above {
            self.hand_on(Some(Work::Lose(job)));
        }
        Ok(deleted.jobs)
    }

    /// An event about this attempt, which must be the newest of its job.
    async fn about(
        &self,
        job: &JobRow,
        event: impl FnOnce(usize) -> Event,
        details: Details,
    ) -> Result<(), EngineError> {
        let expected = Some((job.node, job.id));
        self.apply_checked(job.pipeline, event(job.node), details, expected)
            .await
    }

    /// Somebody stops, plays or retries a job.
    pub(crate) async fn command(
        &self,
        job: &JobRow,
        event: impl FnOnce(usize) -> Event,
    ) -> Result<(), EngineError> {
        self.about(job, event, Details::default()).await
    }

    /// An event about the whole pipeline.
    pub(crate) async fn apply(
        &self,
        pipeline: PipelineId,
        event: Event,
    ) -> Result<(), EngineError> {
        self.apply_checked(pipeline, event, Details::default(), None)
            .await
    }

    /// Runs in a task of its own: a client that goes away must not leave what is in memory behind
    /// what is in the database.
    async fn apply_checked(
        &self,
        pipeline: PipelineId,
        event: Event,
        details: Details,
        expected: Option<(usize, JobId)>,
    ) -> Result<(), EngineError> {
        let engine = self.clone();
        let task = tokio::spawn(async move {
            let active = engine.active(pipeline).await?;
            let mut active = active.lock().await;
            if expected.is_some_and(|(node, id)| active.attempt(node) != Some(id)) {
                return Err(EngineError::Refused(
                    "this attempt of the job has been replaced by a newer one".to_owned(),
                ));
            }
            let effects = active
                .run
                .apply(event)
                .map_err(|error| EngineError::Refused(error.to_string()))?;
            if let Err(error) = active.keep(&engine.inner.store, &effects, details).await {
                engine.inner.active.lock().await.remove(&pipeline);
                return Err(error.into());
            }
            engine.announce(&Announced {
                pipeline,
                project: active.project,
                is_downstream: active.is_downstream,
                graph: &active.graph,
                effects: &effects,
                attempt: &|node| active.attempt(node),
            });
            if active.run.status().is_complete() {
                engine.inner.active.lock().await.remove(&pipeline);
            }
            Ok(())
        });
        task.await.map_err(|_| EngineError::Crashed)?
    }

    /// The run in memory, read back from the store when it is not there.
    async fn active(&self, id: PipelineId) -> Result<Arc<Mutex<Active>>, EngineError> {
        let mut all = self.inner.active.lock().await;
        if let Some(active) = all.get(&id) {
            return Ok(Arc::clone(active));
        }
        let active = Arc::new(Mutex::new(Active::load(&self.inner.store, id).await?));
        all.insert(id, Arc::clone(&active));
        Ok(active)
    }

    /// Tells whoever waits: runners, followers, resource groups, pipelines above and below.
    fn announce(&self, what: &Announced<'_>) {
        let is_pending = |effect: &Effect| matches!(effect, Effect::Job { status, .. } if *status == Status::Pending);
        if what.effects.iter().any(is_pending) {
            self.inner.queue.changed();
        }
        self.inner.live.changed(what.pipeline);
        for group in groups_to_look_at(what.graph, what.effects) {
            self.grant_later(what.project, group);
        }
        for effect in what.effects {
            let attempt = |job: usize| (what.attempt)(job);
            match *effect {
                Effect::StartDownstream { job } => self.hand_on(attempt(job).map(Work::Start)),
                Effect::CancelDownstream { job } => self.hand_on(attempt(job).map(Work::Cancel)),
                Effect::Pipeline { .. } if what.is_downstream => {
                    self.hand_on(Some(Work::Follow(what.pipeline)));
                }
                _ => {}
            }
        }
    }

    /// Nobody takes it while the server stops: it is found again at the next start.
    fn hand_on(&self, work: Option<Work>) {
        if let Some(work) = work {
            let _stopping = self.inner.downstream.send(work);
        }
    }

    /// Gives a resource group's turn to the next job, in a task of its own: it may be another
    /// pipeline's.
    fn grant_later(&self, project: ProjectId, group: String) {
        let engine = self.clone();
        tokio::spawn(async move {
            if let Err(error) = engine.grant(project, &group).await {
                tracing::error!(error = %crate::http::chain(&error), group, "a resource group stands still");
            }
        });
    }

    /// Gives the resource of a group to the next job, when it is free.
    pub(crate) async fn grant(&self, project: ProjectId, group: &str) -> Result<(), EngineError> {
        let jobs = self.inner.store.jobs_of_group(project, group).await?;
        let holds = |job: &JobRow| {
            matches!(
                job.status,
                Status::Pending | Status::Running | Status::Canceling
            )
        };
        if jobs.iter().any(holds) {
            return Ok(());
        }
        let is_coming = |job: &&JobRow| {
            matches!(
                job.status,
                Status::WaitingForResource | Status::Created | Status::Scheduled
            )
        };
        let waiting: Vec<Waiting> = jobs
            .iter()
            .filter(is_coming)
            .map(|job| Waiting {
                pipeline: job.pipeline.0,
                job: job.id.0,
                ready: job.status == Status::WaitingForResource,
            })
            .collect();
        let known = self.inner.store.resource_group(project, group).await?;
        let mode = known.map_or_else(ProcessMode::default, |known| known.mode);
        let next = next_resource(mode, &waiting);
        let Some(job) = jobs.iter().find(|job| Some(job.id.0) == next) else {
            return Ok(());
        };
        match Box::pin(self.command(job, |job| Event::ResourceAcquired { job })).await {
            // somebody cancelled it, or it was given twice
            Ok(()) | Err(EngineError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What follows from an event that has been written.
struct Announced<'a> {
    pipeline: PipelineId,
    project: ProjectId,
    /// Whether a trigger job may wait for this pipeline's status.
    is_downstream: bool,
    graph: &'a Graph,
    effects: &'a [Effect],
    /// The newest attempt of a job of the graph.
    attempt: &'a dyn Fn(usize) -> Option<JobId>,
}

/// The resource groups in which it may be another job's turn: one asks, or one that others may have
/// waited for has gone out of the way.
fn groups_to_look_at(graph: &Graph, effects: &[Effect]) -> BTreeSet<String> {
    let job = |effect: &Effect| match *effect {
        Effect::RequestResource { job } | Effect::ReleaseResource { job } => Some(job),
        Effect::Job { job, status } if status.is_complete() || status == Status::Manual => {
            Some(job)
        }
        _ => None,
    };
    let jobs = effects.iter().filter_map(job);
    jobs.filter_map(|job| graph.jobs[job].resource_group.clone())
        .collect()
}
