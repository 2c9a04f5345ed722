//! What happens because time passes: delayed jobs start, jobs whose runner is gone are given up,
//! uploads that nobody finished and artifacts whose time is over are removed.

use std::sync::Arc;
use std::time::Duration;

use ci::Graph;
use pipeline::{Event, Status};
use runner_api::FailureReason;

use crate::App;
use crate::artifacts;
use crate::engine::{EngineError, Outcome};
use crate::http::chain;
use crate::store::{JobRow, StoreError, now};

/// How often the clock is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// A job's sign of life is written down at most this often, in milliseconds.
pub(crate) const TOUCH_EVERY_MS: i64 = 10_000;

/// A job that was given to a runner that never said a word: the answer was lost on the way.
const UNHEARD_MS: i64 = 60_000;

/// A job whose runner has gone quiet. Runners report at least every half minute.
const QUIET_MS: i64 = 10 * 60_000;

/// How often artifacts whose time is over are looked for.
const ARTIFACTS_EVERY: Duration = Duration::from_secs(5);

const UPLOADS_EVERY: Duration = Duration::from_secs(3600);
const UPLOADS_LIVE: Duration = Duration::from_secs(24 * 3600);

/// Looks at the clock until the task is ended.
pub(crate) async fn run(app: Arc<App>) {
    let started = now();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut uploads = tokio::time::interval(UPLOADS_EVERY);
    let mut old_artifacts = tokio::time::interval(ARTIFACTS_EVERY);
    old_artifacts.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                if let Err(error) = tick(&app, started).await {
                    tracing::error!(error = %chain(&error), "looking after the jobs failed");
                }
            }
            _ = old_artifacts.tick() => {
                if let Err(error) = expire(&app).await {
                    tracing::error!(error = %chain(&error), "removing old artifacts failed");
                }
            }
            _ = uploads.tick() => {
                if let Err(error) = app.images.expire_uploads(UPLOADS_LIVE).await {
                    tracing::error!(error = %chain(&error), "removing old uploads failed");
                }
            }
        }
    }
}

async fn tick(app: &App, started: i64) -> Result<(), EngineError> {
    for job in app.store.jobs_with_status(Status::Scheduled).await? {
        if is_due(app, &job).await? {
            settle(app.engine.command(&job, |job| Event::Due { job }).await)?;
        }
    }
    for status in [Status::Running, Status::Canceling] {
        let jobs = app.store.jobs_with_status(status).await?;
        for job in jobs.iter().filter(|job| !job.is_trigger) {
            give_up_if_lost(app, job, started).await?;
        }
    }
    Ok(())
}

async fn expire(app: &App) -> Result<(), StoreError> {
    let rows = app.store.expired_artifacts().await?;
    artifacts::forget(app, &rows).await
}

async fn is_due(app: &App, job: &JobRow) -> Result<bool, StoreError> {
    let Some(pipeline) = app.store.pipeline(job.pipeline).await? else {
        return Ok(false);
    };
    let graph: Graph = serde_json::from_str(&pipeline.graph).map_err(|_| StoreError::Damaged {
        what: format!("the graph of pipeline {}", pipeline.id),
    })?;
    let start_in = graph.jobs.get(job.node).and_then(|job| job.start_in);
    let wait = i64::try_from(start_in.unwrap_or(0).saturating_mul(1000)).unwrap_or(i64::MAX);
    let since = job.queued_at.unwrap_or(job.created_at);
    Ok(now() >= since.saturating_add(wait))
}

/// Silence while the server itself was down does not count.
async fn give_up_if_lost(app: &App, job: &JobRow, started: i64) -> Result<(), EngineError> {
    let (since, limit) = match job.contacted_at {
        Some(at) => (at, QUIET_MS),
        None => (job.started_at.unwrap_or(job.created_at), UNHEARD_MS),
    };
    if now() - since.max(started) < limit {
        return Ok(());
    }
    let why = "ERROR: the runner has not been heard of any more: this attempt is given up";
    if let Err(error) = app.traces.append_line(job.id, why).await {
        tracing::error!(error = %error, job = %job.id, "a log cannot be written");
    }
    let outcome = Outcome::Failed {
        reason: FailureReason::RunnerSystemFailure.as_str(),
        exit_code: None,
    };
    let heard = job.contacted_at.is_some();
    settle(app.engine.finish(job, outcome).await.map(drop))?;
    if heard || job.status == Status::Canceling {
        return Ok(());
    }
    // nothing of it has run, so trying again is safe
    settle(app.engine.command(job, |job| Event::Retry { job }).await)
}

/// Somebody else's event may have come first.
fn settle(result: Result<(), EngineError>) -> Result<(), EngineError> {
    match result {
        Err(EngineError::Refused(_)) => Ok(()),
        other => other,
    }
}
