//! Tokens of users.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use model::{Secret, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::part;
use crate::App;
use crate::auth::{SCOPES, Scope, UserCaller};
use crate::http::{ApiError, Authenticated, TOKEN_PREFIX};
use crate::predefined::time;
use crate::store::{NewToken, TokenRow, now};

/// The longest name, in characters.
const NAME_LIMIT: usize = 255;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/user/personal_access_tokens", post(create))
        .route("/personal_access_tokens", get(list))
        .route("/personal_access_tokens/{id}", delete(revoke))
}

/// The user who asks: a job has no tokens to make.
pub(super) fn user(caller: &Authenticated) -> Result<&UserCaller, ApiError> {
    caller
        .0
        .user()
        .ok_or_else(|| ApiError::forbidden("403 Forbidden: a job may not do this"))
}

#[derive(Deserialize)]
struct New {
    name: String,
    #[serde(default)]
    scopes: Vec<String>,
    /// The day at whose beginning (UTC) it ends to be valid.
    expires_at: Option<Date>,
    /// Whose it is to be; an administrator may make one for another user. Ours.
    username: Option<String>,
}

async fn create(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Json(new): Json<New>,
) -> Result<Response, ApiError> {
    let me = user(&caller)?;
    let owner = match &new.username {
        Some(name) if *name != me.user.name => {
            caller.admin()?;
            let found = app.store.user_by_name(name).await?;
            found.ok_or_else(|| ApiError::not_found(format_args!("user {name}")))?
        }
        _ => me.user.clone(),
    };
    if !(1..=NAME_LIMIT).contains(&new.name.chars().count()) {
        return Err(ApiError::bad_request(format!(
            "a token's name has 1 to {NAME_LIMIT} characters"
        )));
    }
    let scopes = wanted_scopes(me, &new.scopes)?;
    let expires_at = new
        .expires_at
        .map(|day| day.to_zoned(TimeZone::UTC).map(|time| time.timestamp()))
        .transpose()
        .map_err(|error| ApiError::bad_request(error.to_string()))?
        .map(jiff::Timestamp::as_millisecond);
    let text = Secret::random(TOKEN_PREFIX);
    let row = app
        .store
        .create_token(NewToken {
            user: owner.id,
            kind: "personal",
            name: &new.name,
            scopes: &scopes.join(" "),
            expires_at,
            text: &text,
        })
        .await?;
    let mut body = token_json(&row);
    body["token"] = json!(text);
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// A token makes no token that could do more than itself.
fn wanted_scopes(me: &UserCaller, scopes: &[String]) -> Result<Vec<String>, ApiError> {
    if scopes.is_empty() {
        return Err(ApiError::bad_request("`scopes` is missing").hint(
            "one or more of api, read_api, read_repository, write_repository, read_registry, write_registry",
        ));
    }
    for name in scopes {
        let scope = SCOPES.iter().find(|(known, _)| known == name);
        let (_, scope) = scope.ok_or_else(|| {
            let known: Vec<_> = SCOPES.iter().map(|(name, _)| *name).collect();
            ApiError::bad_request(format!(
                "`{name}` is no scope; there are {}",
                known.join(", ")
            ))
        })?;
        if !me.has_scope(*scope) || !me.has_scope(Scope::Api) {
            return Err(ApiError::forbidden(
                "403 Forbidden: your own token cannot do this, so it makes none that can",
            ));
        }
    }
    let unique: BTreeSet<&String> = scopes.iter().collect();
    Ok(unique.into_iter().cloned().collect())
}

#[derive(Deserialize)]
struct ListQuery {
    /// Whose; an administrator may ask for another user's.
    user_id: Option<UserId>,
    page: Option<i64>,
    per_page: Option<i64>,
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let me = user(&caller)?.user.id;
    let owner = query.user_id.unwrap_or(me);
    if owner != me {
        caller.admin()?;
    }
    let rows = app.store.tokens(owner).await?;
    let paging = super::Paging {
        page: query.page,
        per_page: query.per_page,
    };
    Ok(part(rows.iter().map(token_json).collect(), paging.page()))
}

/// An administrator may revoke everybody's.
async fn revoke(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<i64>,
) -> Result<StatusCode, ApiError> {
    let me = user(&caller)?.user.id;
    if app.store.revoke_token(Some(me), id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    if caller.admin().is_ok() && app.store.revoke_token(None, id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found(format_args!("token {id} of yours")))
}

fn token_json(row: &TokenRow) -> Value {
    let expired = row.expires_at.is_some_and(|at| at <= now());
    json!({
        "id": row.id,
        "user_id": row.user_id,
        "name": row.name,
        "scopes": row.scopes.split_whitespace().collect::<Vec<_>>(),
        "created_at": time(row.created_at),
        "expires_at": row.expires_at.map(|at| time(at)[..10].to_owned()),
        "revoked": row.revoked_at.is_some(),
        "active": row.revoked_at.is_none() && !expired,
    })
}
