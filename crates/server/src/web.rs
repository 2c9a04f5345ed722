//! The pages: lists of projects, pipelines and jobs, and a job's log that follows as it runs.
//!
//! Plain HTML from templates; the one script shows a log. Whoever is not logged in is asked for a
//! token first. Buttons are forms, and the session's cookie is not sent along by other sites.

mod pages;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use model::{JobId, PipelineId};
use pipeline::Event;

use crate::App;
use crate::auth::{Caller, Level, Scope};
use crate::http::{ApiError, follow_job, session_token};
use crate::store::Project;
use pages::ErrorPage;

/// The pages with fixed addresses.
pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(pages::projects))
        .route("/-/runners", get(pages::runners))
        .route("/-/login", get(session::form).post(session::log_in))
        .route("/-/logout", post(session::log_out))
        .route("/-/static/lotse.css", get(style))
        .route("/-/static/log.js", get(script))
}

/// What a page is about.
#[derive(Debug, PartialEq, Eq)]
enum Page<'a> {
    Project,
    Pipeline(PipelineId),
    PipelineCommand(PipelineId, &'a str),
    Job(JobId),
    JobCommand(JobId, &'a str),
    Follow(JobId),
    RawLog(JobId),
}

/// A page below a project: `/group/name`, `/group/name/-/pipelines/7`, `/group/name/-/jobs/9`.
pub(crate) async fn below_project(app: Arc<App>, path: &str, request: Request) -> Response {
    let (project, page) = match split(path) {
        Some((project, page)) => (project, page),
        None => return ErrorPage::not_found().into_response(),
    };
    let is_post = *request.method() == Method::POST;
    let (mut parts, _) = request.into_parts();
    let User(caller) = match User::from_request_parts(&mut parts, &app).await {
        Ok(user) => user,
        Err(redirect) => return redirect,
    };
    match answer(&app, &caller, project, &page, (is_post, &parts.headers)).await {
        Ok(response) => response,
        Err(error) => ErrorPage::from(error).into_response(),
    }
}

async fn answer(
    app: &Arc<App>,
    caller: &Caller,
    path: &str,
    page: &Page<'_>,
    (is_post, headers): (bool, &HeaderMap),
) -> Result<Response, ApiError> {
    let changes = matches!(page, Page::PipelineCommand(..) | Page::JobCommand(..));
    if changes != is_post {
        return Err(ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "405 Method Not Allowed",
        ));
    }
    let level = if changes {
        Level::Developer
    } else {
        Level::Reporter
    };
    let project = project(app, caller, path, level).await?;
    match *page {
        Page::Project => pages::project(app, &project).await,
        Page::Pipeline(id) => pages::pipeline(app, &project, id).await,
        Page::Job(id) => pages::job(app, &project, id).await,
        Page::Follow(id) => {
            let job = pages::find_job(app, &project, id).await?;
            Ok(follow_job(Arc::clone(app), project, &job, headers))
        }
        Page::RawLog(id) => {
            let job = pages::find_job(app, &project, id).await?;
            let bytes = app.traces.read(job.id, 0, u64::MAX).await?;
            Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], bytes).into_response())
        }
        Page::PipelineCommand(id, word) => {
            let event = if word == "retry" {
                Event::RetryAll
            } else {
                Event::CancelAll
            };
            let row = pages::find_pipeline(app, &project, id).await?;
            app.engine.apply(row.id, event).await?;
            Ok(Redirect::to(&format!("/{}/-/pipelines/{id}", project.path)).into_response())
        }
        Page::JobCommand(id, word) => {
            let job = pages::find_job(app, &project, id).await?;
            let event = |job| match word {
                "retry" => Event::Retry { job },
                "play" => Event::Play { job },
                _ => Event::Cancel { job },
            };
            app.engine.command(&job, event).await?;
            let page = format!("/{}/-/pipelines/{}", project.path, job.pipeline);
            Ok(Redirect::to(&page).into_response())
        }
    }
}

async fn project(
    app: &App,
    caller: &Caller,
    path: &str,
    level: Level,
) -> Result<Project, ApiError> {
    let found = app.store.project_by_path(path).await?;
    found
        .filter(|project| caller.may(&project.path, level, Scope::Api))
        .ok_or_else(|| ApiError::not_found(format_args!("project {path}")))
}

fn split(path: &str) -> Option<(&str, Page<'_>)> {
    let Some((project, rest)) = path.split_once("/-/") else {
        return Some((path, Page::Project));
    };
    let parts: Vec<&str> = rest.split('/').collect();
    let page = match parts[..] {
        ["pipelines"] => Page::Project,
        ["pipelines", id] => Page::Pipeline(id.parse().ok()?),
        ["pipelines", id, word @ ("cancel" | "retry")] => {
            Page::PipelineCommand(id.parse().ok()?, word)
        }
        ["jobs", id] => Page::Job(id.parse().ok()?),
        ["jobs", id, "follow"] => Page::Follow(id.parse().ok()?),
        ["jobs", id, "raw"] => Page::RawLog(id.parse().ok()?),
        ["jobs", id, word @ ("cancel" | "retry" | "play")] => {
            Page::JobCommand(id.parse().ok()?, word)
        }
        _ => return None,
    };
    Some((project, page))
}

/// Whoever is logged in; everybody else is sent to the log-in page.
struct User(Caller);

impl FromRequestParts<Arc<App>> for User {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let caller = match session_token(parts) {
            Some(token) => Caller::of_token(&app.store, &token)
                .await
                .map_err(|error| ErrorPage::from(ApiError::from(error)).into_response())?,
            None => None,
        };
        caller.map(Self).ok_or_else(|| {
            let next = parts.uri.path();
            Redirect::to(&format!("/-/login?next={next}")).into_response()
        })
    }
}

async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("web/lotse.css"))
}

async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("web/log.js"))
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "max-age=300"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_pages() {
        let job = JobId(9);
        for (path, expected) in [
            ("a/b", Some(("a/b", Page::Project))),
            (
                "a/b/-/pipelines/7",
                Some(("a/b", Page::Pipeline(PipelineId(7)))),
            ),
            ("a/b/-/jobs/9", Some(("a/b", Page::Job(job)))),
            (
                "a/b/-/jobs/9/retry",
                Some(("a/b", Page::JobCommand(job, "retry"))),
            ),
            ("a/b/-/jobs/x", None),
            ("a/b/-/jobs/9/explode", None),
        ] {
            assert_eq!(split(path), expected, "{path}");
        }
    }
}
