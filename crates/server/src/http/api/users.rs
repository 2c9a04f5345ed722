//! Users: who they are, making and removing them.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use model::{Secret, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::part;
use super::tokens::user;
use crate::App;
use crate::http::{ApiError, Authenticated, TOKEN_PREFIX};
use crate::store::{NewToken, User};

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/user", get(me))
        .route("/users", get(list).post(create))
        .route("/users/{id}", delete(remove))
}

async fn me(caller: Authenticated) -> Result<Json<Value>, ApiError> {
    Ok(Json(user_json(&user(&caller)?.user)))
}

#[derive(Deserialize)]
struct ListQuery {
    /// The one of this name.
    username: Option<String>,
    page: Option<i64>,
    per_page: Option<i64>,
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    caller.admin()?;
    let mut users = app.store.users().await?;
    if let Some(name) = &query.username {
        users.retain(|user| user.name == *name);
    }
    let paging = super::Paging {
        page: query.page,
        per_page: query.per_page,
    };
    Ok(part(users.iter().map(user_json).collect(), paging.page()))
}

#[derive(Deserialize)]
struct New {
    username: String,
    #[serde(default)]
    admin: bool,
}

/// Makes a user together with a first token, as there are no passwords.
async fn create(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Json(new): Json<New>,
) -> Result<Response, ApiError> {
    caller.admin()?;
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if new.username.is_empty() || new.username.len() > 64 || !new.username.chars().all(word) {
        return Err(ApiError::bad_request(
            "a user's name has 1 to 64 letters, digits, `_`, `-` and `.`",
        ));
    }
    let id = app.store.create_user(&new.username, new.admin).await?;
    let token = Secret::random(TOKEN_PREFIX);
    app.store
        .create_token(NewToken {
            user: id,
            kind: "personal",
            name: "made with the user",
            scopes: "api",
            expires_at: None,
            text: &token,
        })
        .await?;
    let mut body = user_json(&User {
        id,
        name: new.username,
        admin: new.admin,
    });
    body["token"] = json!(token);
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// Nobody removes the own account: so there is always an administrator.
async fn remove(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<UserId>,
) -> Result<StatusCode, ApiError> {
    caller.admin()?;
    if user(&caller)?.user.id == id {
        return Err(
            ApiError::forbidden("403 Forbidden: you cannot remove yourself")
                .hint("another administrator can"),
        );
    }
    if app.store.delete_user(id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found(format_args!("user {id}")))
    }
}

fn user_json(user: &User) -> Value {
    json!({
        "id": user.id,
        "username": user.name,
        "name": user.name,
        "is_admin": user.admin,
        "state": "active",
    })
}
