//! What an address under `/v2` means.
//!
//! Names of repositories have slashes and may hold words such as `blobs`, so addresses are read
//! from their end (OCI distribution specification, "Endpoints").

use http::Method;
use model::Digest;

use super::failure::{Code, Failure};
use crate::name::Reference;
use crate::store::UploadId;
use crate::{Action, RepositoryName};

#[derive(Debug, PartialEq)]
pub(super) enum Target {
    Base,
    Catalog,
    Blob(RepositoryName, Digest),
    Uploads(RepositoryName),
    Upload(RepositoryName, UploadId),
    Manifest(RepositoryName, Reference),
    Tags(RepositoryName),
    Referrers(RepositoryName, Digest),
}

impl Target {
    /// Reads the path of an address, `/v2/…`, percent-encoded.
    pub(super) fn parse(path: &str) -> Result<Self, Failure> {
        let path = path.strip_prefix("/v2").unwrap_or(path);
        // Only digests and tags of careless clients come encoded; nothing else may be.
        let path = path.replace("%3A", ":").replace("%3a", ":");
        match path.trim_start_matches('/') {
            "" => Ok(Self::Base),
            "_catalog" => Ok(Self::Catalog),
            path => Self::parse_repository(path),
        }
    }

    fn parse_repository(path: &str) -> Result<Self, Failure> {
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Ok(Self::Tags(repository(name)?));
        }
        if let Some(name) = ["/blobs/uploads/", "/blobs/uploads"]
            .iter()
            .find_map(|end| path.strip_suffix(end))
        {
            return Ok(Self::Uploads(repository(name)?));
        }
        let (rest, last) = path.rsplit_once('/').ok_or_else(nowhere)?;
        if let Some(name) = rest.strip_suffix("/blobs/uploads") {
            let name = repository(name)?;
            return match last.parse() {
                Ok(id) => Ok(Self::Upload(name, id)),
                Err(()) => Err(super::uploads::unknown_upload()),
            };
        }
        match rest.rsplit_once('/') {
            Some((name, "blobs")) => Ok(Self::Blob(repository(name)?, digest(last)?)),
            Some((name, "manifests")) => {
                let reference = last.parse().map_err(|error: crate::name::ReferenceError| {
                    Failure::new(Code::ManifestInvalid, error.to_string())
                })?;
                Ok(Self::Manifest(repository(name)?, reference))
            }
            Some((name, "referrers")) => Ok(Self::Referrers(repository(name)?, digest(last)?)),
            _ => Err(nowhere()),
        }
    }

    /// The repository that rights are needed for.
    pub(super) fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Manifest(name, _)
            | Self::Tags(name)
            | Self::Referrers(name, _) => Some(name),
        }
    }

    /// What the caller needs the right for.
    pub(super) fn action(&self, method: &Method) -> Option<Action> {
        self.repository()?;
        Some(match (self, method.as_str()) {
            (Self::Uploads(_) | Self::Upload(..), _) => Action::Push,
            (_, "DELETE") => Action::Delete,
            (_, "GET" | "HEAD") => Action::Pull,
            _ => Action::Push,
        })
    }

    /// The scope that a client without a token is told to ask for.
    pub(super) fn scope(&self, method: &Method) -> Option<String> {
        match self {
            Self::Base => None,
            Self::Catalog => Some("registry:catalog:*".to_owned()),
            _ => {
                let action = self.action(method)?;
                Some(format!(
                    "repository:{}:{}",
                    self.repository()?,
                    action.scope()
                ))
            }
        }
    }
}

fn repository(text: &str) -> Result<RepositoryName, Failure> {
    text.parse()
        .map_err(|error: crate::NameError| Failure::new(Code::NameInvalid, error.to_string()))
}

pub(super) fn digest(text: &str) -> Result<Digest, Failure> {
    text.parse()
        .map_err(|error: model::DigestError| Failure::new(Code::DigestInvalid, error.to_string()))
}

fn nowhere() -> Failure {
    Failure::new(
        Code::NotFound,
        "this is no address of a registry: they end in /blobs/…, /manifests/…, /tags/list or /referrers/…",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let digest = Digest::of(b"");
        let name = |text: &str| text.parse::<RepositoryName>().unwrap();
        let id = "0123456789abcdef0123456789abcdef";
        let encoded = digest.as_str().replace(':', "%3A");
        let cases = [
            ("/v2".to_owned(), Target::Base),
            ("/v2/".to_owned(), Target::Base),
            ("/v2/_catalog".to_owned(), Target::Catalog),
            ("/v2/a/b/tags/list".to_owned(), Target::Tags(name("a/b"))),
            (
                "/v2/a/blobs/uploads/".to_owned(),
                Target::Uploads(name("a")),
            ),
            ("/v2/a/blobs/uploads".to_owned(), Target::Uploads(name("a"))),
            (
                "/v2/tags/list/blobs/uploads/".to_owned(),
                Target::Uploads(name("tags/list")),
            ),
            (
                format!("/v2/a/b/blobs/uploads/{id}"),
                Target::Upload(name("a/b"), id.parse().unwrap()),
            ),
            (
                format!("/v2/a/blobs/b/blobs/{digest}"),
                Target::Blob(name("a/blobs/b"), digest.clone()),
            ),
            (
                format!("/v2/a/blobs/{encoded}"),
                Target::Blob(name("a"), digest.clone()),
            ),
            (
                "/v2/a/b/manifests/v1".to_owned(),
                Target::Manifest(name("a/b"), "v1".parse().unwrap()),
            ),
            (
                format!("/v2/a/referrers/{digest}"),
                Target::Referrers(name("a"), digest),
            ),
        ];
        for (path, expected) in cases {
            assert_eq!(Target::parse(&path).ok(), Some(expected), "{path}");
        }
    }

    #[test]
    fn refused() {
        let digest = Digest::of(b"");
        for path in [
            "/v2/a",
            "/v2/a/b/c",
            "/v2/a/manifests/",
            "/v2/manifests/x",
            "/v2/../manifests/x",
            "/v2/a/../b/manifests/x",
            "/v2/%2e%2e/manifests/x",
            "/v2/a%2fb/manifests/x",
            "/v2/a/manifests/..",
            "/v2/a/blobs/sha256:..",
            "/v2/a/blobs/uploads/../../x",
            "/v2/a/blobs/uploads/abc",
            &format!("/v2/A/blobs/{digest}"),
        ] {
            assert!(Target::parse(path).is_err(), "{path}");
        }
    }
}
