//! The runner protocol's server end: register, ask for work, report (`runner-api` has the messages).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Multipart, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{patch, post, put};
use axum::{Json, Router};
use model::{JobId, Secret};
use pipeline::Status;
use runner_api::{
    ByteRange, FailureReason, JobRequest, JobState, RegisterRequest, RegisterResponse,
    UnregisterRequest, UpdateRequest, VerifyRequest, VersionInfo, name,
};
use serde::Deserialize;

use super::{ApiError, archive};
use crate::App;
use crate::artifacts::{self, ARCHIVE};
use crate::auth::is_at_work;
use crate::dispatch::Asked;
use crate::engine::Outcome;
use crate::store::{JobRow, NewRunner, RunnerInfo, RunnerRow};
use crate::traces::{self, Append};

/// How long a runner's question for work is held open, so that it hears of a job at once.
const LONG_POLL: Duration = Duration::from_secs(50);

/// The most that a runner may send of a log in one request, in bytes.
const TRACE_PART: usize = 16 << 20;

/// The prefix of a token that registers runners (GitLab's, so that its tools accept it).
pub(crate) const REGISTRATION_PREFIX: &str = "GR1348941";
/// The prefix of a runner's own token, which names its server-side settings.
pub(crate) const RUNNER_PREFIX: &str = "glrt-";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/runners", post(register).delete(unregister))
        .route("/runners/verify", post(verify))
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
        )
}

