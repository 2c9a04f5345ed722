//! A release: the compose project of one environment, resolved, numbered and never changed.
//!
//! Images are known by digest, files by content, and each service by its kind and the reason for it.
//! A release holds all that is needed to run it, so that a host that keeps it can go back to it
//! without the repository that it came from.

mod blueprint;
mod draft;
mod file;
mod hash;
mod kind;
mod names;
mod order;
mod port;

use std::collections::BTreeMap;

use compose::project::{
    ConfigName, Mode, Network, NetworkName, ProjectName, SecretName, Service, ServiceName, Volume,
    VolumeName,
};
use model::{Digest, Secret};
use serde::{Deserialize, Serialize};

pub use blueprint::{Attachment, Blueprint, EngineRestart};
pub use draft::{Draft, Source};
pub use file::{Content, ReleaseFile};
pub use kind::{Kind, Why};
pub use names::label;
pub use port::{LeadsTo, Listen, Place, Route, Speaks};

use crate::name::{EnvironmentName, ReleaseNumber};

/// The compose project of one environment, resolved.
///
/// Serialisation writes secrets: what is stored is readable by its owner only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Whose it is.
    pub environment: EnvironmentName,
    /// Its number.
    pub number: ReleaseNumber,
    /// What people call it, such as the tag that it was made from.
    pub label: Option<String>,
    /// The values that its files were interpolated with.
    pub values: BTreeMap<String, Secret>,
    /// The compose project's name.
    pub project: ProjectName,
    /// The digest of all that makes it what it is. Number, label and values are not in it.
    pub digest: Digest,
    /// Its services.
    pub services: BTreeMap<ServiceName, Member>,
    /// Networks that its services mention.
    pub networks: BTreeMap<NetworkName, Network>,
    /// Volumes that its services mention.
    pub volumes: BTreeMap<VolumeName, Volume>,
    /// Configs with their content.
    pub configs: BTreeMap<ConfigName, ReleaseFile>,
    /// Secrets with their content.
    pub secrets: BTreeMap<SecretName, ReleaseFile>,
}

/// A service of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// What compose says of it.
    pub definition: Service,
    /// Its image.
    pub image: Image,
    /// Why it is of the kind that it is.
    pub why: Why,
    /// The hash of all that its containers are made from. Equal hashes make equal containers, but
    /// for the names that carry the release's number.
    pub hash: Digest,
}

/// An image by its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Image {
    /// Its name as the compose file has it.
    pub name: String,
    /// The digest of its manifest, or its id where it comes from no registry.
    pub digest: Digest,
    /// Where hosts get it.
    pub from: ImageFrom,
}

/// Where hosts get an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFrom {
    /// From the registry in its name.
    Registry,
    /// It must be there (`pull_policy: never`, or built on the host).
    Host,
}

impl Image {
    /// `repository@sha256:…` for one of a registry, the id for one of the host.
    pub fn pinned(&self) -> String {
        match self.from {
            ImageFrom::Registry => format!("{}@{}", self.repository(), self.digest),
            ImageFrom::Host => self.digest.to_string(),
        }
    }

    fn repository(&self) -> &str {
        let name = self
            .name
            .split_once('@')
            .map_or(self.name.as_str(), |(name, _)| name);
        match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        }
    }
}

impl Member {
    /// What it is to a rollout.
    pub fn kind(&self) -> Kind {
        self.why.kind()
    }

    /// How many containers it has on each host.
    pub fn replicas(&self) -> u32 {
        match self.definition.deploy.mode {
            Mode::Global => 1,
            Mode::Replicated => self.definition.deploy.replicas.unwrap_or(1),
        }
    }
}

impl Release {
    /// Its services of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&ServiceName, &Member)> {
        let services = self.services.iter();
        services.filter(move |(_, member)| member.kind() == kind)
    }

    /// What people call it: `6 (v1.2.0)`.
    pub fn title(&self) -> String {
        match &self.label {
            Some(label) => format!("{} ({label})", self.number),
            None => self.number.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_pulled_by_digest() {
        let digest = Digest::of(b"image");
        for (name, repository) in [
            ("nginx", "nginx"),
            ("nginx:1.27", "nginx"),
            (
                "registry.example.org:5000/a/b",
                "registry.example.org:5000/a/b",
            ),
            (
                "registry.example.org:5000/a/b:v1",
                "registry.example.org:5000/a/b",
            ),
            (&format!("a/b:v1@{digest}"), "a/b"),
        ] {
            let image = Image {
                name: name.to_owned(),
                digest: digest.clone(),
                from: ImageFrom::Registry,
            };
            assert_eq!(image.pinned(), format!("{repository}@{digest}"));
        }
    }
}
