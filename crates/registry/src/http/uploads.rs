//! Uploads of blobs: in one request, in one stream, or in chunks (OCI distribution specification,
//! "Pushing blobs").
//!
//! At most one batch of frames is in memory while the batch before it is hashed and written.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName, HeaderValue, LOCATION, RANGE};
use model::Digest;

use super::failure::{Code, Failure};
use super::target;
use super::{CONTENT_DIGEST, Call, blocking};
use crate::store::{CommitOutcome, OpenUpload, Upload, UploadId};
use crate::{Action, Permission, RepositoryName};

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Frames that are written at once; each has at most 400 KiB or so.
const BATCH: usize = 8;

/// How long a client may send nothing before its request is given up; the upload stays.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a client that is refused may go on sending: most read the answer only afterwards.
const DRAIN: Duration = Duration::from_secs(20);

impl Call {
    /// `POST /v2/<name>/blobs/uploads/`, also with `?mount=…&from=…` or `?digest=…`.
    pub(super) async fn start_upload(
        self,
        name: RepositoryName,
        body: Body,
    ) -> Result<Response, Failure> {
        if let Some(digest) = self.mounted(&name).await? {
            return Ok(created(&name, &digest));
        }
        let digest = self.query("digest")?;
        let digest = digest.map(|text| target::digest(&text)).transpose()?;
        let repository = name.clone();
        let id = self
            .with_store(move |store| store.start_upload(&repository))
            .await?;
        let Some(digest) = digest else {
            return Ok(progress(&name, &id, 0, StatusCode::ACCEPTED));
        };
        let upload = self.open(&name, &id).await?;
        let upload = self.receive(&name, upload, body).await?;
        commit(&name, upload, digest).await
    }

    /// The blob that a mount made visible here. Without the right to see the other repository, or
    /// without the blob there, the client shall upload it.
    async fn mounted(&self, name: &RepositoryName) -> Result<Option<Digest>, Failure> {
        let (Some(digest), Some(from)) = (self.query("mount")?, self.query("from")?) else {
            return Ok(None);
        };
        let digest = target::digest(&digest)?;
        let Ok(from) = from.parse::<RepositoryName>() else {
            return Ok(None);
        };
        if self.permission(&from, Action::Pull).await? != Permission::Granted {
            return Ok(None);
        }
        let (wanted, to) = (digest.clone(), name.clone());
        let is_mounted = self
            .with_store(move |store| store.mount_blob(&from, &to, &wanted))
            .await?;
        Ok(is_mounted.then_some(digest))
    }

    /// `GET /v2/<name>/blobs/uploads/<id>`.
    pub(super) async fn upload_status(
        self,
        name: RepositoryName,
        id: UploadId,
    ) -> Result<Response, Failure> {
        let upload = self.open(&name, &id).await?;
        let status = StatusCode::NO_CONTENT;
        Ok(progress(&name, &id, upload.size(), status))
    }

    /// `PATCH /v2/<name>/blobs/uploads/<id>`.
    pub(super) async fn append_upload(
        self,
        name: RepositoryName,
        id: UploadId,
        body: Body,
    ) -> Result<Response, Failure> {
        let upload = self.open(&name, &id).await?;
        let upload = self.receive(&name, upload, body).await?;
        Ok(progress(&name, &id, upload.size(), StatusCode::ACCEPTED))
    }

    /// `PUT /v2/<name>/blobs/uploads/<id>?digest=…`, with the last chunk or without.
    pub(super) async fn finish_upload(
        self,
        name: RepositoryName,
        id: UploadId,
        body: Body,
    ) -> Result<Response, Failure> {
        let digest = self.query("digest")?.ok_or_else(|| {
            let message = "the digest is missing: end an upload with `?digest=sha256:…`";
            Failure::new(Code::DigestInvalid, message)
        })?;
        let digest = target::digest(&digest)?;
        let upload = self.open(&name, &id).await?;
        let upload = self.receive(&name, upload, body).await?;
        commit(&name, upload, digest).await
    }

