//! Members: what a user may do with a group or project and everything below it.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use model::UserId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::projects::find_group;
use super::{PageQuery, part};
use crate::App;
use crate::auth::Level;
use crate::http::{ApiError, Authenticated};
use crate::store::{Member, User};

/// GitLab's levels. Here 5, 10 and 15 are as good as none, 50 is 40.
const LEVELS: [i64; 8] = [0, 5, 10, 15, 20, 30, 40, 50];

pub(super) fn router() -> Router<Arc<App>> {
    of::<OfProject>("/projects").merge(of::<OfGroup>("/groups"))
}

fn of<K: Kind>(all: &str) -> Router<Arc<App>> {
    let members = format!("{all}/{{id}}/members");
    Router::new()
        .route(&members, get(list::<K>).post(set::<K>))
        .route(&format!("{members}/all"), get(list_all::<K>))
        .route(&format!("{members}/{{user}}"), delete(remove::<K>))
}

/// Whether an address is below `/projects` or `/groups`.
trait Kind: Send + Sync + 'static {
    /// The path, when the caller has this level on it.
    fn path(
        app: &App,
        caller: &Authenticated,
        id: &str,
        level: Level,
    ) -> impl Future<Output = Result<String, ApiError>> + Send;
}

struct OfProject;
struct OfGroup;

impl Kind for OfProject {
    async fn path(
        app: &App,
        caller: &Authenticated,
        id: &str,
        level: Level,
    ) -> Result<String, ApiError> {
        Ok(caller.project(app, id, level).await?.path.to_string())
    }
}

impl Kind for OfGroup {
    async fn path(
        app: &App,
        caller: &Authenticated,
        id: &str,
        level: Level,
    ) -> Result<String, ApiError> {
        Ok(find_group(app, caller, id, level).await?.path.to_string())
    }
}

async fn list<K: Kind>(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Query(paging): PageQuery,
) -> Result<Response, ApiError> {
    let path = K::path(&app, &caller, &id, Level::Reporter).await?;
    let mut members = app.store.members(&path).await?;
    members.retain(|member| member.path == path);
    let items = members.iter().map(member_json).collect();
    Ok(part(items, paging.page()))
}

/// With those of the groups around it; one user may be there several times.
async fn list_all<K: Kind>(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Query(paging): PageQuery,
) -> Result<Response, ApiError> {
    let path = K::path(&app, &caller, &id, Level::Reporter).await?;
    let members = app.store.members(&path).await?;
    let items = members.iter().map(member_json).collect();
    Ok(part(items, paging.page()))
}

#[derive(Deserialize)]
struct NewMember {
    username: String,
    access_level: i64,
}

/// Adds a member, or changes the level of one.
async fn set<K: Kind>(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Json(new): Json<NewMember>,
) -> Result<Response, ApiError> {
    let path = K::path(&app, &caller, &id, Level::Maintainer).await?;
    if !LEVELS.contains(&new.access_level) {
        return Err(
            ApiError::bad_request(format!("{} is no access level", new.access_level))
                .hint("20 is a reporter, 30 a developer, 40 a maintainer"),
        );
    }
    let found = app.store.user_by_name(&new.username).await?;
    let user = found.ok_or_else(|| ApiError::not_found(format_args!("user {}", new.username)))?;
    let level = new.access_level;
    app.store.set_member(user.id, &path, level).await?;
    let body = Json(member_json(&Member { user, path, level }));
    Ok((StatusCode::CREATED, body).into_response())
}

async fn remove<K: Kind>(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, user)): Path<(String, UserId)>,
) -> Result<StatusCode, ApiError> {
    let path = K::path(&app, &caller, &id, Level::Maintainer).await?;
    if app.store.delete_member(user, &path).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found(format_args!("member {user} of {path}")))
    }
}

fn member_json(member: &Member) -> Value {
    let User { id, name, .. } = &member.user;
    json!({
        "id": id,
        "username": name,
        "name": name,
        "state": "active",
        "access_level": member.level,
        // ours: the group or project that it is a member of
        "path": member.path,
    })
}