async fn register(
    State(app): State<Arc<App>>,
    Json(request): Json<RegisterRequest>,
) -> Result<Response, ApiError> {
    if app.runners.registration_token(&app.store).await? != request.token {
        return Err(
            ApiError::forbidden("403 Forbidden: the registration token is wrong")
                .hint("`lotse token runner NAME` makes a token for one runner"),
        );
    }
    check(&request.description, &request.tag_list.0)?;
    let token = Secret::random(RUNNER_PREFIX);
    let tags = request.tag_list.0;
    let run_untagged = request.run_untagged.unwrap_or(tags.is_empty());
    let id = app
        .store
        .create_runner(NewRunner {
            token: &token,
            description: request.description,
            tags,
            run_untagged,
        })
        .await?;
    app.queue.changed();
    let body = RegisterResponse {
        id: id.0,
        token,
        token_expires_at: None,
    };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// GitLab's limits of what people write about a runner.
pub(super) fn check(description: &str, tags: &[String]) -> Result<(), ApiError> {
    if description.chars().count() > 1024 {
        return Err(ApiError::bad_request(
            "a runner's description has at most 1024 characters",
        ));
    }
    if tags.len() > 50 || tags.iter().any(|tag| tag.chars().count() > 255) {
        return Err(ApiError::bad_request(
            "a runner has at most 50 tags, of at most 255 characters each",
        ));
    }
    Ok(())
}

async fn verify(
    State(app): State<Arc<App>>,
    Json(request): Json<VerifyRequest>,
) -> Result<Response, ApiError> {
    let runner = runner(&app, &request.token, &request.info).await?;
    let body = RegisterResponse {
        id: runner.id.0,
        token: request.token,
        token_expires_at: None,
    };
    Ok(Json(body).into_response())
}

async fn unregister(
    State(app): State<Arc<App>>,
    Json(request): Json<UnregisterRequest>,
) -> Result<StatusCode, ApiError> {
    let runner = runner(&app, &request.token, &VersionInfo::default()).await?;
    app.store.delete_runner(runner.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers with a job as soon as there is one that fits, else after [`LONG_POLL`] with 204.
async fn request_job(
    State(app): State<Arc<App>>,
    Json(request): Json<JobRequest>,
) -> Result<Response, ApiError> {
    let deadline = tokio::time::Instant::now() + LONG_POLL;
    let mut changes = app.queue.subscribe();
    loop {
        // anew each time: it may have been paused, resumed or removed while it waited
        let runner = runner(&app, &request.token, &request.info).await?;
        let asked = Asked { runner };
        if let Some(job) = app.take_job(&asked).await? {
            return Ok((StatusCode::CREATED, Json(job)).into_response());
        }
        // only the waiting may be cut off, never the taking
        if tokio::time::timeout_at(deadline, changes.changed())
            .await
            .is_err()
        {
            let mut response = StatusCode::NO_CONTENT.into_response();
            set(&mut response, name::LAST_UPDATE, &app.queue.version());
            return Ok(response);
        }
    }
}

async fn runner(app: &App, token: &Secret, info: &VersionInfo) -> Result<RunnerRow, ApiError> {
    let runner = app.store.runner_of_token(token).await?.ok_or_else(|| {
        ApiError::forbidden("403 Forbidden: this runner is not registered here")
            .hint("register it again with `lotse runner register`")
    })?;
    if app.runners.is_news(runner.id) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let info = RunnerInfo {
            version: some(&info.version),
            platform: some(&info.platform),
        };
        app.store.touch_runner(runner.id, &info).await?;
    }
    Ok(runner)
}

/// Appends to a job's log; 416 tells where to go on from.
async fn append_trace(
    State(app): State<Arc<App>>,
    Path(id): Path<JobId>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let job = job(
        &app,
        id,
        header(&headers, name::JOB_TOKEN).map(Secret::from),
    )
    .await?;
    if !is_at_work(&job) {
        return Ok(not_at_work(&job));
    }
    let range: ByteRange = header(&headers, name::CONTENT_RANGE)
        .ok_or_else(|| ApiError::bad_request("400 Bad Request: Content-Range is missing"))?
        .parse()
        .map_err(|error: runner_api::ByteRangeError| ApiError::bad_request(error.to_string()))?;
    let (touched, appended) =
        tokio::join!(app.touch(&job), app.traces.append(id, range.first, body));
    touched?;
    let (status, size) = match appended? {
        Append::Done(size) => (StatusCode::ACCEPTED, size),
        Append::Gap(size) => (StatusCode::RANGE_NOT_SATISFIABLE, size),
        Append::Full => {
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a log may have {} bytes at most", traces::LIMIT),
            ));
        }
    };
    let mut response = status.into_response();
    set(&mut response, name::JOB_STATUS, &job.status.to_string());
    set(
        &mut response,
        name::RANGE,
        &ByteRange::of_size(size).to_string(),
    );
    set(
        &mut response,
        name::TRACE_UPDATE_INTERVAL,
        update_interval(&app, id),
    );
    Ok(response)
}

/// Seconds between two signs of life of a job: short while somebody watches, and never long, as a
/// cancelled job hears of it in the answer.
fn update_interval(app: &App, job: JobId) -> &'static str {
    if app.traces.is_watched(job) { "1" } else { "3" }
}

async fn update_job(
    State(app): State<Arc<App>>,
    Path(id): Path<JobId>,
    Json(request): Json<UpdateRequest>,
) -> Result<Response, ApiError> {
    let job = job(&app, id, Some(request.token.clone())).await?;
    if !is_at_work(&job) {
        return Ok(not_at_work(&job));
    }
    app.touch(&job).await?;
    let outcome = match request.state {
        JobState::Pending | JobState::Running => {
            return Ok(with_status(StatusCode::OK, job.status));
        }
        JobState::Success => Outcome::Success,
        JobState::Failed => Outcome::Failed {
            reason: request
                .failure_reason
                .unwrap_or(FailureReason::UnknownFailure)
                .as_str(),
            exit_code: request.exit_code,
        },
    };
    if !trace_is_whole(&app, id, &request).await? {
        return Ok(with_status(StatusCode::PRECONDITION_FAILED, job.status));
    }
    app.traces.finish(id);
    let status = app.engine.finish(&job, outcome).await?;
    Ok(with_status(StatusCode::OK, status))
}