    /// `DELETE /v2/<name>/blobs/uploads/<id>`.
    pub(super) async fn cancel_upload(
        self,
        name: RepositoryName,
        id: UploadId,
    ) -> Result<Response, Failure> {
        let upload = self.open(&name, &id).await?;
        blocking(move || upload.discard()).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    async fn open(&self, name: &RepositoryName, id: &UploadId) -> Result<Upload, Failure> {
        let store = &self.service.registry;
        match store.open_upload(name.clone(), id.clone()).await? {
            OpenUpload::Opened(upload) => Ok(upload),
            OpenUpload::Unknown => Err(unknown_upload()),
            OpenUpload::Busy => Err(Failure::new(
                Code::BlobUploadBusy,
                "another request is writing this upload: let it end, or start a new upload",
            )),
        }
    }

    /// Adds the request's body to the upload.
    async fn receive(
        &self,
        name: &RepositoryName,
        upload: Upload,
        body: Body,
    ) -> Result<Upload, Failure> {
        let announced = match self.announced(name, &upload) {
            Ok(announced) => announced,
            Err(failure) => {
                drain(body.into_data_stream()).await;
                return Err(failure);
            }
        };
        let (begin, mark) = (upload.size(), upload.mark());
        let mut upload = append_body(upload, body, announced).await?;
        let received = upload.size() - begin;
        match announced {
            Some(announced) if announced != received => {
                blocking(move || upload.truncate(mark)).await?;
                Err(wrong_size(announced, received))
            }
            _ => Ok(upload),
        }
    }

    /// How many bytes the request says it brings, once it was seen that they belong here.
    fn announced(&self, name: &RepositoryName, upload: &Upload) -> Result<Option<u64>, Failure> {
        let length = self.header(&CONTENT_LENGTH).and_then(|l| l.parse().ok());
        let Some(header) = self.header(&CONTENT_RANGE) else {
            return Ok(length);
        };
        let (start, end) = chunk_range(header).ok_or_else(|| {
            let message = format!("`{header}` is no range: write Content-Range: <first>-<last>");
            Failure::new(Code::BlobUploadInvalid, message)
        })?;
        if start != upload.size() {
            return Err(out_of_order(name, upload));
        }
        match length {
            Some(length) if length != end - start => Err(wrong_size(end - start, length)),
            _ => Ok(Some(end - start)),
        }
    }
}

/// Gives a received blob its name.
async fn commit(
    name: &RepositoryName,
    upload: Upload,
    digest: Digest,
) -> Result<Response, Failure> {
    let expected = digest.clone();
    match blocking(move || upload.commit(&expected)).await? {
        CommitOutcome::Stored => Ok(created(name, &digest)),
        CommitOutcome::Mismatch(actual) => Err(Failure::new(
            Code::DigestInvalid,
            format!(
                "the content was announced as {digest} but is {actual}: nothing was stored; push it again"
            ),
        )),
    }
}

/// Hashes and writes a body as it arrives. Ends early when more comes than was announced.
async fn append_body(
    mut upload: Upload,
    body: Body,
    announced: Option<u64>,
) -> Result<Upload, Failure> {
    let limit = announced.map(|bytes| upload.size().saturating_add(bytes));
    let mut frames = body.into_data_stream();
    let mut batch = next_batch(&mut frames).await?;
    while !batch.is_empty() {
        let writing = blocking(move || upload.append(&batch));
        let (written, next) = tokio::join!(writing, next_batch(&mut frames));
        upload = match written {
            Ok(upload) => upload,
            Err(error) => {
                drain(frames).await;
                return Err(error.into());
            }
        };
        batch = next?;
        if limit.is_some_and(|limit| upload.size() > limit) {
            break;
        }
    }
    Ok(upload)
}

/// What has arrived, at least one frame; nothing at the end.
async fn next_batch(frames: &mut BodyDataStream) -> Result<Vec<Bytes>, Failure> {
    let mut ready = frames.try_ready_chunks(BATCH);
    match tokio::time::timeout(SILENCE, ready.next()).await {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(Ok(batch))) => Ok(batch),
        Ok(Some(Err(error))) => Err(Failure::new(
            Code::BlobUploadInvalid,
            format!(
                "the upload broke off ({}): resume it from where its status says",
                error.1
            ),
        )),
        Err(_) => Err(Failure::new(
            Code::BlobUploadInvalid,
            format!(
                "nothing came for {} seconds: resume the upload from where its status says",
                SILENCE.as_secs()
            ),
        )),
    }
}

async fn drain(frames: BodyDataStream) {
    let all = frames.take_while(|frame| std::future::ready(frame.is_ok()));
    let _gave_up = tokio::time::timeout(DRAIN, all.for_each(|_| std::future::ready(()))).await;
}

/// First byte and the one after the last, of `0-9` or `bytes 0-9/*`.
fn chunk_range(header: &str) -> Option<(u64, u64)> {
    let range = header.strip_prefix("bytes ").unwrap_or(header);
    let range = range.split('/').next()?;
    let (start, last) = range.split_once('-')?;
    let start = start.trim().parse().ok()?;
    let end = last.trim().parse::<u64>().ok()?.checked_add(1)?;
    (start < end).then_some((start, end))
}

fn progress(name: &RepositoryName, id: &UploadId, size: u64, status: StatusCode) -> Response {
    let headers = [
        (LOCATION, format!("/v2/{name}/blobs/uploads/{id}")),
        (RANGE, received(size)),
        (UPLOAD_ID, id.to_string()),
    ];
    (status, headers).into_response()
}

/// `0-0` stands for nothing as well as for one byte: so Docker's registry has it.
fn received(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

fn created(name: &RepositoryName, digest: &Digest) -> Response {
    let headers = [
        (LOCATION, format!("/v2/{name}/blobs/{digest}")),
        (CONTENT_DIGEST, digest.to_string()),
    ];
    (StatusCode::CREATED, headers).into_response()
}

pub(super) fn unknown_upload() -> Failure {
    Failure::new(
        Code::BlobUploadUnknown,
        "there is no such upload in this repository: it was ended, cancelled or has expired; start a new one",
    )
}

fn out_of_order(name: &RepositoryName, upload: &Upload) -> Failure {
    let size = upload.size();
    let message = format!("the chunk does not begin where the upload ends: send byte {size} next");
    let location = format!("/v2/{name}/blobs/uploads/{}", upload.id());
    let mut failure = Failure::new(Code::RangeInvalid, message);
    for (header, value) in [(RANGE, received(size)), (LOCATION, location)] {
        let value = HeaderValue::from_str(&value).expect("names, ids and numbers are plain ASCII");
        failure = failure.with_header(header, value);
    }
    failure
}

fn wrong_size(announced: u64, received: u64) -> Failure {
    Failure::new(
        Code::SizeInvalid,
        format!("{announced} bytes were announced and {received} came: the chunk was not kept"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_ranges() {
        for (header, expected) in [
            ("0-9", Some((0, 10))),
            ("10-10", Some((10, 11))),
            ("bytes 0-9/*", Some((0, 10))),
            ("bytes 0-9/100", Some((0, 10))),
            ("9-0", None),
            ("5", None),
            ("-5", None),
            ("a-b", None),
            ("0-18446744073709551615", None),
        ] {
            assert_eq!(chunk_range(header), expected, "{header}");
        }
    }
}
