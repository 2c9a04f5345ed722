//! Server-sent events: a job's log as it grows, a pipeline as it changes (HTML standard,
//! "Server-sent events").
//!
//! A broken connection goes on where it was: a log's events carry the offset in bytes behind them as
//! their id, and the client sends the last one back as `Last-Event-ID`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use model::{JobId, PipelineId};
use pipeline::Status;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::ApiError;
use super::api::{full_json, jobs_json, pipeline_json};
use crate::App;
use crate::store::{JobRow, Project};

/// The most of a log in one event, in bytes.
const CHUNK: u64 = 64 << 10;

/// How many events may wait for a slow client.
const BUFFERED: usize = 16;

/// A pipeline that changes quickly is told of this often at most.
const PIPELINE_PAUSE: Duration = Duration::from_millis(100);

/// How often a silent connection is kept alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `log` events with JSON strings, `status` events with the job, then `end`.
pub(crate) fn follow_job(
    app: Arc<App>,
    project: Project,
    job: &JobRow,
    headers: &HeaderMap,
) -> Response {
    let offset = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let (events, stream) = channel();
    let follower = JobFollower {
        app,
        project,
        job: job.id,
        offset: offset.unwrap_or(0),
        events,
    };
    tokio::spawn(async move {
        if let Err(Stop::Failed(error)) = follower.run().await {
            tracing::error!(error = error.message, "following a job failed");
        }
    });
    stream
}

/// `pipeline` events with the pipeline and its jobs, then `end`.
pub(super) fn follow_pipeline(app: Arc<App>, project: Project, id: PipelineId) -> Response {
    let (events, stream) = channel();
    tokio::spawn(async move {
        if let Err(Stop::Failed(error)) = run_pipeline(&app, &project, id, events).await {
            tracing::error!(error = error.message, "following a pipeline failed");
        }
    });
    stream
}

/// Why a follower ends early.
enum Stop {
    /// The client has gone.
    Gone,
    Failed(ApiError),
}

impl<E: Into<ApiError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

struct JobFollower {
    app: Arc<App>,
    project: Project,
    job: JobId,
    offset: u64,
    events: mpsc::Sender<Event>,
}

impl JobFollower {
    async fn run(mut self) -> Result<(), Stop> {
        let mut growth = self.app.traces.watch(self.job);
        let mut changes = self.app.live.subscribe();
        let mut row = self.row().await?;
        self.tell_status(&row).await?;
        loop {
            let complete = row.status.is_complete();
            self.tell_log(complete).await?;
            if complete {
                return send(&self.events, Event::default().event("end").data("{}")).await;
            }
            tokio::select! {
                grown = growth.changed() => if grown.is_err() { return Err(Stop::Gone) },
                () = changed(&mut changes, row.pipeline) => {
                    let new = self.row().await?;
                    if new.status != row.status {
                        self.tell_status(&new).await?;
                    }
                    row = new;
                }
                () = self.events.closed() => return Err(Stop::Gone),
            }
        }
    }

    async fn row(&self) -> Result<JobRow, Stop> {
        let row = self.app.store.job(self.job).await?;
        row.ok_or_else(|| ApiError::not_found(format_args!("job {}", self.job)).into())
    }

    async fn tell_status(&self, row: &JobRow) -> Result<(), Stop> {
        let body = full_json(&self.app, &self.project, row).await?;
        send(
            &self.events,
            Event::default().event("status").data(body.to_string()),
        )
        .await
    }

    /// Everything that is new. A character that is cut in two waits for its rest.
    async fn tell_log(&mut self, complete: bool) -> Result<(), Stop> {
        loop {
            let bytes = self.app.traces.read(self.job, self.offset, CHUNK).await?;
            let whole = if complete && (bytes.len() as u64) < CHUNK {
                bytes.len()
            } else {
                whole_characters(&bytes)
            };
            if whole == 0 {
                return Ok(());
            }
            self.offset += whole as u64;
            let text = String::from_utf8_lossy(&bytes[..whole]);
            let event = Event::default()
                .event("log")
                .id(self.offset.to_string())
                .data(json!(text).to_string());
            send(&self.events, event).await?;
        }
    }
}

/// How many bytes are left when a character cut off at the end is left out.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        // cut off, not wrong
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => bytes.len(),
    }
}

async fn run_pipeline(
    app: &App,
    project: &Project,
    id: PipelineId,
    events: mpsc::Sender<Event>,
) -> Result<(), Stop> {
    let mut changes = app.live.subscribe();
    loop {
        let next = Instant::now() + PIPELINE_PAUSE;
        let row = app.store.pipeline(id).await?;
        let row = row.ok_or_else(|| ApiError::not_found(format_args!("pipeline {id}")))?;
        let mut jobs = app.store.jobs(id).await?;
        jobs.retain(|job| !job.retried);
        let jobs = jobs_json(app, project, &row, &jobs).await?;
        let body = json!({ "pipeline": pipeline_json(app, project, &row), "jobs": jobs });
        send(
            &events,
            Event::default().event("pipeline").data(body.to_string()),
        )
        .await?;
        if row.status.parse().is_ok_and(Status::is_complete) {
            return send(&events, Event::default().event("end").data("{}")).await;
        }
        tokio::select! {
            () = changed(&mut changes, id) => sleep_until(next).await,
            () = events.closed() => return Err(Stop::Gone),
        }
    }
}

/// Returns when the pipeline has changed, or may have.
async fn changed(changes: &mut Receiver<PipelineId>, pipeline: PipelineId) {
    loop {
        match changes.recv().await {
            Ok(other) if other != pipeline => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            // the server is going down
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn send(events: &mpsc::Sender<Event>, event: Event) -> Result<(), Stop> {
    events.send(event).await.map_err(|_| Stop::Gone)
}

fn channel() -> (mpsc::Sender<Event>, Response) {
    let (sender, receiver) = mpsc::channel(BUFFERED);
    let stream = stream::unfold(receiver, |mut receiver| async {
        let event = receiver.recv().await?;
        Some((Ok::<_, Infallible>(event), receiver))
    });
    let response = Sse::new(stream)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response();
    (sender, response)
}

#[cfg(test)]
mod tests {
    use super::whole_characters;

    #[test]
    fn a_cut_character_waits() {
        let text = "aé".as_bytes();
        assert_eq!(whole_characters(text), 3);
        assert_eq!(whole_characters(&text[..2]), 1);
        assert_eq!(whole_characters(b"\xff\xfe"), 2);
        assert_eq!(whole_characters(b""), 0);
    }
}
