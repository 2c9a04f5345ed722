//! One function a page: reads what it shows and fills the template.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use model::{JobId, PipelineId};
use pipeline::Status;

use super::User;
use crate::App;
use crate::artifacts::ARCHIVE;
use crate::auth::{Caller, Level, Scope};
use crate::dispatch::{is_online, why_pending};
use crate::downstream::below;
use crate::http::ApiError;
use crate::predefined::time;
use crate::store::{JobRow, Page, PipelineRow, Project, RunnerRow};

/// How many pipelines a project's page shows.
const PIPELINES: i64 = 50;

#[derive(Template)]
#[template(path = "login.html")]
pub(super) struct LoginPage {
    pub(super) next: String,
    pub(super) wrong: bool,
}

#[derive(Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage {
    status: u16,
    message: String,
    hint: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "projects.html")]
struct ProjectsPage {
    url: String,
    projects: Vec<ProjectLine>,
}

struct ProjectLine {
    path: String,
    latest: Option<PipelineLine>,
}

#[derive(Template)]
#[template(path = "project.html")]
struct ProjectPage {
    path: String,
    clone_url: String,
    image: String,
    pipelines: Vec<PipelineLine>,
}

struct PipelineLine {
    id: PipelineId,
    status: String,
    git_ref: String,
    sha: String,
    title: String,
    created: String,
    duration: String,
}

#[derive(Template)]
#[template(path = "pipeline.html")]
struct PipelinePage {
    path: String,
    pipeline: PipelineLine,
    author: String,
    yaml_errors: Option<String>,
    /// The pipeline that started this one.
    above: Option<OtherPipeline>,
    stages: Vec<StageLine>,
    is_complete: bool,
    can_retry: bool,
}

/// A pipeline above or below the one that is shown.
struct OtherPipeline {
    path: String,
    id: PipelineId,
    status: String,
}

struct StageLine {
    name: String,
    jobs: Vec<JobLine>,
}

struct JobLine {
    id: JobId,
    name: String,
    status: Status,
    note: String,
    duration: String,
    retried: bool,
    /// The pipeline that it started.
    below: Option<OtherPipeline>,
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    path: String,
    pipeline: PipelineId,
    job: JobLine,
    stage: String,
    tags: String,
    runner: Option<String>,
    is_complete: bool,
    can_cancel: bool,
    can_retry: bool,
    can_play: bool,
    /// Where its archive is.
    artifacts: Option<String>,
}

#[derive(Template)]
#[template(path = "runners.html")]
struct RunnersPage {
    runners: Vec<RunnerLine>,
}

struct RunnerLine {
    id: model::RunnerId,
    description: String,
    tags: String,
    status: &'static str,
    contacted: String,
}

pub(super) async fn projects(State(app): State<Arc<App>>, User(caller): User) -> Response {
    shown(read_projects(&app, &caller).await)
}

async fn read_projects(app: &App, caller: &Caller) -> Result<Response, ApiError> {
    let mut lines = Vec::new();
    for project in app.store.projects().await? {
        if !caller.may(&project.path, Level::Reporter, Scope::Api) {
            continue;
        }
        let newest = Page { number: 1, size: 1 };
        let pipelines = app.store.pipelines(project.id, None, newest).await?;
        lines.push(ProjectLine {
            path: project.path.to_string(),
            latest: pipelines.first().map(pipeline_line),
        });
    }
    Ok(render(&ProjectsPage {
        url: app.addresses.url.clone(),
        projects: lines,
    }))
}

pub(super) async fn runners(State(app): State<Arc<App>>, _user: User) -> Response {
    shown(read_runners(&app).await)
}

async fn read_runners(app: &App) -> Result<Response, ApiError> {
    let rows = app.store.runners().await?;
    let line = |row: &RunnerRow| RunnerLine {
        id: row.id,
        description: row.description.clone(),
        tags: row.tags.join(", "),
        status: match row.paused {
            true => "paused",
            false if is_online(row) => "online",
            false => "offline",
        },
        contacted: row.contacted_at.map(time).unwrap_or_default(),
    };
    Ok(render(&RunnersPage {
        runners: rows.iter().map(line).collect(),
    }))
}

pub(super) async fn project(app: &App, project: &Project) -> Result<Response, ApiError> {
    let page = Page {
        number: 1,
        size: PIPELINES,
    };
    let pipelines = app.store.pipelines(project.id, None, page).await?;
    Ok(render(&ProjectPage {
        path: project.path.to_string(),
        clone_url: app.addresses.page(&format!("{}.git", project.path)),
        image: format!("{}/{}", app.addresses.registry, project.path),
        pipelines: pipelines.iter().map(pipeline_line).collect(),
    }))
}

pub(super) async fn pipeline(
    app: &App,
    project: &Project,
    id: PipelineId,
) -> Result<Response, ApiError> {
    let row = find_pipeline(app, project, id).await?;
    let rows = app.store.jobs(row.id).await?;
    let runners = app.store.runners().await?;
    let below = below(app, &rows).await?;
    let mut stages: Vec<StageLine> = Vec::new();
    for job in &rows {
        let line = job_line(job, &runners, &below);
        match stages.iter_mut().find(|stage| stage.name == job.stage) {
            Some(stage) => stage.jobs.push(line),
            None => stages.push(StageLine {
                name: job.stage.clone(),
                jobs: vec![line],
            }),
        }
    }
    let is_complete = row.status.parse().is_ok_and(Status::is_complete);
    let commit = commit(&row);
    Ok(render(&PipelinePage {
        path: project.path.to_string(),
        pipeline: pipeline_line(&row),
        author: commit.author,
        can_retry: is_complete && row.status != "success" && row.yaml_errors.is_none(),
        above: above(app, &row).await?,
        yaml_errors: row.yaml_errors,
        stages,
        is_complete,
    }))
}

