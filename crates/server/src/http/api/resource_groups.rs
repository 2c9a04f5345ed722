//! Resource groups: in which order their jobs take turns, and who waits.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use pipeline::{ProcessMode, Status};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{PageQuery, jobs_json, part};
use crate::App;
use crate::auth::Level;
use crate::http::{ApiError, Authenticated};
use crate::predefined::time;
use crate::store::{JobRow, Project, ResourceGroup};

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/projects/{id}/resource_groups", get(list))
        .route(
            "/projects/{id}/resource_groups/{key}",
            get(show).put(change),
        )
        .route(
            "/projects/{id}/resource_groups/{key}/upcoming_jobs",
            get(upcoming),
        )
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Query(paging): PageQuery,
) -> Result<Response, ApiError> {
    let project = caller.project(&app, &id, Level::Reporter).await?;
    let groups = app.store.resource_groups(project.id).await?;
    Ok(part(groups.iter().map(group_json).collect(), paging.page()))
}

async fn show(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let project = caller.project(&app, &id, Level::Reporter).await?;
    Ok(Json(group_json(&find(&app, &project, &key).await?)))
}

#[derive(Deserialize)]
struct Changes {
    process_mode: ProcessMode,
}

async fn change(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, key)): Path<(String, String)>,
    Json(new): Json<Changes>,
) -> Result<Json<Value>, ApiError> {
    let project = caller.project(&app, &id, Level::Developer).await?;
    find(&app, &project, &key).await?;
    let mode = new.process_mode;
    app.store.set_process_mode(project.id, &key, mode).await?;
    // In the new order it may be somebody's turn.
    app.engine.grant(project.id, &key).await?;
    Ok(Json(group_json(&find(&app, &project, &key).await?)))
}

async fn upcoming(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, key)): Path<(String, String)>,
    Query(paging): PageQuery,
) -> Result<Response, ApiError> {
    let project = caller.project(&app, &id, Level::Reporter).await?;
    find(&app, &project, &key).await?;
    let mut jobs = app.store.jobs_of_group(project.id, &key).await?;
    jobs.retain(|job: &JobRow| job.status == Status::WaitingForResource);
    let mut items = Vec::with_capacity(jobs.len());
    for job in &jobs {
        if let Some(pipeline) = app.store.pipeline(job.pipeline).await? {
            let job = std::slice::from_ref(job);
            items.extend(jobs_json(&app, &project, &pipeline, job).await?);
        }
    }
    Ok(part(items, paging.page()))
}

async fn find(app: &App, project: &Project, key: &str) -> Result<ResourceGroup, ApiError> {
    let found = app.store.resource_group(project.id, key).await?;
    found.ok_or_else(|| {
        ApiError::not_found(format_args!("resource group {key} in {}", project.path))
            .hint("a group is known when a pipeline has had a job with it")
    })
}

fn group_json(group: &ResourceGroup) -> Value {
    json!({
        "id": group.id,
        "key": group.key,
        "process_mode": group.mode,
        "created_at": time(group.created_at),
        "updated_at": time(group.updated_at),
    })
}
