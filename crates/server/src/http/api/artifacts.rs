//! Artifacts: download all of a job's or one file, keep, remove (GitLab, "Job artifacts API").

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use model::JobId;
use serde::Deserialize;

use super::jobs::{find, full_json};
use crate::App;
use crate::artifacts::{self, ARCHIVE, ArchiveError};
use crate::auth::Level;
use crate::http::{ApiError, Authenticated, archive, chain};

/// The largest file that is given without its archive, in bytes.
const FILE_LIMIT: u64 = 32 << 20;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(
            "/projects/{id}/jobs/{job}/artifacts",
            get(download).delete(remove),
        )
        .route(
            "/projects/{id}/jobs/artifacts/{git_ref}/download",
            get(download_latest),
        )
        .route(
            "/projects/{id}/jobs/artifacts/{git_ref}/raw/{*path}",
            get(latest_file),
        )
        .route("/projects/{id}/jobs/{job}/artifacts/keep", post(keep))
        .route("/projects/{id}/jobs/{job}/artifacts/{*path}", get(file))
}

async fn download(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, job)): Path<(String, JobId)>,
) -> Result<Response, ApiError> {
    let (_, row) = find(&app, &caller, &id, job, Level::Reporter).await?;
    archive(&app, row.id).await
}

/// Without a type that a browser would show: whatever a job wrote must not act in this site's name.
async fn file(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, job, path)): Path<(String, JobId, String)>,
) -> Result<Response, ApiError> {
    let (_, row) = find(&app, &caller, &id, job, Level::Reporter).await?;
    one_file(&app, row.id, &path).await
}

#[derive(Deserialize)]
struct Latest {
    /// The job's name.
    job: String,
}

/// Of the latest successful pipeline of a branch or tag.
async fn download_latest(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, git_ref)): Path<(String, String)>,
    Query(latest): Query<Latest>,
) -> Result<Response, ApiError> {
    let job = find_latest(&app, &caller, &id, &git_ref, &latest.job).await?;
    archive(&app, job).await
}

async fn latest_file(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, git_ref, path)): Path<(String, String, String)>,
    Query(latest): Query<Latest>,
) -> Result<Response, ApiError> {
    let job = find_latest(&app, &caller, &id, &git_ref, &latest.job).await?;
    one_file(&app, job, &path).await
}

async fn find_latest(
    app: &App,
    caller: &Authenticated,
    id: &str,
    git_ref: &str,
    name: &str,
) -> Result<JobId, ApiError> {
    let project = caller.project(app, id, Level::Reporter).await?;
    let found = app.store.latest_archive(project.id, git_ref, name).await?;
    found.ok_or_else(|| {
        ApiError::not_found(format_args!(
            "artifact of {name} in a successful pipeline of {git_ref}"
        ))
    })
}

async fn one_file(app: &App, job: JobId, path: &str) -> Result<Response, ApiError> {
    if app.store.artifact(job, ARCHIVE).await?.is_none() {
        return Err(ApiError::not_found(format_args!("artifact of job {job}")));
    }
    let bytes = artifacts::file_of(app, job, path, FILE_LIMIT).await;
    let bytes = bytes.map_err(|error| match error {
        ArchiveError::Absent { .. } => ApiError::not_found(format_args!("file {path} in it")),
        ArchiveError::TooLarge { .. } => {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
                .hint("download the whole archive: `lotse job artifacts JOB`")
        }
        ArchiveError::Damaged(_) => {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, chain(&error))
                .hint("what the job has uploaded is no zip archive; download it whole: `lotse job artifacts JOB`")
        }
        ArchiveError::Gone(_) => ApiError::internal(&error),
    })?;
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, bytes).into_response())
}

async fn keep(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, job)): Path<(String, JobId)>,
) -> Result<Response, ApiError> {
    let (project, row) = find(&app, &caller, &id, job, Level::Developer).await?;
    app.store.keep_for_ever(row.id).await?;
    let body = axum::Json(full_json(&app, &project, &row).await?);
    Ok(body.into_response())
}

async fn remove(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, job)): Path<(String, JobId)>,
) -> Result<StatusCode, ApiError> {
    let (_, row) = find(&app, &caller, &id, job, Level::Maintainer).await?;
    let rows = app.store.artifacts_of_job(row.id).await?;
    artifacts::forget(&app, &rows).await?;
    Ok(StatusCode::NO_CONTENT)
}
