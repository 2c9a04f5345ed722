//! Extractors: who is asking, and which project is meant.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use model::{ProjectId, Secret};

use super::ApiError;
use crate::App;
use crate::auth::{Caller, Level, Scope};
use crate::store::Project;

/// The name of the cookie that a log-in on the pages sets.
pub(crate) const COOKIE_NAME: &str = "lotse_session";

/// Whoever is behind the request's token; without a good one the request ends with 401.
pub(crate) struct Authenticated(pub Caller);

impl FromRequestParts<Arc<App>> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = api_token(parts).ok_or_else(ApiError::unauthorized)?;
        let caller = Caller::of_token(&app.store, &token).await?;
        caller.map(Self).ok_or_else(ApiError::unauthorized)
    }
}

impl Authenticated {
    /// Ends with 403 when the caller is no administrator.
    pub(crate) fn admin(&self) -> Result<(), ApiError> {
        match self.0.user() {
            Some(caller) if caller.user.admin && caller.has_scope(Scope::Api) => Ok(()),
            _ => Err(ApiError::forbidden(
                "403 Forbidden: only an administrator may do this",
            )),
        }
    }

    /// The project of this number or path. 404 when the caller may not see it, 403 when the caller
    /// may see it but not do this.
    pub(crate) async fn project(
        &self,
        app: &App,
        id: &str,
        level: Level,
    ) -> Result<Project, ApiError> {
        let found = match id.parse::<ProjectId>() {
            Ok(number) => app.store.project(number).await?,
            Err(_) => app.store.project_by_path(id).await?,
        };
        let project = found
            .filter(|project| {
                self.0.may(&project.path, Level::Reporter, Scope::ReadApi)
                    || self.0.may(&project.path, Level::Reporter, Scope::Api)
            })
            .ok_or_else(|| ApiError::not_found(format_args!("project {id}")))?;
        let scope = if level <= Level::Reporter {
            Scope::ReadApi
        } else {
            Scope::Api
        };
        if self.0.may(&project.path, level, scope) {
            Ok(project)
        } else {
            Err(ApiError::forbidden(format!(
                "403 Forbidden: your token or your role on {} does not allow this",
                project.path
            )))
        }
    }
}

/// The token of an API call: `PRIVATE-TOKEN`, `JOB-TOKEN`, `Authorization: Bearer`, or the cookie of a
/// session (so that a page's own scripts may read).
fn api_token(parts: &Parts) -> Option<Secret> {
    let header = |name: &str| parts.headers.get(name)?.to_str().ok();
    header("private-token")
        .or_else(|| header("job-token"))
        .or_else(|| header(AUTHORIZATION.as_str())?.strip_prefix("Bearer "))
        .map(Secret::from)
        .or_else(|| session_token(parts))
}

/// The token in the session's cookie.
pub(crate) fn session_token(parts: &Parts) -> Option<Secret> {
    let cookies = parts.headers.get_all(COOKIE);
    cookies
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE_NAME)
        .map(|(_, token)| Secret::from(token))
}

/// User name and password of `Authorization: Basic`, as git and docker send them.
pub(crate) fn basic(headers: &HeaderMap) -> Option<(String, Secret)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let encoded = value.strip_prefix("Basic ")?;
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), Secret::from(password)))
}
