//! Runners, as their owner sees them.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use model::{RunnerId, Secret};
use runner_api::TagList;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{PageQuery, part};
use crate::App;
use crate::dispatch::is_online;
use crate::http::runners::check;
use crate::http::{ApiError, Authenticated, RUNNER_PREFIX};
use crate::predefined::time;
use crate::store::{NewRunner, RunnerRow};

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/runners", get(list))
        .route("/runners/all", get(list))
        .route("/runners/{id}", put(change).delete(remove))
        .route("/runners/reset_registration_token", post(reset))
        .route("/user/runners", post(create))
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Query(paging): PageQuery,
) -> Result<Response, ApiError> {
    if caller.0.user().is_none() {
        return Err(ApiError::forbidden("403 Forbidden: a job may not do this"));
    }
    let rows = app.store.runners().await?;
    Ok(part(rows.iter().map(runner_json).collect(), paging.page()))
}

#[derive(Deserialize)]
struct New {
    #[serde(default)]
    description: String,
    #[serde(default)]
    tag_list: TagList,
    run_untagged: Option<bool>,
}

/// Makes a runner and its token: the way GitLab recommends, as the runner's machine then needs no
/// token that could register others.
async fn create(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Json(new): Json<New>,
) -> Result<Response, ApiError> {
    caller.admin()?;
    check(&new.description, &new.tag_list.0)?;
    let token = Secret::random(RUNNER_PREFIX);
    let tags = new.tag_list.0;
    let run_untagged = new.run_untagged.unwrap_or(tags.is_empty());
    let id = app
        .store
        .create_runner(NewRunner {
            token: &token,
            description: new.description,
            tags,
            run_untagged,
        })
        .await?;
    let body = json!({ "id": id, "token": token, "token_expires_at": null });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// A new registration token, for tools that register runners the old way.
async fn reset(State(app): State<Arc<App>>, caller: Authenticated) -> Result<Response, ApiError> {
    caller.admin()?;
    let token = app.runners.reset_registration_token(&app.store).await?;
    let body = json!({ "token": token, "token_expires_at": null });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

#[derive(Deserialize)]
struct Change {
    paused: bool,
}

async fn change(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<RunnerId>,
    Json(change): Json<Change>,
) -> Result<Json<Value>, ApiError> {
    caller.admin()?;
    if !app.store.pause_runner(id, change.paused).await? {
        return Err(ApiError::not_found(format_args!("runner {id}")));
    }
    app.queue.changed();
    Ok(Json(json!({ "id": id, "paused": change.paused })))
}

async fn remove(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<RunnerId>,
) -> Result<StatusCode, ApiError> {
    caller.admin()?;
    if app.store.delete_runner(id).await? {
        app.queue.changed();
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found(format_args!("runner {id}")))
    }
}

fn runner_json(row: &RunnerRow) -> Value {
    let status = match row.contacted_at {
        None => "never_contacted",
        Some(_) if is_online(row) => "online",
        Some(_) => "offline",
    };
    json!({
        "id": row.id,
        "description": row.description,
        "tag_list": row.tags,
        "run_untagged": row.run_untagged,
        "paused": row.paused,
        "active": !row.paused,
        "runner_type": "instance_type",
        "is_shared": true,
        "online": is_online(row),
        "status": status,
        "version": row.version,
        "platform": row.platform,
        "contacted_at": row.contacted_at.map(time),
    })
}
