//! Downloads and deletes of blobs.

use std::io::{Seek as _, SeekFrom};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};
use http::{Method, StatusCode};
use model::Digest;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::failure::{Code, Failure};
use super::range::{Part, part_of};
use super::{CONTENT_DIGEST, Call};
use crate::RepositoryName;

/// Read from disk at once; large, so that few system calls and wake-ups are needed.
const BUFFER: usize = 512 * 1024;

impl Call {
    /// `GET` and `HEAD /v2/<name>/blobs/<digest>`.
    pub(super) async fn get_blob(
        self,
        name: RepositoryName,
        digest: Digest,
    ) -> Result<Response, Failure> {
        let wanted = digest.clone();
        let repository = name.clone();
        let found = self
            .with_store(move |store| store.open_blob(&repository, &wanted))
            .await?;
        let (file, size) = found.ok_or_else(|| unknown_blob(&name, &digest))?;
        let etag = format!("\"{digest}\"");
        let headers = [
            (ETAG, etag.clone()),
            (CONTENT_DIGEST, digest.to_string()),
            (ACCEPT_RANGES, "bytes".to_owned()),
            (CACHE_CONTROL, "private, max-age=31536000".to_owned()),
            (CONTENT_TYPE, "application/octet-stream".to_owned()),
        ];
        if self
            .header(&IF_NONE_MATCH)
            .is_some_and(|h| h.contains(&etag))
        {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        let range = match self.header(&IF_RANGE) {
            Some(condition) if condition != etag => None,
            _ => self.header(&RANGE),
        };
        let content = match part_of(range, size) {
            Part::Unsatisfiable => return Ok(unsatisfiable(size)),
            Part::Whole => self.content(file, 0, size).await?,
            Part::Some { start, length } => {
                let last = start + length - 1;
                let range = [(CONTENT_RANGE, format!("bytes {start}-{last}/{size}"))];
                let content = self.content(file, start, length).await?;
                (StatusCode::PARTIAL_CONTENT, range, content).into_response()
            }
        };
        Ok((headers, content).into_response())
    }

    /// Streams part of a file; for `HEAD`, says only how long it would be.
    async fn content(
        &self,
        file: fs_err::File,
        start: u64,
        length: u64,
    ) -> Result<Response, Failure> {
        let body = if self.method == Method::HEAD {
            Body::empty()
        } else {
            let mut file = file;
            if start > 0 {
                file.seek(SeekFrom::Start(start)).map_err(|error| {
                    Failure::internal("the registry cannot read the blob", error.into())
                })?;
            }
            let mut file = tokio::fs::File::from_std(file.into_file());
            file.set_max_buf_size(BUFFER);
            Body::from_stream(ReaderStream::with_capacity(file.take(length), BUFFER))
        };
        Ok(([(CONTENT_LENGTH, length.to_string())], body).into_response())
    }

    /// `DELETE /v2/<name>/blobs/<digest>`.
    pub(super) async fn delete_blob(
        self,
        name: RepositoryName,
        digest: Digest,
    ) -> Result<Response, Failure> {
        let wanted = digest.clone();
        let repository = name.clone();
        let was_there = self
            .with_store(move |store| store.unlink_blob(&repository, &wanted))
            .await?;
        if was_there {
            Ok(StatusCode::ACCEPTED.into_response())
        } else {
            Err(unknown_blob(&name, &digest))
        }
    }
}

fn unsatisfiable(size: u64) -> Response {
    let range = [(CONTENT_RANGE, format!("bytes */{size}"))];
    let message = format!("the range lies outside of the blob, which has {size} bytes");
    (range, Failure::new(Code::RangeInvalid, message)).into_response()
}

fn unknown_blob(name: &RepositoryName, digest: &Digest) -> Failure {
    let message = format!("{name} holds no blob {digest}: push it there first");
    Failure::new(Code::BlobUnknown, message)
}
