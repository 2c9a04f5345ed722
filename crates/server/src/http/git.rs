//! git's smart HTTP: `/group/name.git/info/refs`, `git-upload-pack`, `git-receive-pack`.
//!
//! Errors are plain text, as git shows those to its user as `remote:` lines.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, TryStreamExt as _};
use git::{Encoding, GitError, Protocol, ReceiveOptions, Repository, Service};
use model::ProjectPath;

use super::caller::basic;
use super::{ApiError, chain};
use crate::App;
use crate::auth::{Caller, Level, Scope};
use crate::store::Project;

/// Splits `group/name.git/info/refs` into project and service; nothing when it is no such address.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    const SERVICES: [&str; 3] = ["info/refs", "git-upload-pack", "git-receive-pack"];
    SERVICES.iter().find_map(|service| {
        let project = path.strip_suffix(service)?.strip_suffix('/')?;
        Some((project.strip_suffix(".git").unwrap_or(project), *service))
    })
}

/// Serves one request of git.
pub(super) async fn serve(
    app: &Arc<App>,
    project: &str,
    service: &str,
    request: Request,
) -> Response {
    match answer(app, project, service, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn answer(
    app: &Arc<App>,
    project: &str,
    path: &str,
    request: Request,
) -> Result<Response, Refusal> {
    let advertise = path == "info/refs";
    let expected = if advertise { Method::GET } else { Method::POST };
    if *request.method() != expected {
        return Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("use {expected}"),
        ));
    }
    let service: Service = if advertise {
        service_parameter(request.uri().query()).parse()?
    } else {
        path.parse()?
    };
    let caller = caller(app, request.headers()).await?;
    let project = find_project(app, project, service, &caller).await?;
    let repository = app.repositories.create(&project.id.into()).await?;
    let protocol = Protocol::from_header(text(request.headers(), "git-protocol"));
    if advertise {
        let refs = repository.advertise(service, &protocol).await?;
        return Ok(reply(service.advertisement_type(), Body::from(refs)));
    }
    match service {
        Service::UploadPack => {
            let output = repository.upload_pack(body(request, protocol)).await?;
            Ok(reply(service.result_type(), Body::from_stream(output)))
        }
        Service::ReceivePack => {
            receive(app, project, repository, caller, body(request, protocol)).await
        }
    }
}

async fn receive(
    app: &Arc<App>,
    project: Project,
    repository: Repository,
    caller: Caller,
    request: git::Request,
) -> Result<Response, Refusal> {
    let after = {
        let app = Arc::clone(app);
        let user = caller.name();
        move |push: git::Push| async move {
            crate::push::take_in(&app, &project, &user, &push.options).await
        }
    };
    let output = repository
        .receive_pack(request, ReceiveOptions::default(), after)
        .await?;
    let service = Service::ReceivePack;
    Ok(reply(service.result_type(), Body::from_stream(output)))
}

/// Whoever sent the request. git asks for name and password when the answer is 401.
async fn caller(app: &App, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let Some((_, password)) = basic(headers) else {
        return Err(Refusal::log_in("this repository asks for a token"));
    };
    Caller::of_token(&app.store, &password)
        .await
        .map_err(|error| Refusal::internal(&error))?
        .ok_or_else(|| Refusal::log_in("this token is wrong, expired or revoked"))
}

/// The project, made when it is pushed to and the caller may make it.
async fn find_project(
    app: &App,
    path: &str,
    service: Service,
    caller: &Caller,
) -> Result<Project, Refusal> {
    let parsed: ProjectPath = path.parse().map_err(|error: model::PathError| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            format!("there is no such project: {error}"),
        )
    })?;
    let (level, scope) = match service {
        Service::UploadPack => (Level::Reporter, Scope::ReadRepository),
        Service::ReceivePack => (Level::Developer, Scope::WriteRepository),
    };
    let found = app
        .store
        .project_by_path(path)
        .await
        .map_err(|error| Refusal::internal(&error))?;
    match found {
        Some(project) if caller.may(&project.path, level, scope) => Ok(project),
        Some(project) if caller.may(&project.path, Level::Reporter, Scope::ReadRepository) => {
            Err(Refusal::new(
                StatusCode::FORBIDDEN,
                format!(
                    "your token or your role does not allow pushing to {}\nhint: ask for the role Developer, or make a token with the scope write_repository",
                    project.path
                ),
            ))
        }
        None if service == Service::ReceivePack
            && caller.may(&parsed, Level::Maintainer, scope) =>
        {
            create_project(app, &parsed).await
        }
        _ => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!(
                "there is no project {path}, or your token may not see it\nhint: `lotse project list` shows those you can see"
            ),
        )),
    }
}

async fn create_project(app: &App, path: &ProjectPath) -> Result<Project, Refusal> {
    use crate::store::StoreError;
    if super::is_taken(path.as_str()) {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("no project can be at {path}: the server has something else there"),
        ));
    }
    match app.store.create_project(path).await {
        Ok(project) => {
            tracing::info!(project = %path, "made a project by push");
            Ok(project)
        }
        // another push was quicker
        Err(StoreError::Taken { .. }) => {
            let found = app.store.project_by_path(path.as_str()).await;
            found
                .map_err(|error| Refusal::internal(&error))?
                .ok_or_else(|| Refusal::new(StatusCode::CONFLICT, "the project was just removed"))
        }
        Err(error) => Err(Refusal::internal(&error)),
    }
}

fn service_parameter(query: Option<&str>) -> &str {
    query
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("service="))
        .unwrap_or_default()
}

fn body(request: Request, protocol: Protocol) -> git::Request {
    let encoding = match text(request.headers(), header::CONTENT_ENCODING.as_str()) {
        Some("gzip" | "x-gzip") => Encoding::Gzip,
        _ => Encoding::Identity,
    };
    let stream = request.into_body().into_data_stream();
    git::Request {
        body: stream.map_err(std::io::Error::other).boxed(),
        encoding,
        protocol,
    }
}

fn reply(content_type: &'static str, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (
            header::CACHE_CONTROL,
            "no-cache, max-age=0, must-revalidate",
        ),
    ];
    (headers, body).into_response()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// An answer that git shows to its user.
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    fn log_in(message: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            format!(
                "{message}\nhint: any user name, and a token from `lotse token create` as password"
            ),
        )
    }

    fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let answer = ApiError::internal(error);
        Self::new(answer.status, answer.message)
    }
}

impl From<GitError> for Refusal {
    fn from(error: GitError) -> Self {
        let status = match &error {
            GitError::NotFound { .. } => StatusCode::NOT_FOUND,
            GitError::InvalidRequest { .. } => StatusCode::BAD_REQUEST,
            GitError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            GitError::Interrupted(_) => StatusCode::REQUEST_TIMEOUT,
            GitError::Failed { .. } | GitError::Process { .. } | GitError::Files { .. } => {
                return Self::internal(&error);
            }
        };
        Self::new(status, chain(&error))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.message)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let value = header::HeaderValue::from_static("Basic realm=\"Lotse\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn addresses_of_repositories() {
        for (path, expected) in [
            ("a/b.git/info/refs", Some(("a/b", "info/refs"))),
            ("a/b/info/refs", Some(("a/b", "info/refs"))),
            (
                "a/c/b.git/git-receive-pack",
                Some(("a/c/b", "git-receive-pack")),
            ),
            ("a/b/-/jobs/1", None),
            ("info/refs", None),
        ] {
            assert_eq!(split(path), expected, "{path}");
        }
    }
}
