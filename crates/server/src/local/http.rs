//! The part of the runner protocol that one pipeline of one runner needs.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Multipart, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{patch, post, put};
use axum::{Json, Router};
use model::Secret;
use pipeline::{Failure, Status};
use runner_api::{ByteRange, FailureReason, JobRequest, JobState, UpdateRequest, name};
use serde::Deserialize;
use tokio_util::io::ReaderStream;

use super::Place;
use super::desk::{Appended, Desk};
use crate::http::ApiError;
use crate::{dotenv, parcels};

/// How long a question for work is held open.
const LONG_POLL: Duration = Duration::from_secs(50);
/// The most of a log in one request, in bytes.
const TRACE_PART: usize = 16 << 20;
/// Seconds between two signs of life, as a cancelled job hears of it in the answer.
const UPDATE_INTERVAL: &str = "1";

type Shared = State<Arc<Desk>>;

pub(super) fn router(desk: Arc<Desk>) -> Router {
    let api = Router::new()
        .route("/jobs/request", post(request_job))
        .route(
            "/jobs/{id}/trace",
            patch(append_trace).layer(DefaultBodyLimit::max(TRACE_PART)),
        )
        .route("/jobs/{id}", put(update_job))
        .route(
            "/jobs/{id}/artifacts",
            post(take_artifacts)
                .get(give_artifacts)
                .layer(DefaultBodyLimit::disable()),
        );
    Router::new().nest("/api/v4", api).with_state(desk)
}

/// Answers with a job as soon as there is one, else after [`LONG_POLL`] with 204.
async fn request_job(
    State(desk): Shared,
    Json(request): Json<JobRequest>,
) -> Result<Response, ApiError> {
    if request.token != *desk.runner_token() {
        return Err(ApiError::forbidden("403 Forbidden: not this runner"));
    }
    let deadline = tokio::time::Instant::now() + LONG_POLL;
    let mut queue = desk.queue();
    loop {
        queue.borrow_and_update();
        if let Some(job) = desk.take() {
            return Ok((StatusCode::CREATED, Json(job)).into_response());
        }
        if !matches!(
            tokio::time::timeout_at(deadline, queue.changed()).await,
            Ok(Ok(()))
        ) {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
}

async fn append_trace(
    State(desk): Shared,
    Path(id): Path<i64>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let job = at_work(&desk, id, &token(&headers))?;
    let range: ByteRange = header(&headers, name::CONTENT_RANGE)
        .unwrap_or_default()
        .parse()
        .map_err(|error: runner_api::ByteRangeError| ApiError::bad_request(error.to_string()))?;
    let (code, size) = match desk.append(job, range.first, body) {
        Appended::Done(size) => (StatusCode::ACCEPTED, size),
        Appended::Gap(size) => (StatusCode::RANGE_NOT_SATISFIABLE, size),
    };
    let range = ByteRange::of_size(size).to_string();
    Ok((code, [(name::RANGE, range)], remarks(desk.status(job))).into_response())
}

async fn update_job(
    State(desk): Shared,
    Path(id): Path<i64>,
    Json(request): Json<UpdateRequest>,
) -> Result<Response, ApiError> {
    let job = at_work(&desk, id, &request.token)?;
    let failure = match request.state {
        JobState::Pending | JobState::Running => {
            return Ok((StatusCode::OK, remarks(desk.status(job))).into_response());
        }
        JobState::Success => None,
        JobState::Failed => {
            let reason = request.failure_reason;
            let reason = reason.unwrap_or(FailureReason::UnknownFailure);
            Some(Failure {
                reason: reason.as_str().to_owned(),
                exit_code: request.exit_code,
            })
        }
    };
    let whole = request.output.map_or(0, |output| output.bytesize);
    if desk.received(job) < whole {
        return Ok(StatusCode::PRECONDITION_FAILED.into_response());
    }
    desk.finish(job, failure);
    Ok((StatusCode::OK, remarks(desk.status(job))).into_response())
}

/// What a runner says of an upload.
#[derive(Debug, Deserialize)]
struct Label {
    #[serde(default)]
    artifact_type: String,
}

async fn take_artifacts(
    State(desk): Shared,
    Path(id): Path<i64>,
    Query(label): Query<Label>,
    headers: HeaderMap,
    mut form: Multipart,
) -> Result<StatusCode, ApiError> {
    let job = at_work(&desk, id, &token(&headers))?;
    let unreadable = |error| ApiError::bad_request(format!("400 Bad Request: {error}"));
    let field = form.next_field().await.map_err(unreadable)?;
    let field = field.ok_or_else(|| ApiError::bad_request("400 Bad Request: file is missing"))?;
    match label.artifact_type.as_str() {
        "" | "archive" => {
            let file = desk.folder.join(format!("{id}.zip"));
            let parcel = parcels::receive(field, &file, u64::MAX).await?;
            desk.keep_archive(job, parcel);
        }
        "dotenv" => {
            let bytes = field.bytes().await.map_err(unreadable)?;
            let variables = dotenv::read(&bytes).map_err(ApiError::bad_request)?;
            desk.keep_dotenv(job, variables);
        }
        // Other reports are for pages, and there are none.
        _ => {}
    }
    Ok(StatusCode::CREATED)
}

async fn give_artifacts(
    State(desk): Shared,
    Path(id): Path<i64>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let absent = || ApiError::not_found(format_args!("artifact of job {id}"));
    let job = desk.job(id, &token(&headers)).ok_or_else(absent)?;
    let parcel = desk.archive(job).ok_or_else(absent)?;
    let file = fs_err::tokio::File::open(parcel.file).await;
    let file = file.map_err(|error| ApiError::internal(&error))?;
    Ok(Body::from_stream(ReaderStream::new(file)).into_response())
}

/// The job of this number, when the token is its own and a runner works on it.
fn at_work(desk: &Desk, id: i64, token: &Secret) -> Result<Place, ApiError> {
    let job = desk
        .job(id, token)
        .ok_or_else(|| ApiError::forbidden("403 Forbidden: this is not the job's token"))?;
    match desk.status(job) {
        Status::Running | Status::Canceling => Ok(job),
        status => Err(ApiError::forbidden(format!(
            "403 Forbidden: job {id} is {status}"
        ))),
    }
}

fn remarks(status: Status) -> [(&'static str, String); 2] {
    [
        (name::JOB_STATUS, status.to_string()),
        (name::TRACE_UPDATE_INTERVAL, UPDATE_INTERVAL.to_owned()),
    ]
}

fn token(headers: &HeaderMap) -> Secret {
    Secret::new(header(headers, name::JOB_TOKEN).unwrap_or_default())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
