//! Everything that comes in over HTTP: git, runners, the API, images and pages.
//!
//! Handlers parse, ask, and show; what happens is decided elsewhere.

mod api;
mod archive;
mod caller;
mod error;
mod follow;
mod git;
mod images;
mod refused;
mod runners;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

pub(crate) use archive::archive;
pub(crate) use caller::{Authenticated, COOKIE_NAME, session_token};
pub(crate) use error::{ApiError, chain};
pub(crate) use follow::follow_job;
pub(crate) use runners::{REGISTRATION_PREFIX, RUNNER_PREFIX};

use crate::App;
use crate::web;

/// What a personal token starts with.
pub(crate) const TOKEN_PREFIX: &str = "lot-";

/// All routes. What is none of the fixed ones is an address below a project: of its repository
/// (`/group/name.git/…`) or of its pages (`/group/name/-/…`).
pub(crate) fn router(app: Arc<App>) -> Router {
    let key = registry::TokenKey::random();
    let access = Arc::new(images::ImageAccess::new(Arc::clone(&app)));
    let images = app.images.clone();
    Router::new()
        .nest(
            "/api/v4",
            api::router(Arc::clone(&app))
                .merge(runners::router())
                .fallback(refused::no_such_call)
                .layer(map_response(refused::in_json)),
        )
        .route("/-/health", get(health))
        .merge(web::router())
        .fallback(below_project)
        .with_state(app)
        .merge(registry::router(images, access, key))
}

/// What is served beside projects, as the first part of an address.
const TAKEN: [&str; 3] = ["api", "jwt", "v2"];

/// Whether a project or group at this path could not be reached, as something else is there.
pub(crate) fn is_taken(path: &str) -> bool {
    path.split('/')
        .next()
        .is_some_and(|root| TAKEN.contains(&root))
}

/// Answers when the server can read its database.
async fn health(State(app): State<Arc<App>>) -> Response {
    match app.store.has_tokens().await {
        Ok(_) => (StatusCode::OK, "ok\n").into_response(),
        Err(error) => ApiError::from(error).into_response(),
    }
}

async fn below_project(State(app): State<Arc<App>>, request: Request) -> Response {
    let path = request.uri().path().trim_matches('/').to_owned();
    if let Some((project, service)) = git::split(&path) {
        return git::serve(&app, project, service, request).await;
    }
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::POST) {
        return web::below_project(app, &path, request).await;
    }
    ApiError::not_found(format_args!("page /{path}")).into_response()
}
