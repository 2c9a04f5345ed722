//! The OCI distribution specification 1.1 over HTTP: addresses in, files and errors out.
//!
//! Every request is one story: read the address, find out who asks, ask whether they may, do it.
//! What an answer says about files comes from `store`; who may do what comes from `Access`.

mod auth;
mod blobs;
mod failure;
mod lists;
mod manifests;
mod range;
mod target;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};

use self::auth::Origin;
use self::failure::{Code, Failure};
use self::target::Target;
use crate::store::{Error, Registry};
use crate::token::{Caller, TokenKey};
use crate::{Access, Action, Permission, RepositoryName};

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The registry's routes: everything under `/v2`, and the token endpoint `/jwt/auth`.
///
/// Images are kept in `registry`, rights are asked of `access`, tokens are signed with `key`.
pub fn router(registry: Registry, access: Arc<dyn Access>, key: TokenKey) -> Router {
    let service = Service {
        registry,
        access,
        key,
    };
    Router::new()
        .route("/v2", any(serve))
        .route("/v2/", any(serve))
        .route("/v2/{*path}", any(serve).layer(DefaultBodyLimit::disable()))
        .route(
            "/jwt/auth",
            get(auth::get_token)
                .post(auth::post_token)
                .layer(DefaultBodyLimit::max(64 * 1024)),
        )
        .with_state(service)
}

#[derive(Clone)]
struct Service {
    registry: Registry,
    access: Arc<dyn Access>,
    key: TokenKey,
}

/// A request whose sender is known, before anything is done about it.
struct Call {
    service: Service,
    caller: Caller,
    origin: Origin,
    method: Method,
    uri: http::Uri,
    headers: HeaderMap,
}

async fn serve(State(service): State<Service>, request: Request) -> Response {
    let mut response = match answer(service, request).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    };
    // Docker's engine takes only answers with this for a registry's.
    let version = HeaderValue::from_static("registry/2.0");
    response.headers_mut().insert(API_VERSION, version);
    response
}

async fn answer(service: Service, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let origin = Origin::of(&parts.headers, &parts.uri);
    let target = Target::parse(parts.uri.path());
    let scope = target.as_ref().ok().and_then(|t| t.scope(&parts.method));
    let caller = service
        .caller(&parts.headers, &origin.challenge(scope.as_deref()))
        .await?;
    let call = Call {
        service,
        caller,
        origin,
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
    };
    call.dispatch(target?, body).await
}

impl Call {
    async fn dispatch(self, target: Target, body: Body) -> Result<Response, Failure> {
        if let (Some(name), Some(action)) = (target.repository(), target.action(&self.method)) {
            self.require(name, action).await?;
        }
        match (self.method.as_str(), target) {
            ("GET" | "HEAD", Target::Base) => Ok(axum::Json(serde_json::json!({})).into_response()),
            ("GET", Target::Catalog) => self.catalog().await,
            ("GET" | "HEAD", Target::Blob(name, digest)) => self.get_blob(name, digest).await,
            ("DELETE", Target::Blob(name, digest)) => self.delete_blob(name, digest).await,
            ("POST", Target::Uploads(name)) => self.start_upload(name, body).await,
            ("GET", Target::Upload(name, id)) => self.upload_status(name, id).await,
            ("PATCH", Target::Upload(name, id)) => self.append_upload(name, id, body).await,
            ("PUT", Target::Upload(name, id)) => self.finish_upload(name, id, body).await,
            ("DELETE", Target::Upload(name, id)) => self.cancel_upload(name, id).await,
            ("GET" | "HEAD", Target::Manifest(name, r)) => self.get_manifest(name, r).await,
            ("PUT", Target::Manifest(name, r)) => self.put_manifest(name, r, body).await,
            ("DELETE", Target::Manifest(name, r)) => self.delete_manifest(name, r).await,
            ("GET", Target::Tags(name)) => self.tags(name).await,
            ("GET", Target::Referrers(name, digest)) => self.referrers(name, digest).await,
            (method, _) => Err(Failure::new(
                Code::MethodNotAllowed,
                format!("{method} means nothing at this address"),
            )),
        }
    }

    /// Goes on only if the caller may do this.
    async fn require(&self, name: &RepositoryName, action: Action) -> Result<(), Failure> {
        match (self.permission(name, action).await?, &self.caller) {
            (Permission::Granted, _) => Ok(()),
            (_, None) => Err(self.origin.login_needed(name, action)),
            (Permission::Denied, Some(_)) => Err(Failure::new(
                Code::Denied,
                format!(
                    "you may not {action} {name}: ask an owner of the project for the right, or log in with a token that has it"
                ),
            )),
            (Permission::UnknownRepository, Some(_)) => Err(Failure::new(
                Code::NameUnknown,
                format!(
                    "there is no project for the repository {name}: check the name, or create the project first"
                ),
            )),
        }
    }

    async fn permission(
        &self,
        name: &RepositoryName,
        action: Action,
    ) -> Result<Permission, Failure> {
        self.service
            .access
            .permitted(self.caller.as_ref(), name, action)
            .await
            .map_err(|source| Failure::internal("the registry cannot look up your rights", source))
    }

    /// Does something that blocks with the store.
    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Registry) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let registry = self.service.registry.clone();
        Ok(blocking(move || work(&registry)).await?)
    }

    /// One parameter of the query.
    fn query(&self, key: &str) -> Result<Option<String>, Failure> {
        let axum::extract::Query(pairs) =
            axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&self.uri)
                .map_err(|error| Failure::new(Code::Unsupported, error.body_text()))?;
        let found = pairs.into_iter().find(|(name, _)| name == key);
        Ok(found.map(|(_, value)| value))
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
