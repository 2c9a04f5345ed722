//! Jobs: list, show, log, cancel, retry, play, follow.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use model::JobId;
use pipeline::{Event, Status};
use serde_json::{Value, json};

use super::pipelines::pipeline_json;
use super::{PageQuery, paged};
use crate::App;
use crate::artifacts::ARCHIVE;
use crate::auth::Level;
use crate::dispatch::why_pending;
use crate::downstream::below;
use crate::http::{ApiError, Authenticated};
use crate::predefined::time;
use crate::store::{ArtifactRow, JobRow, PipelineRow, Project, StoreError};

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/projects/{id}/jobs", get(list))
        .route("/projects/{id}/jobs/{job}", get(show))
        .route("/projects/{id}/jobs/{job}/trace", get(trace))
        .route("/projects/{id}/jobs/{job}/trace/follow", get(follow))
        .route("/projects/{id}/jobs/{job}/cancel", post(cancel))
        .route("/projects/{id}/jobs/{job}/retry", post(retry))
        .route("/projects/{id}/jobs/{job}/play", post(play))
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Query(paging): PageQuery,
) -> Result<Response, ApiError> {
    let project = caller.project(&app, &id, Level::Reporter).await?;
    let page = paging.page();
    let rows = app.store.jobs_of_project(project.id, page).await?;
    let mut items = Vec::with_capacity(rows.len());
    for job in &rows {
        items.push(full_json(&app, &project, job).await?);
    }
    Ok(paged(items, page))
}

async fn show(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, job)): Path<(String, JobId)>,
) -> Result<Json<Value>, ApiError> {
    let (project, row) = find(&app, &caller, &id, job, Level::Reporter).await?;
    full_json(&app, &project, &row).await.map(Json)
}

/// The whole log, or what comes after `Range: bytes=N-`.
async fn trace(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, job)): Path<(String, JobId)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (_, row) = find(&app, &caller, &id, job, Level::Reporter).await?;
    let size = app.traces.size(row.id).await?;
    let start = range_start(&headers);
    if start.is_some_and(|start| start >= size && size > 0 || start > size) {
        let range = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range).into_response());
    }
    let start = start.filter(|start| *start > 0);
    let bytes = app
        .traces
        .read(row.id, start.unwrap_or(0), u64::MAX)
        .await?;
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if let Some(start) = start {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {start}-{}/{size}", size.saturating_sub(1));
        let range = header::HeaderValue::from_str(&range).expect("digits are a header's value");
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    Ok(response)
}

fn range_start(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::RANGE)?.to_str().ok()?;
    value
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}

async fn follow(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, job)): Path<(String, JobId)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (project, row) = find(&app, &caller, &id, job, Level::Reporter).await?;
    Ok(crate::http::follow_job(app, project, &row, &headers))
}

async fn cancel(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, job)): Path<(String, JobId)>,
) -> Result<Response, ApiError> {
    command(&app, &caller, &id, job, |job| Event::Cancel { job }).await
}

async fn retry(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, job)): Path<(String, JobId)>,
) -> Result<Response, ApiError> {
    command(&app, &caller, &id, job, |job| Event::Retry { job }).await
}

async fn play(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, job)): Path<(String, JobId)>,
) -> Result<Response, ApiError> {
    command(&app, &caller, &id, job, |job| Event::Play { job }).await
}

