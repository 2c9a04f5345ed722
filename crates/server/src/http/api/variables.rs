//! Variables of groups and projects.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use model::{Secret, VariableKind};
use serde::Deserialize;
use serde_json::{Value, json};

use super::projects::find_group;
use super::{PageQuery, part};
use crate::App;
use crate::auth::Level;
use crate::http::{ApiError, Authenticated};
use crate::store::{NewVariable, Owner, VariableRow};

/// The largest value, in bytes (GitLab's limit for files is 700 KiB; variables fit in 10,000
/// characters there, which keys and certificates outgrow).
const VALUE_LIMIT: usize = 256 << 10;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(
            "/projects/{id}/variables",
            get(list::<OfProject>).post(create::<OfProject>),
        )
        .route(
            "/projects/{id}/variables/{key}",
            get(show::<OfProject>)
                .put(change::<OfProject>)
                .delete(remove::<OfProject>),
        )
        .route(
            "/groups/{id}/variables",
            get(list::<OfGroup>).post(create::<OfGroup>),
        )
        .route(
            "/groups/{id}/variables/{key}",
            get(show::<OfGroup>)
                .put(change::<OfGroup>)
                .delete(remove::<OfGroup>),
        )
}

/// Whether an address is below `/projects` or `/groups`.
trait Kind: Send + Sync + 'static {
    fn owner(
        app: &App,
        caller: &Authenticated,
        id: &str,
    ) -> impl Future<Output = Result<Owner, ApiError>> + Send;
}

struct OfProject;
struct OfGroup;

impl Kind for OfProject {
    async fn owner(app: &App, caller: &Authenticated, id: &str) -> Result<Owner, ApiError> {
        let project = caller.project(app, id, Level::Maintainer).await?;
        Ok(Owner::Project(project.id))
    }
}

impl Kind for OfGroup {
    async fn owner(app: &App, caller: &Authenticated, id: &str) -> Result<Owner, ApiError> {
        let group = find_group(app, caller, id, Level::Maintainer).await?;
        Ok(Owner::Group(group.id))
    }
}

async fn list<K: Kind>(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Query(paging): PageQuery,
) -> Result<Response, ApiError> {
    let owner = K::owner(&app, &caller, &id).await?;
    let rows = app.store.variables(owner).await?;
    Ok(part(
        rows.iter().map(variable_json).collect(),
        paging.page(),
    ))
}

async fn show<K: Kind>(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let owner = K::owner(&app, &caller, &id).await?;
    Ok(Json(variable_json(&find(&app, owner, &key, None).await?)))
}

#[derive(Deserialize)]
struct Body {
    key: Option<String>,
    value: Option<Secret>,
    variable_type: Option<VariableKind>,
    protected: Option<bool>,
    masked: Option<bool>,
    raw: Option<bool>,
    environment_scope: Option<String>,
    description: Option<String>,
}

async fn create<K: Kind>(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Json(body): Json<Body>,
) -> Result<Response, ApiError> {
    let owner = K::owner(&app, &caller, &id).await?;
    let missing = |what| ApiError::bad_request(format!("`{what}` is missing"));
    let new = NewVariable {
        key: body.key.ok_or_else(|| missing("key"))?,
        value: body.value.ok_or_else(|| missing("value"))?,
        kind: body.variable_type.unwrap_or_default(),
        protected: body.protected.unwrap_or(false),
        masked: body.masked.unwrap_or(false),
        raw: body.raw.unwrap_or(false),
        environment: body.environment_scope.unwrap_or_else(|| "*".to_owned()),
        description: body.description,
    };
    check(&new)?;
    app.store.create_variable(owner, &new).await?;
    let row = find(&app, owner, &new.key, Some(&new.environment)).await?;
    Ok((StatusCode::CREATED, Json(variable_json(&row))).into_response())
}

async fn change<K: Kind>(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, key)): Path<(String, String)>,
    Json(body): Json<Body>,
) -> Result<Json<Value>, ApiError> {
    let owner = K::owner(&app, &caller, &id).await?;
    let old = find(&app, owner, &key, body.environment_scope.as_deref()).await?;
    let new = NewVariable {
        key,
        value: body.value.unwrap_or(old.variable.value),
        kind: body.variable_type.unwrap_or(old.variable.kind),
        protected: body.protected.unwrap_or(old.protected),
        masked: body.masked.unwrap_or(old.variable.masked),
        raw: body.raw.unwrap_or(old.variable.raw),
        environment: old.environment,
        description: body.description.or(old.description),
    };
    check(&new)?;
    app.store.update_variable(owner, &new).await?;
    let row = find(&app, owner, &new.key, Some(&new.environment)).await?;
    Ok(Json(variable_json(&row)))
}

async fn remove<K: Kind>(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let owner = K::owner(&app, &caller, &id).await?;
    if app.store.delete_variable(owner, &key).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found(format_args!("variable {key}")))
    }
}

async fn find(
    app: &App,
    owner: Owner,
    key: &str,
    environment: Option<&str>,
) -> Result<VariableRow, ApiError> {
    let rows = app.store.variables(owner).await?;
    rows.into_iter()
        .find(|row| {
            row.variable.key == key && environment.is_none_or(|name| name == row.environment)
        })
        .ok_or_else(|| ApiError::not_found(format_args!("variable {key}")))
}

/// What can be a variable at all.
pub(super) fn check_pair(key: &str, value: &Secret) -> Result<(), ApiError> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let value = value.expose();
    if key.is_empty() || key.len() > 255 || !key.chars().all(word) {
        return Err(ApiError::bad_request(format!(
            "`{key}` is no name of a variable: use letters, digits and `_`, at most 255"
        )));
    }
    if value.len() > VALUE_LIMIT {
        return Err(ApiError::bad_request(format!(
            "the value of {key} is longer than {VALUE_LIMIT} bytes"
        )));
    }
    if value.contains('\0') {
        return Err(ApiError::bad_request(format!(
            "the value of {key} has a NUL character, which no variable can have"
        ))
        .hint("store bytes in base64, and decode them in the job"));
    }
    Ok(())
}

/// GitLab's rules, also for what can be masked.
fn check(new: &NewVariable) -> Result<(), ApiError> {
    check_pair(&new.key, &new.value)?;
    let value = new.value.expose();
    if new.masked && (value.len() < 8 || value.contains(char::is_whitespace)) {
        return Err(ApiError::bad_request(format!(
            "{} cannot be masked: a masked value is one word of at least 8 characters",
            new.key
        ))
        .hint("leave out `masked`, or store a text of several lines in base64"));
    }
    Ok(())
}

fn variable_json(row: &VariableRow) -> Value {
    json!({
        "key": row.variable.key,
        "value": row.variable.value,
        "variable_type": row.variable.kind,
        "protected": row.protected,
        "masked": row.variable.masked,
        "hidden": false,
        "raw": row.variable.raw,
        "environment_scope": row.environment,
        "description": row.description,
    })
}
