//! Pipelines: list, show, start, cancel, retry, follow.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ci::Source;
use model::{GitRef, PipelineId, Secret, Variable, VariableKind};
use pipeline::Event;
use serde::Deserialize;
use serde_json::{Value, json};

use super::jobs::jobs_json;
use super::variables::check_pair;
use super::{PageQuery, paged, part};
use crate::App;
use crate::auth::Level;
use crate::http::{ApiError, Authenticated};
use crate::predefined::time;
use crate::push::{self, Made, PushError, Wanted};
use crate::store::{PipelineRow, Project};

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/projects/{id}/pipelines", get(list))
        .route("/projects/{id}/pipeline", post(create))
        .route("/projects/{id}/pipelines/latest", get(latest))
        .route("/projects/{id}/pipelines/{pipeline}", get(show))
        .route("/projects/{id}/pipelines/{pipeline}/jobs", get(jobs))
        .route("/projects/{id}/pipelines/{pipeline}/bridges", get(bridges))
        .route("/projects/{id}/pipelines/{pipeline}/follow", get(follow))
        .route("/projects/{id}/pipelines/{pipeline}/cancel", post(cancel))
        .route("/projects/{id}/pipelines/{pipeline}/retry", post(retry))
}

/// Children are listed only when asked for by `source=parent_pipeline`, as in GitLab.
#[derive(Deserialize)]
struct ListQuery {
    page: Option<i64>,
    per_page: Option<i64>,
    source: Option<String>,
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let project = caller.project(&app, &id, Level::Reporter).await?;
    let paging = super::Paging {
        page: query.page,
        per_page: query.per_page,
    };
    let (page, source) = (paging.page(), query.source.as_deref());
    let rows = app.store.pipelines(project.id, source, page).await?;
    let items = rows
        .iter()
        .map(|row| pipeline_json(&app, &project, row))
        .collect();
    Ok(paged(items, page))
}

async fn latest(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let project = caller.project(&app, &id, Level::Reporter).await?;
    let page = crate::store::Page { number: 1, size: 1 };
    let rows = app.store.pipelines(project.id, None, page).await?;
    let row = rows
        .first()
        .ok_or_else(|| ApiError::not_found(format_args!("pipeline in {}", project.path)))?;
    Ok(Json(pipeline_json(&app, &project, row)))
}

async fn show(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, pipeline)): Path<(String, PipelineId)>,
) -> Result<Json<Value>, ApiError> {
    let (project, row) = find(&app, &caller, &id, pipeline, Level::Reporter).await?;
    Ok(Json(pipeline_json(&app, &project, &row)))
}

#[derive(Deserialize)]
struct JobsQuery {
    page: Option<i64>,
    per_page: Option<i64>,
    include_retried: Option<bool>,
    /// Ours: trigger jobs too, in their places.
    include_bridges: Option<bool>,
}

/// Without trigger jobs, as in GitLab.
async fn jobs(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, pipeline)): Path<(String, PipelineId)>,
    Query(query): Query<JobsQuery>,
) -> Result<Response, ApiError> {
    let (project, row) = find(&app, &caller, &id, pipeline, Level::Reporter).await?;
    let mut rows = app.store.jobs(row.id).await?;
    if !query.include_retried.unwrap_or(false) {
        rows.retain(|job| !job.retried);
    }
    if !query.include_bridges.unwrap_or(false) {
        rows.retain(|job| !job.is_trigger);
    }
    let items = jobs_json(&app, &project, &row, &rows).await?;
    let paging = super::Paging {
        page: query.page,
        per_page: query.per_page,
    };
    Ok(part(items, paging.page()))
}

/// The trigger jobs, each with the pipeline that it started; `scope` (several times) asks for statuses.
async fn bridges(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, pipeline)): Path<(String, PipelineId)>,
    Query(paging): PageQuery,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (project, row) = find(&app, &caller, &id, pipeline, Level::Reporter).await?;
    let scopes: Vec<_> = (query.iter())
        .filter(|(key, _)| key == "scope" || key == "scope[]")
        .map(|(_, value)| value.as_str())
        .collect();
    let mut rows = app.store.triggers(row.id).await?;
    let asked = |status: &str| scopes.is_empty() || scopes.contains(&status);
    rows.retain(|job| !job.retried && asked(job.status.as_str()));
    let items = jobs_json(&app, &project, &row, &rows).await?;
    Ok(part(items, paging.page()))
}

#[derive(Deserialize)]
struct NewPipeline {
    #[serde(rename = "ref")]
    git_ref: String,
    #[serde(default)]
    variables: Vec<NewVariable>,
}

#[derive(Deserialize)]
struct NewVariable {
    key: String,
    value: Secret,
    #[serde(default)]
    variable_type: VariableKind,
}