/// Whether the log has the length that the runner says. A shorter one is sent again.
async fn trace_is_whole(app: &App, id: JobId, request: &UpdateRequest) -> Result<bool, ApiError> {
    let Some(output) = &request.output else {
        return Ok(true);
    };
    Ok(app.traces.size(id).await? >= output.bytesize)
}

/// What a runner says of an upload.
#[derive(Deserialize)]
struct Label {
    #[serde(default)]
    artifact_type: String,
}

/// Takes a job's archive, or one of its reports, while it comes. How long it is kept stands in the graph.
async fn take_artifacts(
    State(app): State<Arc<App>>,
    Path(id): Path<JobId>,
    Query(label): Query<Label>,
    headers: HeaderMap,
    mut form: Multipart,
) -> Result<StatusCode, ApiError> {
    let token = header(&headers, name::JOB_TOKEN).map(Secret::from);
    let job = job(&app, id, token).await?;
    if !is_at_work(&job) {
        let message = format!("403 Forbidden: job {} is {}", job.id, job.status);
        return Err(ApiError::forbidden(message));
    }
    app.touch(&job).await?;
    let unreadable = |error| ApiError::bad_request(format!("400 Bad Request: {error}"));
    let field = form.next_field().await.map_err(unreadable)?;
    let field = field.ok_or_else(|| ApiError::bad_request("400 Bad Request: file is missing"))?;
    let kind = match label.artifact_type.as_str() {
        "" => ARCHIVE,
        kind => kind,
    };
    let expire_in = expire_in(&app, &job).await?;
    artifacts::take(&app, id, kind, expire_in, field).await?;
    Ok(StatusCode::CREATED)
}

async fn expire_in(app: &App, job: &JobRow) -> Result<Option<u64>, ApiError> {
    let pipeline = app.store.pipeline(job.pipeline).await?;
    let graph = pipeline.and_then(|row| serde_json::from_str::<ci::Graph>(&row.graph).ok());
    let job = graph.and_then(|graph| graph.jobs.into_iter().nth(job.node));
    Ok(job.and_then(|job| job.artifacts?.expire_in))
}

/// A job at work gets the archives of all jobs of its project.
async fn give_artifacts(
    State(app): State<Arc<App>>,
    Path(id): Path<JobId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let token = header(&headers, name::JOB_TOKEN).ok_or_else(ApiError::unauthorized)?;
    let asking = (app
        .store
        .job_of_token(&Secret::from(token).fingerprint())
        .await?)
        .filter(is_at_work)
        .ok_or_else(ApiError::unauthorized)?;
    let asked = app.store.job(id).await?;
    let asked = asked.filter(|asked| asked.project == asking.project);
    let asked = asked.ok_or_else(|| ApiError::not_found(format_args!("job {id}")))?;
    archive(&app, asked.id).await
}

async fn job(app: &App, id: JobId, token: Option<Secret>) -> Result<JobRow, ApiError> {
    let token = token.ok_or_else(ApiError::unauthorized)?;
    let job = app.store.job_of_token(&token.fingerprint()).await?;
    job.filter(|job| job.id == id)
        .ok_or_else(|| ApiError::forbidden("403 Forbidden: this is not the job's token"))
}

/// What GitLab answers for a job that has ended: the runner drops it.
fn not_at_work(job: &JobRow) -> Response {
    let mut response =
        ApiError::forbidden(format!("403 Forbidden: job {} is {}", job.id, job.status))
            .into_response();
    set(&mut response, name::JOB_STATUS, &job.status.to_string());
    response
}

fn with_status(code: StatusCode, status: Status) -> Response {
    let mut response = code.into_response();
    set(&mut response, name::JOB_STATUS, &status.to_string());
    set(&mut response, name::TRACE_UPDATE_INTERVAL, "3");
    response
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn set(response: &mut Response, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).expect("our own values are plain ASCII");
    response
        .headers_mut()
        .insert(HeaderName::from_static(name), value);
}
