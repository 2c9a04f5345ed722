//! A job's archive on its way out.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use model::JobId;
use tokio_util::io::ReaderStream;

use super::ApiError;
use crate::App;
use crate::artifacts::ARCHIVE;

/// The archive of a job; 404 when there is none, or none any more.
pub(crate) async fn archive(app: &App, job: JobId) -> Result<Response, ApiError> {
    let absent = || ApiError::not_found(format_args!("artifact of job {job}"));
    let row = app.store.artifact(job, ARCHIVE).await?;
    let row = row.ok_or_else(absent)?;
    let file = match fs_err::tokio::File::open(app.artifacts.path(job, ARCHIVE)).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(absent()),
        file => file?,
    };
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (header::CONTENT_LENGTH, row.size.to_string()),
        (header::ETAG, format!("\"{}\"", row.digest)),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}\"", plain(&row.name)),
        ),
    ];
    let body = Body::from_stream(ReaderStream::with_capacity(file, 64 << 10));
    Ok((headers, body).into_response())
}

/// A file name that no header and no disk reads as something else.
fn plain(name: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    name.chars()
        .map(|c| if safe(c) { c } else { '_' })
        .collect()
}
