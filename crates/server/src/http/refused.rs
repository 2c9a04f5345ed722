//! What the API refuses before a handler sees it (no such call, another method, a body or a number that
//! cannot be read), said in the shape of all its errors.

use axum::body::to_bytes;
use axum::extract::OriginalUri;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::ApiError;

/// More than the HTTP library ever says.
const SAID: usize = 64 << 10;

/// There is no such call.
pub(super) async fn no_such_call(method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::not_found(format_args!("call {method} {}", uri.path()))
}

/// Turns the plain text that the HTTP library answers with into `{"message": …}`.
pub(super) async fn in_json(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_text = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let is_bare = status == StatusCode::METHOD_NOT_ALLOWED && kind.is_none();
    if !status.is_client_error() || !(is_text || is_bare) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let said = to_bytes(body, SAID).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let message = match said.trim() {
        "" => status.to_string(),
        said => format!("{status}: {said}"),
    };
    let (_, body) = ApiError::new(status, message).into_response().into_parts();
    let json = HeaderValue::from_static("application/json");
    parts.headers.insert(header::CONTENT_TYPE, json);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}
