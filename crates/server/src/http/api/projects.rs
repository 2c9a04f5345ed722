//! Projects, groups and who may do what with them.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use model::{GroupPath, ProjectPath};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{PageQuery, part};
use crate::App;
use crate::auth::{Level, Scope};
use crate::http::images::remove_images;
use crate::http::{ApiError, Authenticated, is_taken};
use crate::predefined::time;
use crate::store::{Group, Project};

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/projects", get(list).post(create))
        .route("/projects/{id}", get(show).put(change).delete(remove))
        .route("/groups", get(groups).post(create_group))
        .route("/groups/{id}", get(show_group))
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Query(paging): PageQuery,
) -> Result<Response, ApiError> {
    let may_see = |project: &Project| caller.0.may(&project.path, Level::Reporter, Scope::ReadApi);
    let projects = app.store.projects().await?;
    let mut items = Vec::with_capacity(projects.len());
    for project in projects.iter().filter(|project| may_see(project)) {
        items.push(project_json(&app, project).await);
    }
    Ok(part(items, paging.page()))
}

#[derive(Deserialize)]
struct NewProject {
    /// The last part of the path; GitLab's `path`, or `name` when that is a path.
    path: Option<String>,
    name: Option<String>,
    /// The group's path, or its number.
    namespace_id: Option<Value>,
    /// `group/name` in one; ours.
    path_with_namespace: Option<String>,
}

async fn create(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Json(new): Json<NewProject>,
) -> Result<Response, ApiError> {
    let path = wanted_path(&app, &new).await?;
    if !caller.0.may(&path, Level::Maintainer, Scope::Api) {
        return Err(ApiError::forbidden(format!(
            "403 Forbidden: your role does not allow making {path}"
        )));
    }
    let project = app.store.create_project(&path).await?;
    app.repositories
        .create(&project.id.into())
        .await
        .map_err(|error| ApiError::internal(&error))?;
    let body = Json(project_json(&app, &project).await);
    Ok((StatusCode::CREATED, body).into_response())
}

async fn wanted_path(app: &App, new: &NewProject) -> Result<ProjectPath, ApiError> {
    let text = match &new.path_with_namespace {
        Some(path) => path.clone(),
        None => {
            let name = new.path.as_ref().or(new.name.as_ref());
            let name = name.ok_or_else(|| ApiError::bad_request("`path` is missing"))?;
            match &new.namespace_id {
                Some(id) => {
                    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                    format!("{}/{name}", group_path(app, &id).await?)
                }
                None => name.clone(),
            }
        }
    };
    check_free(&text)?;
    text.parse()
        .map_err(|error: model::PathError| ApiError::bad_request(error.to_string()))
}

fn check_free(path: &str) -> Result<(), ApiError> {
    if is_taken(path) {
        return Err(ApiError::bad_request(format!(
            "no group or project can be at {path}: the server has something else there"
        )));
    }
    Ok(())
}

async fn group_path(app: &App, id: &str) -> Result<String, ApiError> {
    match id.parse::<i64>() {
        Ok(number) => match app.store.group(number).await? {
            Some(group) => Ok(group.path.to_string()),
            None => Err(ApiError::not_found(format_args!("group {id}"))),
        },
        Err(_) => Ok(id.to_owned()),
    }
}

async fn show(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let project = caller.project(&app, &id, Level::Reporter).await?;
    Ok(Json(project_json(&app, &project).await))
}