async fn create(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Json(new): Json<NewPipeline>,
) -> Result<Response, ApiError> {
    let project = caller.project(&app, &id, Level::Developer).await?;
    for variable in &new.variables {
        check_pair(&variable.key, &variable.value)?;
    }
    let repository = app
        .repositories
        .create(&project.id.into())
        .await
        .map_err(|error| ApiError::internal(&error))?;
    let refs = repository
        .refs()
        .await
        .map_err(|error| ApiError::internal(&error))?;
    let wanted: Vec<String> = push::candidates(&new.git_ref)
        .iter()
        .map(GitRef::full)
        .collect();
    let found = wanted
        .iter()
        .find_map(|name| refs.iter().find(|reference| reference.name == *name))
        .ok_or_else(|| {
            ApiError::bad_request(format!("there is no branch or tag {}", new.git_ref))
        })?;
    let git_ref: GitRef = found
        .name
        .parse()
        .map_err(|_| ApiError::bad_request("this is neither a branch nor a tag"))?;
    let made = push::make(
        &app,
        &repository,
        Wanted {
            project: &project,
            git_ref: &git_ref,
            commit: &found.commit,
            target: None,
            before: None,
            source: Source::Api,
            user: &caller.0.name(),
            variables: new.variables.into_iter().map(Into::into).collect(),
            trigger: None,
        },
    )
    .await
    .map_err(failed)?;
    match made {
        Made::Nothing { reason } => Err(ApiError::bad_request(format!("no pipeline: {reason}"))),
        Made::Wrong { notes } => Err(ApiError::bad_request(notes)),
        Made::Pipeline { row, .. } => {
            let body = Json(pipeline_json(&app, &project, &row));
            Ok((StatusCode::CREATED, body).into_response())
        }
    }
}

impl From<NewVariable> for Variable {
    fn from(new: NewVariable) -> Self {
        Self {
            key: new.key,
            value: new.value,
            kind: new.variable_type,
            masked: false,
            raw: false,
            public: false,
        }
    }
}

fn failed(error: PushError) -> ApiError {
    match error {
        PushError::Engine(error) => error.into(),
        PushError::Store(error) => error.into(),
        other => ApiError::internal(&other),
    }
}

async fn cancel(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, pipeline)): Path<(String, PipelineId)>,
) -> Result<Json<Value>, ApiError> {
    command(&app, &caller, &id, pipeline, Event::CancelAll).await
}

async fn retry(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, pipeline)): Path<(String, PipelineId)>,
) -> Result<Json<Value>, ApiError> {
    command(&app, &caller, &id, pipeline, Event::RetryAll).await
}

async fn command(
    app: &App,
    caller: &Authenticated,
    id: &str,
    pipeline: PipelineId,
    event: Event,
) -> Result<Json<Value>, ApiError> {
    let (project, row) = find(app, caller, id, pipeline, Level::Developer).await?;
    if row.yaml_errors.is_some() {
        return Err(ApiError::bad_request(format!(
            "pipeline {} has no jobs: its file has errors",
            row.id
        ))
        .hint("push a commit in which the file is right"));
    }
    app.engine.apply(row.id, event).await?;
    let (_, row) = find(app, caller, id, pipeline, Level::Reporter).await?;
    Ok(Json(pipeline_json(app, &project, &row)))
}

async fn follow(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, pipeline)): Path<(String, PipelineId)>,
) -> Result<Response, ApiError> {
    let (project, row) = find(&app, &caller, &id, pipeline, Level::Reporter).await?;
    Ok(crate::http::follow::follow_pipeline(app, project, row.id))
}

async fn find(
    app: &App,
    caller: &Authenticated,
    id: &str,
    pipeline: PipelineId,
    level: Level,
) -> Result<(Project, PipelineRow), ApiError> {
    let project = caller.project(app, id, level).await?;
    let row = app.store.pipeline(pipeline).await?;
    let row = row.filter(|row| row.project == project.id).ok_or_else(|| {
        ApiError::not_found(format_args!("pipeline {pipeline} in {}", project.path))
    })?;
    Ok((project, row))
}

/// A pipeline as GitLab shows it.
pub(crate) fn pipeline_json(app: &App, project: &Project, row: &PipelineRow) -> Value {
    let duration = row
        .started_at
        .zip(row.finished_at)
        .map(|(start, end)| (end - start) / 1000);
    json!({
        "id": row.id,
        "iid": row.iid,
        "project_id": row.project,
        "ref": row.git_ref.name(),
        "tag": row.git_ref.is_tag(),
        "sha": row.sha,
        "before_sha": row.before_sha,
        "status": row.status,
        "source": row.source,
        "yaml_errors": row.yaml_errors,
        "user": { "username": row.user_name, "name": row.user_name },
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
        "started_at": row.started_at.map(time),
        "finished_at": row.finished_at.map(time),
        "duration": duration,
        "web_url": app.pipeline_page(project, row.id),
    })
}