/// Answers with the newest attempt, as GitLab does.
async fn command(
    app: &App,
    caller: &Authenticated,
    id: &str,
    job: JobId,
    event: impl FnOnce(usize) -> Event,
) -> Result<Response, ApiError> {
    let (project, row) = find(app, caller, id, job, Level::Developer).await?;
    app.engine.command(&row, event).await?;
    let rows = app.store.jobs(row.pipeline).await?;
    let newest = rows.iter().rfind(|other| other.node == row.node);
    let body = full_json(app, &project, newest.unwrap_or(&row)).await?;
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

pub(super) async fn find(
    app: &App,
    caller: &Authenticated,
    id: &str,
    job: JobId,
    level: Level,
) -> Result<(Project, JobRow), ApiError> {
    let project = caller.project(app, id, level).await?;
    let row = app.store.job(job).await?;
    let row = row
        .filter(|row| row.project == project.id)
        .ok_or_else(|| ApiError::not_found(format_args!("job {job} in {}", project.path)))?;
    Ok((project, row))
}

/// A job with everything about it.
pub(crate) async fn full_json(
    app: &App,
    project: &Project,
    row: &JobRow,
) -> Result<Value, ApiError> {
    let pipeline = pipeline_of(app, row).await?;
    let mut items = jobs_json(app, project, &pipeline, std::slice::from_ref(row)).await?;
    Ok(items.pop().unwrap_or_default())
}

async fn pipeline_of(app: &App, job: &JobRow) -> Result<PipelineRow, ApiError> {
    app.store
        .pipeline(job.pipeline)
        .await?
        .ok_or_else(|| ApiError::not_found(format_args!("pipeline {}", job.pipeline)))
}

/// For each job: why nobody takes it, if it is pending and nobody can.
pub(crate) async fn pending_reasons(
    app: &App,
    jobs: &[JobRow],
) -> Result<Vec<Option<String>>, StoreError> {
    let is_pending = |job: &JobRow| job.status == Status::Pending && !job.is_trigger;
    let runners = if jobs.iter().any(is_pending) {
        app.store.runners().await?
    } else {
        Vec::new()
    };
    let reason = |job: &JobRow| {
        is_pending(job)
            .then(|| why_pending(&runners, &job.tags))
            .flatten()
    };
    Ok(jobs.iter().map(reason).collect())
}

/// Jobs of one pipeline; a trigger job comes with the pipeline that it started.
pub(crate) async fn jobs_json(
    app: &App,
    project: &Project,
    pipeline: &PipelineRow,
    jobs: &[JobRow],
) -> Result<Vec<Value>, ApiError> {
    let reasons = pending_reasons(app, jobs).await?;
    let below = below(app, jobs).await?;
    let files = app.store.artifacts_of_pipeline(pipeline.id).await?;
    let one = |(job, reason): (&JobRow, Option<String>)| {
        let mut value = job_json(app, project, pipeline, job, reason);
        let files: Vec<_> = files.iter().filter(|file| file.job == job.id).collect();
        add_artifacts(&mut value, &files);
        if job.is_trigger {
            let found = below.iter().find(|(_, row)| row.upstream == Some(job.id));
            value["downstream_pipeline"] =
                json!(found.map(|(project, row)| pipeline_json(app, project, row)));
        }
        value
    };
    Ok(jobs.iter().zip(reasons).map(one).collect())
}

fn add_artifacts(job: &mut Value, files: &[&ArtifactRow]) {
    let one = |file: &&ArtifactRow| {
        json!({
            "file_type": file.kind,
            "size": file.size,
            "filename": file.name,
            "file_format": if file.kind == ARCHIVE { "zip" } else { "gzip" },
            "digest": file.digest,
        })
    };
    job["artifacts"] = files.iter().map(one).collect();
    let archive = files.iter().find(|file| file.kind == ARCHIVE);
    if let Some(file) = archive {
        job["artifacts_file"] = json!({ "filename": file.name, "size": file.size });
    }
    let first = files.iter().filter_map(|file| file.expires_at).min();
    job["artifacts_expire_at"] = json!(first.map(time));
}

/// A job as GitLab shows it; `pending_reason` is ours.
pub(crate) fn job_json(
    app: &App,
    project: &Project,
    pipeline: &PipelineRow,
    row: &JobRow,
    pending_reason: Option<String>,
) -> Value {
    let seconds = |from: Option<i64>, to: Option<i64>| {
        let milliseconds = to? - from?;
        Some(f64::from(i32::try_from(milliseconds).unwrap_or(i32::MAX)) / 1000.0)
    };
    let page = app
        .addresses
        .page(&format!("{}/-/jobs/{}", project.path, row.id));
    json!({
        "id": row.id,
        "name": row.name,
        "stage": row.stage,
        "status": row.status,
        "ref": pipeline.git_ref.name(),
        "tag": pipeline.git_ref.is_tag(),
        "tag_list": row.tags,
        "allow_failure": row.allow_failure,
        "failure_reason": row.failure_reason,
        "exit_code": row.exit_code,
        "pending_reason": pending_reason,
        "attempt": row.attempt,
        "retried": row.retried,
        "created_at": time(row.created_at),
        "queued_at": row.queued_at.map(time),
        "started_at": row.started_at.map(time),
        "finished_at": row.finished_at.map(time),
        "queued_duration": seconds(row.queued_at, row.started_at),
        "duration": seconds(row.started_at, row.finished_at),
        "runner": row.runner.map(|id| json!({ "id": id })),
        "commit": { "id": pipeline.sha, "short_id": pipeline.sha.short() },
        "pipeline": pipeline_json(app, project, pipeline),
        "web_url": page,
    })
}
