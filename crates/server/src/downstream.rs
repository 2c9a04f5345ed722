//! Pipelines that start pipelines: makes the pipeline that a trigger job asks for, tells the job of its
//! status, cancels it with the job.
//!
//! What is to be done follows from `pipeline`'s effects, and is found again in the store after a restart:
//! a trigger job that is pending waits for its pipeline, and at most one pipeline is ever kept for an
//! attempt. So doing any of it twice does nothing.

pub(crate) mod file;
pub(crate) mod forward;
mod refusal;
mod wanted;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use model::{JobId, PipelineId, ProjectId};
use pipeline::{Downstream, Event, JobState, Status};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use crate::App;
use crate::engine::EngineError;
use crate::http::chain;
use crate::push::{Made, PushError};
use crate::store::{JobRow, PipelineRow, Project, StoreError};
pub(crate) use refusal::Refusal;
pub(crate) use wanted::{LEVELS_OF_CHILDREN, PIPELINES_OF_ONE};

/// How many pipelines are made at the same time: each reads from git and compiles.
const AT_ONCE: usize = 4;

/// After the store or the disk failed, what is to be done is looked for again.
const AGAIN: Duration = Duration::from_secs(15);

/// Something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Make the pipeline of this trigger job.
    Start(JobId),
    /// Cancel the pipelines that this trigger job started.
    Cancel(JobId),
    /// Tell the trigger job above this pipeline of its status.
    Follow(PipelineId),
    /// Fail this trigger job: the pipeline that it follows was removed.
    Lose(JobId),
}

/// Does what is to be done until the task is ended.
pub(crate) async fn run(app: Arc<App>, mut work: UnboundedReceiver<Work>) {
    let mut hands = Hands {
        turns: Arc::new(Semaphore::new(AT_ONCE)),
        app,
        starting: JoinSet::new(),
        started: HashSet::new(),
        failed: true,
    };
    let mut again = tokio::time::interval(AGAIN);
    loop {
        tokio::select! {
            Some(work) = work.recv() => hands.take(work).await,
            Some(ended) = hands.starting.join_next() => hands.ended(ended),
            _ = again.tick(), if hands.failed => hands.look().await,
        }
    }
}

struct Hands {
    app: Arc<App>,
    turns: Arc<Semaphore>,
    /// Pipelines that are being made; the others wait for none of them.
    starting: JoinSet<(JobId, Result<(), Failed>)>,
    started: HashSet<JobId>,
    /// Something may be left to do that nobody will tell of again.
    failed: bool,
}

