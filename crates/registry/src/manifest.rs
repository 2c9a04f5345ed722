//! Reads a manifest far enough to know what it refers to. What the layers hold, and which platform
//! an image is for, is nobody's business here.

use std::collections::BTreeMap;

use model::Digest;
use serde::{Deserialize, Serialize};

/// Largest manifest that is taken, in bytes (OCI distribution specification, "Pushing Manifests",
/// asks for at least this much).
pub(crate) const MAX_SIZE: usize = 4 * 1024 * 1024;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest that can be stored: of a known type, and well-formed.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) bytes: Vec<u8>,
    /// Blobs that must be in the repository.
    pub(crate) blobs: Vec<Descriptor>,
    /// Manifests that must be in the repository.
    pub(crate) manifests: Vec<Descriptor>,
    /// What this one says something about, which need not exist yet.
    pub(crate) subject: Option<Digest>,
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

/// Another content, by type, digest and size (OCI image specification, "Content Descriptors").
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing)]
    urls: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, String>>,
}

/// Why a document is no manifest that can be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("the manifest is not the JSON that its type asks for: {reason}")]
    Syntax { reason: String },
    #[error(
        "manifests of type `{media_type}` are not taken: push an OCI image or index, or a Docker schema 2 image or manifest list"
    )]
    Type { media_type: String },
    #[error("the Content-Type is `{header}`, but the manifest calls itself `{body}`")]
    TypeMismatch { header: String, body: String },
    #[error("the manifest names no type: send it as Content-Type or in `mediaType`")]
    NoType,
    #[error("the manifest has no `{field}`, which its type asks for")]
    Missing { field: &'static str },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// Reads a manifest sent with this `Content-Type`.
    pub(crate) fn parse(bytes: Vec<u8>, header: Option<&str>) -> Result<Self, ManifestError> {
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|error| ManifestError::Syntax {
                reason: error.to_string(),
            })?;
        let media_type = media_type(header, document.media_type.as_deref())?;
        let mut manifest = Self {
            digest: Digest::of(&bytes),
            bytes,
            blobs: Vec::new(),
            manifests: Vec::new(),
            subject: document.subject.map(|subject| subject.digest),
            artifact_type: document.artifact_type,
            annotations: document.annotations,
            media_type,
        };
        match manifest.media_type.as_str() {
            OCI_IMAGE | DOCKER_IMAGE => manifest.take_image(document.config, document.layers)?,
            _ => {
                manifest.manifests = document
                    .manifests
                    .ok_or(ManifestError::Missing { field: "manifests" })?;
            }
        }
        Ok(manifest)
    }

    fn take_image(
        &mut self,
        config: Option<Descriptor>,
        layers: Option<Vec<Descriptor>>,
    ) -> Result<(), ManifestError> {
        let config = config.ok_or(ManifestError::Missing { field: "config" })?;
        let layers = layers.ok_or(ManifestError::Missing { field: "layers" })?;
        if self.artifact_type.is_none() {
            self.artifact_type = Some(config.media_type.clone());
        }
        self.blobs = layers.into_iter().filter(|l| l.is_held_here()).collect();
        self.blobs.push(config);
        Ok(())
    }

    /// How the referrers API lists this manifest (OCI distribution specification, "Listing
    /// Referrers").
    pub(crate) fn as_referrer(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest.clone(),
            size: self.bytes.len() as u64,
            urls: Vec::new(),
            artifact_type: self.artifact_type.clone(),
            annotations: self.annotations.clone(),
        }
    }
}

impl Descriptor {
    /// Layers that say where else they are, as those of Windows do, are never pushed.
    fn is_held_here(&self) -> bool {
        self.urls.is_empty()
            && !self.media_type.contains("nondistributable")
            && !self.media_type.contains(".foreign.")
    }
}

fn media_type(header: Option<&str>, body: Option<&str>) -> Result<String, ManifestError> {
    let header = header.map(|text| text.split(';').next().unwrap_or_default().trim());
    let named = match (header, body) {
        (Some(header), Some(body)) if header != body => {
            return Err(ManifestError::TypeMismatch {
                header: header.to_owned(),
                body: body.to_owned(),
            });
        }
        (header, body) => header.or(body).ok_or(ManifestError::NoType)?,
    };
    match named {
        OCI_IMAGE | OCI_INDEX | DOCKER_IMAGE | DOCKER_LIST => Ok(named.to_owned()),
        _ => Err(ManifestError::Type {
            media_type: named.chars().take(100).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: Option<&str>, body: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(body.as_bytes().to_vec(), header)
    }

    fn descriptor(media_type: &str, more: &str) -> String {
        let digest = Digest::of(media_type.as_bytes());
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":3{more}}}"#)
    }

    #[test]
    fn an_image_refers_to_its_config_and_the_layers_that_are_held_here() {
        let body = format!(
            r#"{{"config":{},"layers":[{},{},{}]}}"#,
            descriptor("a/config", ""),
            descriptor("a/layer", ""),
            descriptor("a/elsewhere", r#","urls":["http://x"]"#),
            descriptor("a.foreign.b", ""),
        );
        let manifest = parse(Some(DOCKER_IMAGE), &body).unwrap();
        let types: Vec<_> = manifest
            .blobs
            .iter()
            .map(|b| b.media_type.as_str())
            .collect();
        assert_eq!(types, ["a/layer", "a/config"]);
        assert_eq!(
            manifest.as_referrer().artifact_type.as_deref(),
            Some("a/config")
        );
    }

    #[test]
    fn refused() {
        let cases = [
            (Some(OCI_IMAGE), "no json", "not the JSON"),
            (Some(OCI_IMAGE), "{}", "no `config`"),
            (Some(OCI_INDEX), "{}", "no `manifests`"),
            (None, "{}", "names no type"),
            (Some("text/plain"), "{}", "are not taken"),
            (
                Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
                "{}",
                "are not taken",
            ),
            (
                Some(OCI_IMAGE),
                r#"{"mediaType":"application/vnd.oci.image.index.v1+json"}"#,
                "calls itself",
            ),
            (
                Some(OCI_INDEX),
                r#"{"manifests":[{"mediaType":"a","size":1,"digest":"sha256:../../x"}]}"#,
                "is not a digest",
            ),
        ];
        for (header, body, expected) in cases {
            let error = parse(header, body).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }

    #[test]
    fn the_type_may_stand_in_the_body_alone() {
        let body = format!(r#"{{"mediaType":"{OCI_INDEX}","manifests":[]}}"#);
        assert_eq!(parse(None, &body).unwrap().media_type, OCI_INDEX);
        assert!(parse(Some(&format!("{OCI_INDEX}; charset=utf-8")), &body).is_ok());
    }
}