pub(super) async fn job(app: &App, project: &Project, id: JobId) -> Result<Response, ApiError> {
    let row = find_job(app, project, id).await?;
    let runners = app.store.runners().await?;
    let runner = runners
        .iter()
        .find(|runner| Some(runner.id) == row.runner)
        .map(|runner| format!("#{} {}", runner.id, runner.description));
    let is_complete = row.status.is_complete();
    let below = below(app, std::slice::from_ref(&row)).await?;
    let archive = app.store.artifact(id, ARCHIVE).await?;
    Ok(render(&JobPage {
        path: project.path.to_string(),
        pipeline: row.pipeline,
        job: job_line(&row, &runners, &below),
        stage: row.stage.clone(),
        tags: row.tags.join(", "),
        runner,
        is_complete,
        can_cancel: matches!(
            row.status,
            Status::Pending | Status::Running | Status::Created | Status::Scheduled
        ),
        can_retry: is_complete && !row.retried && row.status != Status::Skipped,
        can_play: matches!(row.status, Status::Manual | Status::Scheduled),
        artifacts: archive.map(|_| format!("/api/v4/projects/{}/jobs/{id}/artifacts", project.id)),
    }))
}

/// The pipeline of this number, when it is this project's.
pub(super) async fn find_pipeline(
    app: &App,
    project: &Project,
    id: PipelineId,
) -> Result<PipelineRow, ApiError> {
    let row = app.store.pipeline(id).await?;
    row.filter(|row| row.project == project.id)
        .ok_or_else(|| ApiError::not_found(format_args!("pipeline {id} in {}", project.path)))
}

/// The job of this number, when it is this project's.
pub(super) async fn find_job(app: &App, project: &Project, id: JobId) -> Result<JobRow, ApiError> {
    let row = app.store.job(id).await?;
    row.filter(|row| row.project == project.id)
        .ok_or_else(|| ApiError::not_found(format_args!("job {id} in {}", project.path)))
}

fn pipeline_line(row: &PipelineRow) -> PipelineLine {
    PipelineLine {
        id: row.id,
        status: row.status.clone(),
        git_ref: row.git_ref.to_string(),
        sha: row.sha.short().to_owned(),
        title: commit(row).title,
        created: time(row.created_at),
        duration: duration(row.started_at, row.finished_at),
    }
}

fn commit(row: &PipelineRow) -> crate::push::CommitFacts {
    serde_json::from_str(&row.commit_json).unwrap_or_default()
}

async fn above(app: &App, row: &PipelineRow) -> Result<Option<OtherPipeline>, ApiError> {
    let Some((_, above)) = app.store.upstream_of(row).await? else {
        return Ok(None);
    };
    let project = app.store.project(above.project).await?;
    Ok(project.map(|project| other(&project, &above)))
}

fn other(project: &Project, row: &PipelineRow) -> OtherPipeline {
    OtherPipeline {
        path: project.path.to_string(),
        id: row.id,
        status: row.status.clone(),
    }
}

fn job_line(row: &JobRow, runners: &[RunnerRow], below: &[(Project, PipelineRow)]) -> JobLine {
    let below = below.iter().find(|(_, one)| one.upstream == Some(row.id));
    let note = match (row.status, &row.failure_reason, row.exit_code) {
        (Status::Pending, ..) if row.is_trigger => String::new(),
        (Status::Pending, ..) => why_pending(runners, &row.tags).unwrap_or_default(),
        (Status::Failed, _, Some(code)) => format!("exit code {code}"),
        (Status::Failed, Some(reason), None) => reason.replace('_', " "),
        _ => String::new(),
    };
    JobLine {
        id: row.id,
        name: row.name.clone(),
        status: row.status,
        note,
        duration: duration(row.started_at, row.finished_at),
        retried: row.retried,
        below: below.map(|(project, row)| other(project, row)),
    }
}

/// `1 min 5 s`; nothing when it has not ended.
fn duration(from: Option<i64>, to: Option<i64>) -> String {
    let Some(milliseconds) = from.zip(to).map(|(from, to)| to - from) else {
        return String::new();
    };
    let seconds = milliseconds / 1000;
    match seconds {
        0..10 => format!("{}.{} s", seconds, milliseconds % 1000 / 100),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

fn shown(result: Result<Response, ApiError>) -> Response {
    result.unwrap_or_else(|error| ErrorPage::from(error).into_response())
}

/// A filled template. Scripts and styles come from this server only.
pub(super) fn render(page: &impl Template) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
                          connect-src 'self'; form-action 'self'; frame-ancestors 'none'";
    match page.render() {
        Ok(html) => {
            let headers = [
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::REFERRER_POLICY, "same-origin"),
                (HeaderName::from_static("x-content-type-options"), "nosniff"),
            ];
            (headers, Html(html)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl ErrorPage {
    pub(super) fn not_found() -> Self {
        ApiError::not_found("such page").into()
    }
}

impl From<ApiError> for ErrorPage {
    fn from(error: ApiError) -> Self {
        Self {
            status: error.status.as_u16(),
            message: error.message,
            hint: error.hint,
        }
    }
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, render(&self)).into_response()
    }
}
