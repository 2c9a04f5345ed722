//! From a compose project to a release that has no number yet.
//!
//! All that cannot be resolved is told at once, together with what a rollout could not do.

use std::collections::BTreeMap;

use compose::Project;
use compose::project::{
    Endpoint, File, FileSource, Namespace, Networking, Protocol, Published, ServiceName,
    VolumesFromSource,
};
use model::{Digest, Secret};

use super::hash::{self, Files};
use super::{Content, Image, Kind, Listen, Member, Release, ReleaseFile, Why};
use crate::name::{EnvironmentName, ReleaseNumber};
use crate::problem::Problem;

/// What a project is resolved with.
#[derive(Debug, Clone)]
pub struct Source {
    /// Whose release it will be.
    pub environment: EnvironmentName,
    /// What people call it.
    pub label: Option<String>,
    /// The values that the files were interpolated with.
    pub values: BTreeMap<String, Secret>,
    /// The image of each service, or why there is none.
    pub images: BTreeMap<ServiceName, Result<Image, String>>,
    /// The contents of the files that configs and secrets name, by path, or why there is none.
    pub files: BTreeMap<String, Result<Content, String>>,
}

/// A release without number, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    release: Release,
    problems: Vec<Problem>,
}

impl Draft {
    /// Resolves a project.
    pub fn resolve(project: &Project, source: Source) -> Self {
        let mut problems = Vec::new();
        let configs = files(&project.configs, &source, &mut problems);
        let secrets = files(&project.secrets, &source, &mut problems);
        let files = Files {
            configs: &configs,
            secrets: &secrets,
        };
        let services = members(project, &source, &files, &mut problems);
        let mut release = Release {
            environment: source.environment,
            number: ReleaseNumber(0),
            label: source.label,
            values: source.values,
            project: project.name.clone(),
            digest: Digest::of(b""),
            services,
            networks: project.networks.clone(),
            volumes: project.volumes.clone(),
            configs,
            secrets,
        };
        release.digest = hash::whole(&release);
        problems.extend(impossible(&release));
        Self { release, problems }
    }

    /// What is wrong with it.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The digest that the release will have.
    pub fn digest(&self) -> &Digest {
        &self.release.digest
    }

    /// The release with this number.
    pub(crate) fn numbered(&self, number: ReleaseNumber) -> Release {
        Release {
            number,
            ..self.release.clone()
        }
    }
}

fn files<K: Ord + Clone + ToString>(
    given: &BTreeMap<K, File>,
    source: &Source,
    problems: &mut Vec<Problem>,
) -> BTreeMap<K, ReleaseFile> {
    let mut files = BTreeMap::new();
    for (key, file) in given {
        let content = match &file.source {
            FileSource::Content(text) => Ok(Content(text.expose().as_bytes().to_vec())),
            FileSource::Path(path) => match source.files.get(path) {
                Some(Ok(content)) => Ok(content.clone()),
                Some(Err(why)) => Err((path, why.clone())),
                None => Err((path, "it was not read".to_owned())),
            },
        };
        match content {
            Ok(content) => {
                files.insert(
                    key.clone(),
                    ReleaseFile {
                        file: file.clone(),
                        content,
                    },
                );
            }
            Err((path, why)) => problems.push(Problem::FileUnknown {
                key: key.to_string(),
                path: path.clone(),
                why,
            }),
        }
    }
    files
}

fn members(
    project: &Project,
    source: &Source,
    files: &Files<'_>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<ServiceName, Member> {
    let mut members = BTreeMap::new();
    for (name, service) in &project.services {
        let image = match source.images.get(name) {
            Some(Ok(image)) => image.clone(),
            other => {
                let why = other.and_then(|known| known.as_ref().err());
                problems.push(Problem::ImageUnknown {
                    service: name.clone(),
                    image: service
                        .image
                        .clone()
                        .unwrap_or_else(|| "(built)".to_owned()),
                    why: why
                        .cloned()
                        .unwrap_or_else(|| "nobody asked for its digest".to_owned()),
                });
                continue;
            }
        };
        let why = Why::of(project, name, service);
        let hash = hash::of(project, service, &image, files);
        members.insert(
            name.clone(),
            Member {
                definition: service.clone(),
                image,
                why,
                hash,
            },
        );
    }
    members
}

/// What no rollout can do.
fn impossible(release: &Release) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(services) = release.circle() {
        problems.push(Problem::Circle { services });
    }
    let mut listens: Vec<(Listen, &ServiceName)> = Vec::new();
    for (service, _, listen) in release.published() {
        if let Some((other, first)) = listens.iter().find(|(other, _)| other.collides(&listen)) {
            let services = [(*first).clone(), service.clone()];
            problems.push(Problem::PortTwice {
                listen: other.clone(),
                services,
            });
        }
        listens.push((listen, service));
    }
    for (service, member) in &release.services {
        match member.kind() {
            Kind::Released => problems.extend(not_beside_itself(service, member)),
            Kind::Standing => problems.extend(not_across_releases(release, service, member)),
            Kind::Once => {}
        }
    }
    problems
}

/// Two containers of a released service are there at once while it is replaced.
fn not_beside_itself(service: &ServiceName, member: &Member) -> Vec<Problem> {
    let definition = &member.definition;
    let mut problems = Vec::new();
    for port in &definition.ports {
        let fixed = port.published != Published::Ephemeral;
        if fixed && super::port::at_edge(port).is_none() {
            let protocol = match port.protocol {
                Protocol::Tcp => "tcp in mode host",
                Protocol::Udp => "udp",
                Protocol::Sctp => "sctp",
            };
            problems.push(Problem::PortNotAtEdge {
                service: service.clone(),
                target: port.target,
                protocol: protocol.to_owned(),
            });
        }
    }
    let fixed = |endpoint: &Endpoint| {
        endpoint.ipv4_address.is_some()
            || endpoint.ipv6_address.is_some()
            || endpoint.mac_address.is_some()
    };
    if let Networking::Networks(networks) = &definition.networking
        && networks.values().any(fixed)
    {
        problems.push(Problem::FixedAddress {
            service: service.clone(),
        });
    }
    problems
}

/// A standing service outlives the containers of any stack, so it cannot live in one of theirs.
fn not_across_releases(release: &Release, service: &ServiceName, member: &Member) -> Vec<Problem> {
    let mut shared: Vec<&ServiceName> = Vec::new();
    if let Networking::Shared(Namespace::Service(other)) = &member.definition.networking {
        shared.push(other);
    }
    shared.extend(
        member
            .definition
            .volumes_from
            .iter()
            .filter_map(|from| match &from.source {
                VolumesFromSource::Service(other) => Some(other),
                VolumesFromSource::Container(_) => None,
            }),
    );
    let is_standing = |other: &ServiceName| {
        release
            .services
            .get(other)
            .is_some_and(|other| other.kind() == Kind::Standing)
    };
    shared
        .into_iter()
        .filter(|other| !is_standing(other))
        .map(|other| Problem::StandsInStack {
            service: service.clone(),
            other: other.clone(),
        })
        .collect()
}