#[derive(Deserialize)]
struct Changes {
    auto_cancel_pending_pipelines: Option<Switch>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Switch {
    Enabled,
    Disabled,
}

async fn change(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Json(new): Json<Changes>,
) -> Result<Json<Value>, ApiError> {
    let mut project = caller.project(&app, &id, Level::Maintainer).await?;
    let Some(auto_cancel) = new.auto_cancel_pending_pipelines else {
        return Err(ApiError::bad_request(
            "nothing is changed: give `auto_cancel_pending_pipelines`, which is `enabled` or `disabled`",
        ));
    };
    project.auto_cancel = auto_cancel == Switch::Enabled;
    let on = project.auto_cancel;
    app.store.set_auto_cancel(project.id, on).await?;
    Ok(Json(project_json(&app, &project).await))
}

async fn remove(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let project = caller.project(&app, &id, Level::Maintainer).await?;
    remove_images(&app, project.id)
        .await
        .map_err(|error| ApiError::internal(&*error))?;
    let jobs = app.engine.delete_project(project.id).await?;
    app.repositories
        .remove(&project.id.into())
        .await
        .map_err(|error| ApiError::internal(&error))?;
    for job in jobs {
        app.traces.remove(job).await?;
        app.artifacts.remove_all(job).await?;
    }
    let body = Json(json!({ "message": "202 Accepted" }));
    Ok((StatusCode::ACCEPTED, body).into_response())
}

async fn groups(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Query(paging): PageQuery,
) -> Result<Response, ApiError> {
    let Some(user) = caller.0.user() else {
        return Err(ApiError::forbidden("403 Forbidden: a job may not do this"));
    };
    let groups = app.store.groups().await?;
    let items = groups
        .iter()
        .filter(|group| user.level(group.path.as_str()) >= Level::Reporter)
        .map(group_json)
        .collect();
    Ok(part(items, paging.page()))
}

#[derive(Deserialize)]
struct NewGroup {
    path: String,
    /// The number of the group around it.
    parent_id: Option<i64>,
}

async fn create_group(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Json(new): Json<NewGroup>,
) -> Result<Response, ApiError> {
    let text = match new.parent_id {
        Some(id) => format!("{}/{}", group_path(&app, &id.to_string()).await?, new.path),
        None => new.path,
    };
    check_free(&text)?;
    let path: GroupPath = text
        .parse()
        .map_err(|error: model::PathError| ApiError::bad_request(error.to_string()))?;
    group_level(&caller, path.as_str(), Level::Maintainer)?;
    let group = app.store.create_group(&path).await?;
    Ok((StatusCode::CREATED, Json(group_json(&group))).into_response())
}

async fn show_group(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let group = find_group(&app, &caller, &id, Level::Reporter).await?;
    Ok(Json(group_json(&group)))
}

/// The group of this number or path, when the caller has this level on it.
pub(super) async fn find_group(
    app: &App,
    caller: &Authenticated,
    id: &str,
    level: Level,
) -> Result<Group, ApiError> {
    let found = match id.parse::<i64>() {
        Ok(number) => app.store.group(number).await?,
        Err(_) => app.store.group_by_path(id).await?,
    };
    let group = found.ok_or_else(|| ApiError::not_found(format_args!("group {id}")))?;
    group_level(caller, group.path.as_str(), level)?;
    Ok(group)
}

fn group_level(caller: &Authenticated, path: &str, level: Level) -> Result<(), ApiError> {
    let scope = if level <= Level::Reporter {
        Scope::ReadApi
    } else {
        Scope::Api
    };
    match caller.0.user() {
        Some(user) if user.has_scope(scope) && user.level(path) >= level => Ok(()),
        Some(user) if user.level(path) >= Level::Reporter => Err(ApiError::forbidden(format!(
            "403 Forbidden: your token or your role on {path} does not allow this"
        ))),
        _ => Err(ApiError::not_found(format_args!("group {path}"))),
    }
}

/// Nothing where there is no repository, or none that can be read.
async fn default_branch(app: &App, project: &Project) -> Option<String> {
    let repository = app.repositories.get(&project.id.into()).ok()?;
    let branch = repository.default_branch().await.ok()?;
    Some(branch.name().to_owned())
}

async fn project_json(app: &App, project: &Project) -> Value {
    let path = &project.path;
    json!({
        "id": project.id,
        "name": path.name(),
        "path": path.name(),
        "path_with_namespace": path,
        "name_with_namespace": path,
        "namespace": { "full_path": path.group(), "path": path.group(), "kind": "group" },
        "visibility": "private",
        "default_branch": default_branch(app, project).await,
        "auto_cancel_pending_pipelines": match project.auto_cancel {
            true => "enabled",
            false => "disabled",
        },
        "created_at": time(project.created_at),
        "web_url": app.addresses.page(path.as_str()),
        "http_url_to_repo": app.addresses.page(&format!("{path}.git")),
        "container_registry_image_prefix": format!("{}/{path}", app.addresses.registry),
    })
}

fn group_json(group: &Group) -> Value {
    let path = group.path.as_str();
    json!({
        "id": group.id,
        "name": path.rsplit('/').next(),
        "path": path.rsplit('/').next(),
        "full_path": path,
        "full_name": path,
    })
}
