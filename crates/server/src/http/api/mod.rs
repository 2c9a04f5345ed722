//! The REST API, in GitLab's shapes, so that its clients work.

mod artifacts;
mod jobs;
mod members;
mod pipelines;
mod projects;
mod repository;
mod resource_groups;
mod runners;
mod tokens;
mod users;
mod variables;

use std::sync::Arc;

use axum::extract::{OriginalUri, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use crate::App;
use crate::predefined::GITLAB_VERSION;
use crate::store::Page;

pub(crate) use jobs::{full_json, jobs_json};
pub(crate) use pipelines::pipeline_json;

pub(super) fn router(app: Arc<App>) -> Router<Arc<App>> {
    let link_next = middleware::from_fn_with_state(app, link_next);
    Router::new()
        .route("/version", get(version))
        .merge(projects::router())
        .merge(members::router())
        .merge(variables::router())
        .merge(pipelines::router())
        .merge(jobs::router())
        .merge(artifacts::router())
        .merge(repository::router())
        .merge(resource_groups::router())
        .merge(runners::router())
        .merge(users::router())
        .merge(tokens::router())
        .layer(link_next)
}

/// Where a list goes on: some of GitLab's clients know the next page by this alone (RFC 8288).
async fn link_next(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let page = response.headers().get("x-next-page");
    let page = page.and_then(|page| page.to_str().ok()).unwrap_or_default();
    if page.is_empty() {
        return response;
    }
    let others = uri.query().unwrap_or_default().split('&');
    let others = others.filter(|pair| !pair.is_empty() && !pair.starts_with("page="));
    let this = format!("page={page}");
    let query = others.chain([this.as_str()]).collect::<Vec<_>>().join("&");
    let address = app.addresses.page(uri.path().trim_start_matches('/'));
    if let Ok(link) = HeaderValue::from_str(&format!("<{address}?{query}>; rel=\"next\"")) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

async fn version(_caller: super::Authenticated) -> Json<serde_json::Value> {
    let (major, minor, patch) = GITLAB_VERSION;
    Json(serde_json::json!({
        "version": format!("{major}.{minor}.{patch}"),
        "revision": env!("CARGO_PKG_VERSION"),
        "enterprise": false,
        "lotse": env!("CARGO_PKG_VERSION"),
    }))
}

/// `?page=…&per_page=…`, as in GitLab: from 1, 20 a page, 100 at most.
#[derive(Debug, Deserialize)]
struct Paging {
    page: Option<i64>,
    per_page: Option<i64>,
}

impl Paging {
    fn page(&self) -> Page {
        Page {
            number: self.page.unwrap_or(1).clamp(1, 1_000_000),
            size: self.per_page.unwrap_or(20).clamp(1, 100),
        }
    }
}

type PageQuery = Query<Paging>;

/// A page of a list, with the headers that GitLab's clients page by.
fn paged(items: Vec<serde_json::Value>, page: Page) -> Response {
    let full = i64::try_from(items.len()).is_ok_and(|count| count == page.size);
    let next = if full {
        (page.number + 1).to_string()
    } else {
        String::new()
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-page", page.number.to_string()),
        ("x-per-page", page.size.to_string()),
        ("x-next-page", next),
    ] {
        let value = HeaderValue::from_str(&value).expect("digits are a header's value");
        headers.insert(HeaderName::from_static(name), value);
    }
    (headers, Json(items)).into_response()
}

/// A page of a list that is at hand as a whole.
fn part(items: Vec<serde_json::Value>, page: Page) -> Response {
    let skip = usize::try_from((page.number - 1) * page.size).unwrap_or(usize::MAX);
    let take = usize::try_from(page.size).unwrap_or(usize::MAX);
    paged(items.into_iter().skip(skip).take(take).collect(), page)
}
