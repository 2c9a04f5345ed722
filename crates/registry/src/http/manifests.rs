//! Manifests: taken whole into memory, since they are small and have to be read anyway.

use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, LOCATION};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::failure::{Code, Failure};
use super::{CONTENT_DIGEST, Call};
use crate::RepositoryName;
use crate::manifest::{MAX_SIZE, Manifest};
use crate::name::Reference;
use crate::store::PutOutcome;

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

impl Call {
    /// `GET` and `HEAD /v2/<name>/manifests/<reference>`.
    pub(super) async fn get_manifest(
        self,
        name: RepositoryName,
        reference: Reference,
    ) -> Result<Response, Failure> {
        let (repository, wanted) = (name.clone(), reference.clone());
        let found = self
            .with_store(move |store| store.manifest(&repository, &wanted))
            .await?;
        let manifest = found.ok_or_else(|| unknown_manifest(&name, &reference))?;
        let etag = format!("\"{}\"", manifest.digest);
        let is_known = self
            .header(&IF_NONE_MATCH)
            .is_some_and(|h| h.contains(&etag));
        let headers = [
            (ETAG, etag),
            (CONTENT_DIGEST, manifest.digest.to_string()),
            (CONTENT_TYPE, manifest.media_type),
        ];
        if is_known {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        let length = [(CONTENT_LENGTH, manifest.bytes.len().to_string())];
        Ok(match self.method {
            Method::HEAD => (length, headers, ()).into_response(),
            _ => (headers, manifest.bytes).into_response(),
        })
    }

    /// `PUT /v2/<name>/manifests/<reference>`.
    pub(super) async fn put_manifest(
        self,
        name: RepositoryName,
        reference: Reference,
        body: axum::body::Body,
    ) -> Result<Response, Failure> {
        let media_type = self.header(&CONTENT_TYPE).map(str::to_owned);
        let registry = self.service.registry.clone();
        let bytes = read(body).await?;
        let manifest = Manifest::parse(bytes, media_type.as_deref())
            .map_err(|error| Failure::new(Code::ManifestInvalid, error.to_string()))?;
        let digest = manifest.digest.clone();
        let subject = manifest.subject.clone();
        let tag = match reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(wanted) if wanted == digest => None,
            Reference::Digest(wanted) => {
                let message =
                    format!("the manifest was put as {wanted} but is {digest}: nothing was stored");
                return Err(Failure::new(Code::DigestInvalid, message));
            }
        };
        let repository = name.clone();
        let outcome =
            super::blocking(move || registry.put_manifest(&repository, tag.as_ref(), &manifest))
                .await?;
        accepted(&name, outcome)?;
        let headers = [
            (LOCATION, format!("/v2/{name}/manifests/{digest}")),
            (CONTENT_DIGEST, digest.to_string()),
        ];
        let subject = subject.map(|subject| [(SUBJECT, subject.to_string())]);
        let created = (StatusCode::CREATED, headers).into_response();
        Ok(match subject {
            Some(header) => (header, created).into_response(),
            None => created,
        })
    }

    /// `DELETE /v2/<name>/manifests/<reference>`.
    pub(super) async fn delete_manifest(
        self,
        name: RepositoryName,
        reference: Reference,
    ) -> Result<Response, Failure> {
        let (repository, wanted) = (name.clone(), reference.clone());
        let was_there = self
            .with_store(move |store| store.delete_manifest(&repository, &wanted))
            .await?;
        if was_there {
            Ok(StatusCode::ACCEPTED.into_response())
        } else {
            Err(unknown_manifest(&name, &reference))
        }
    }
}

async fn read(body: axum::body::Body) -> Result<Vec<u8>, Failure> {
    match Limited::new(body, MAX_SIZE).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::new(
            Code::ManifestTooLarge,
            format!("the manifest is larger than {MAX_SIZE} bytes"),
        )),
        Err(error) => Err(Failure::new(
            Code::ManifestInvalid,
            format!("the manifest broke off: {error}"),
        )),
    }
}

fn accepted(name: &RepositoryName, outcome: PutOutcome) -> Result<(), Failure> {
    match outcome {
        PutOutcome::Stored => Ok(()),
        PutOutcome::Missing(part) => Err(Failure::new(
            Code::ManifestBlobUnknown,
            format!(
                "the manifest refers to {}, which {name} does not hold: push it there first",
                part.digest
            ),
        )),
        PutOutcome::WrongSize(part, actual) => Err(Failure::new(
            Code::ManifestInvalid,
            format!(
                "the manifest says that {} has {} bytes, but it has {actual}",
                part.digest, part.size
            ),
        )),
    }
}

fn unknown_manifest(name: &RepositoryName, reference: &Reference) -> Failure {
    let message =
        format!("{name} holds no image `{reference}`: check the name, or push the image first");
    Failure::new(Code::ManifestUnknown, message)
}