/// Why something could not be done, and may be later.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the pipeline below a trigger job cannot be made")]
    Make(#[from] PushError),
    #[error("the trigger job cannot be told")]
    Engine(#[from] EngineError),
    #[error("the trigger job cannot be read")]
    Store(#[from] StoreError),
    #[error("its log cannot be written")]
    Log(#[from] std::io::Error),
}

impl Hands {
    async fn take(&mut self, work: Work) {
        let done = match work {
            Work::Start(job) => {
                self.start(job);
                Ok(())
            }
            Work::Cancel(job) => cancel(&self.app, job).await,
            Work::Follow(pipeline) => follow(&self.app, pipeline).await,
            Work::Lose(job) => lose(&self.app, job).await,
        };
        self.note(done);
    }

    fn start(&mut self, job: JobId) {
        if !self.started.insert(job) {
            return;
        }
        let (app, turns) = (Arc::clone(&self.app), Arc::clone(&self.turns));
        self.starting.spawn(async move {
            let _turn = turns.acquire_owned().await;
            (job, start(&app, job).await)
        });
    }

    fn ended(&mut self, ended: Result<(JobId, Result<(), Failed>), tokio::task::JoinError>) {
        match ended {
            Ok((job, done)) => {
                self.started.remove(&job);
                self.note(done);
            }
            Err(error) => {
                tracing::error!(%error, "making a pipeline ended early");
                self.failed = true;
            }
        }
    }

    fn note(&mut self, done: Result<(), Failed>) {
        if let Err(error) = done {
            tracing::error!(error = %chain(&error), "a trigger job stands still for a while");
            self.failed = true;
        }
    }

    /// Finds what is to be done in the store: after a start, and after something failed.
    async fn look(&mut self) {
        self.failed = false;
        match open(&self.app).await {
            Ok(all) => {
                for work in all {
                    self.take(work).await;
                }
            }
            Err(error) => self.note(Err(error.into())),
        }
    }
}

/// The pipelines that trigger jobs of one pipeline started, with their projects.
pub(crate) async fn below(
    app: &App,
    jobs: &[JobRow],
) -> Result<Vec<(Project, PipelineRow)>, StoreError> {
    let mut found = Vec::new();
    let Some(trigger) = jobs.iter().find(|job| job.is_trigger) else {
        return Ok(found);
    };
    let mut projects: BTreeMap<ProjectId, Option<Project>> = BTreeMap::new();
    for row in app.store.downstreams(trigger.pipeline).await? {
        let project = match projects.entry(row.project) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => {
                let project = app.store.project(row.project).await?;
                place.insert(project).clone()
            }
        };
        found.extend(project.map(|project| (project, row)));
    }
    Ok(found)
}

async fn open(app: &App) -> Result<Vec<Work>, StoreError> {
    let cancel = app.store.triggers_to_cancel().await?;
    let start = app.store.triggers_to_start().await?;
    let follow = app.store.pipelines_to_follow().await?;
    let lose = app.store.triggers_without_pipeline().await?;
    let cancel = cancel.into_iter().map(Work::Cancel);
    let start = start.into_iter().map(Work::Start);
    let follow = follow.into_iter().map(Work::Follow);
    let lose = lose.into_iter().map(Work::Lose);
    Ok(cancel.chain(start).chain(follow).chain(lose).collect())
}

/// Makes the pipeline of a trigger job, unless that was done before, and tells the job.
async fn start(app: &Arc<App>, id: JobId) -> Result<(), Failed> {
    let Some(job) = app.store.job(id).await? else {
        return Ok(());
    };
    let below = match app.store.downstream_of(id).await? {
        Some(below) => below,
        None if job.status != Status::Pending => return Ok(()),
        None => match make(app, &job).await? {
            Ok(below) => below,
            Err(refusal) => return refuse(app, &job, refusal).await,
        },
    };
    let page = app.store.project(below.project).await?;
    let page = page.map(|project| app.pipeline_page(&project, below.id));
    let line = format!("made pipeline #{}", below.id);
    say(
        app,
        id,
        &[Some(line), page].map(Option::unwrap_or_default).join("\n"),
    )
    .await?;
    match app.engine.downstream(&job, Downstream::Created).await {
        Err(EngineError::Refused(_)) => cancel_if_unwanted(app, &job, &below).await,
        // it may have been removed before the job knew of it
        Ok(()) => lose(app, id).await,
        Err(error) => Err(error.into()),
    }
}

/// What came of it, or why it may not be.
async fn make(app: &Arc<App>, job: &JobRow) -> Result<Result<PipelineRow, Refusal>, Failed> {
    let wanted = match wanted::of(app, job).await? {
        Ok(wanted) => wanted,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let made = match wanted.make(app).await {
        Ok(made) => made,
        Err(PushError::Engine(EngineError::Store(full @ StoreError::Full { .. }))) => {
            let reason = "reached_max_pipeline_hierarchy_size";
            return Ok(Err(Refusal::new(reason, full.to_string())));
        }
        Err(error @ (PushError::Store(_) | PushError::Engine(_))) => return Err(error.into()),
        Err(error) => return Ok(Err(Refusal::cannot_be_made(chain(&error)))),
    };
    Ok(match made {
        Made::Pipeline { row, .. } => Ok(*row),
        Made::Nothing { reason } => Err(Refusal::cannot_be_made(format!("no pipeline: {reason}"))),
        Made::Wrong { notes } => Err(Refusal::cannot_be_made(notes)),
    })
}

async fn refuse(app: &App, job: &JobRow, refusal: Refusal) -> Result<(), Failed> {
    tracing::info!(job = %job.id, reason = refusal.reason, "a trigger job starts no pipeline");
    say(app, job.id, &format!("ERROR: {}", refusal.message.trim())).await?;
    let state = Downstream::Refused {
        reason: refusal.reason.to_owned(),
    };
    settle(app.engine.downstream(job, state).await)
}

/// Writes a trigger job's log, once.
async fn say(app: &App, job: JobId, text: &str) -> Result<(), std::io::Error> {
    if app.traces.size(job).await? == 0 {
        app.traces.append_line(job, text.trim_end()).await?;
        app.traces.finish(job);
    }
    Ok(())
}

/// An attempt that was cancelled and replaced while its pipeline was being made wants it no more.
async fn cancel_if_unwanted(app: &App, job: &JobRow, below: &PipelineRow) -> Result<(), Failed> {
    let now = app.store.job(job.id).await?;
    if now.is_some_and(|now| now.retried && now.status == Status::Canceled) {
        settle(app.engine.apply(below.id, Event::CancelAll).await)?;
    }
    Ok(())
}

/// Cancels what all attempts of a trigger job started.
async fn cancel(app: &App, id: JobId) -> Result<(), Failed> {
    let Some(job) = app.store.job(id).await? else {
        return Ok(());
    };
    let attempts = app.store.triggers(job.pipeline).await?;
    for below in app.store.downstreams(job.pipeline).await? {
        let of_node = |attempt: &JobRow| attempt.node == job.node;
        let mut attempts = attempts.iter().filter(|attempt| of_node(attempt));
        if attempts.any(|attempt| below.upstream == Some(attempt.id)) {
            settle(app.engine.apply(below.id, Event::CancelAll).await)?;
        }
    }
    Ok(app.store.note_canceled(id).await?)
}

/// Tells a trigger job how the pipeline that it started is now.
async fn follow(app: &App, id: PipelineId) -> Result<(), Failed> {
    let Some(pipeline) = app.store.pipeline(id).await? else {
        return Ok(());
    };
    let Some((job, _)) = app.store.upstream_of(&pipeline).await? else {
        return Ok(());
    };
    app.live.changed(job.pipeline);
    // what is to be cancelled goes on for a moment; the job does not
    if job.cancels || job.retried {
        return Ok(());
    }
    let status = pipeline.status.parse().map_err(|_| StoreError::Damaged {
        what: format!("the status of pipeline {id}"),
    })?;
    settle(
        app.engine
            .downstream(&job, Downstream::Status(status))
            .await,
    )
}

/// Fails a trigger job whose pipeline was made and is no more.
async fn lose(app: &App, id: JobId) -> Result<(), Failed> {
    let Some(job) = app.store.job(id).await? else {
        return Ok(());
    };
    let follows = !job.retried && !job.status.is_complete() && has_started(&job);
    if !follows || app.store.downstream_of(id).await?.is_some() {
        return Ok(());
    }
    let line = "ERROR: the pipeline that this job follows is gone: its project was deleted";
    app.traces.append_line(id, line).await?;
    app.traces.finish(id);
    let state = Downstream::Removed {
        reason: "downstream_bridge_project_not_found".to_owned(),
    };
    settle(app.engine.downstream(&job, state).await)
}

/// Whether a trigger job's pipeline was made.
fn has_started(job: &JobRow) -> bool {
    serde_json::from_str::<JobState>(&job.state).is_ok_and(|state| state.started)
}

/// Somebody else's event may have come first.
fn settle(result: Result<(), EngineError>) -> Result<(), Failed> {
    match result {
        Err(EngineError::Refused(_)) => Ok(()),
        other => other.map_err(Into::into),
    }
}
