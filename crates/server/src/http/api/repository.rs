//! Files and tags of a project's repository, and the server's templates: what includes are made from.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use git::{Below, GitError, Repository, TreeEntry};
use model::{CommitId, Digest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{PageQuery, part};
use crate::App;
use crate::auth::Level;
use crate::http::{ApiError, Authenticated};
use crate::includes::read_template;

/// The largest file that is answered, in bytes.
const FILE_LIMIT: u64 = 16 << 20;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/projects/{id}/repository/files/{path}", get(file))
        .route("/projects/{id}/repository/files/{path}/raw", get(raw))
        .route("/projects/{id}/repository/tree", get(tree))
        .route("/projects/{id}/repository/tags", get(tags))
        .route("/templates/gitlab_ci_ymls/{name}", get(template))
}

#[derive(Deserialize)]
struct AtRef {
    /// Branch, tag or commit; without it the default branch.
    #[serde(rename = "ref")]
    git_ref: Option<String>,
}

struct Found {
    commit: CommitId,
    content: Vec<u8>,
}

async fn raw(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, path)): Path<(String, String)>,
    Query(at): Query<AtRef>,
) -> Result<Response, ApiError> {
    let found = find(&app, &caller, &id, &path, &at).await?;
    let commit = HeaderValue::from_str(found.commit.as_str());
    let commit = commit.expect("digits are a header's value");
    // Whatever the file is: a browser must not take it for a page of ours.
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::HeaderName::from_static("x-gitlab-commit-id"),
            commit,
        ),
    ];
    Ok((headers, found.content).into_response())
}

async fn file(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path((id, path)): Path<(String, String)>,
    Query(at): Query<AtRef>,
) -> Result<Json<Value>, ApiError> {
    let found = find(&app, &caller, &id, &path, &at).await?;
    Ok(Json(json!({
        "file_name": path.rsplit('/').next(),
        "file_path": path,
        "size": found.content.len(),
        "encoding": "base64",
        "content": BASE64_STANDARD.encode(&found.content),
        "content_sha256": Digest::of(&found.content).hex(),
        "ref": at.git_ref,
        "commit_id": found.commit,
    })))
}

async fn find(
    app: &App,
    caller: &Authenticated,
    id: &str,
    path: &str,
    at: &AtRef,
) -> Result<Found, ApiError> {
    let repository = repository(app, caller, id).await?;
    let commit = commit(&repository, at.git_ref.as_deref()).await?;
    let content = repository.read_file(&commit, path, FILE_LIMIT).await;
    let content = content.map_err(failed)?;
    let content = content.ok_or_else(|| ApiError::not_found(format_args!("file {path}")))?;
    Ok(Found { commit, content })
}

#[derive(Deserialize)]
struct Folder {
    /// Without it the root.
    path: Option<String>,
    recursive: Option<bool>,
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    page: Option<i64>,
    per_page: Option<i64>,
}

fn failed(error: GitError) -> ApiError {
    match error {
        GitError::TooLarge { .. } => ApiError::bad_request(error.to_string()),
        other => ApiError::internal(&other),
    }
}

/// The commit of a branch, tag or id, else of the default branch.
async fn commit(repository: &Repository, git_ref: Option<&str>) -> Result<CommitId, ApiError> {
    let commit = match git_ref {
        Some(name) if name != "HEAD" => repository.find(name).await.map_err(failed)?,
        _ => {
            let branch = repository.default_branch().await.map_err(failed)?;
            repository.resolve(&branch).await.map_err(failed)?
        }
    };
    commit.ok_or_else(|| ApiError::not_found("commit of this name"))
}

async fn tree(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Query(wanted): Query<Folder>,
) -> Result<Response, ApiError> {
    let repository = repository(&app, &caller, &id).await?;
    let commit = commit(&repository, wanted.git_ref.as_deref()).await?;
    let folder = wanted.path.unwrap_or_default();
    let below = match wanted.recursive {
        Some(true) => Below::All,
        _ => Below::No,
    };
    let entries = repository.tree(&commit, &folder, below).await;
    let entries = entries.map_err(failed)?;
    if entries.is_empty() && !folder.is_empty() {
        return Err(ApiError::not_found(format_args!("folder {folder}")));
    }
    let item = |entry: &TreeEntry| {
        json!({
            "id": entry.id,
            "name": entry.path.rsplit('/').next(),
            "type": entry.kind,
            "path": entry.path,
            "mode": entry.mode,
        })
    };
    let paging = super::Paging {
        page: wanted.page,
        per_page: wanted.per_page,
    };
    Ok(part(entries.iter().map(item).collect(), paging.page()))
}

async fn tags(
    State(app): State<Arc<App>>,
    caller: Authenticated,
    Path(id): Path<String>,
    Query(paging): PageQuery,
) -> Result<Response, ApiError> {
    let repository = repository(&app, &caller, &id).await?;
    let refs = repository.refs().await;
    let refs = refs.map_err(|error| ApiError::internal(&error))?;
    let tag = |reference: &git::Reference| {
        let name = reference.name.strip_prefix("refs/tags/")?;
        Some(json!({
            "name": name,
            "target": reference.object.as_str(),
            "commit": { "id": reference.commit },
            "protected": true,
        }))
    };
    let items = refs.iter().filter_map(tag).collect();
    Ok(part(items, paging.page()))
}

async fn repository(app: &App, caller: &Authenticated, id: &str) -> Result<Repository, ApiError> {
    let project = caller.project(app, id, Level::Reporter).await?;
    match app.repositories.get(&project.id.into()) {
        Err(GitError::NotFound { .. }) => {
            Err(ApiError::not_found(format_args!("repository of {id}")))
        }
        repository => repository.map_err(|error| ApiError::internal(&error)),
    }
}

/// GitLab names a template without its ending.
async fn template(
    State(app): State<Arc<App>>,
    _caller: Authenticated,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let missing = || ApiError::not_found(format_args!("template {name}"));
    let folder = app.elsewhere.templates.as_ref().ok_or_else(missing)?;
    let text = read_template(folder, &format!("{name}.gitlab-ci.yml")).await;
    let text = text.map_err(|_| missing())?;
    Ok(Json(json!({ "name": name, "content": text })))
}
