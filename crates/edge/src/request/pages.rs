//! The answers that the edge gives itself.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::request::body::ResponseBody;

/// A short page that says what the matter is.
pub(crate) fn plain(status: StatusCode) -> Response<ResponseBody> {
    let reason = status.canonical_reason().unwrap_or("Error");
    let number = status.as_u16();
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{number} {reason}</title>\n\
         <h1>{reason}</h1>\n<p>{}</p>\n</html>\n",
        explanation(status)
    );
    html(status, page)
}

/// A page that somebody wrote.
pub(crate) fn html(status: StatusCode, page: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(page));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// What a machine asked for.
pub(crate) fn text(text: String) -> Response<ResponseBody> {
    let mut response = html(StatusCode::OK, text);
    let plain = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

fn explanation(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "Nothing is served under this name.",
        StatusCode::BAD_GATEWAY => {
            "The application broke off before it answered. Please try again."
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            "The application is not there at the moment. Please try again soon."
        }
        StatusCode::GATEWAY_TIMEOUT => "The application took too long to answer.",
        StatusCode::PAYLOAD_TOO_LARGE => "The request is larger than what is taken here.",
        StatusCode::REQUEST_TIMEOUT => "The request did not come to its end in time.",
        _ => "The request cannot be answered.",
    }
}
