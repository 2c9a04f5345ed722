//! The hash of all that a service's containers are made from.

use std::collections::BTreeMap;

use compose::Project;
use compose::project::{Deploy, NetworkKind, Networking, Service, UpdateConfig, VolumeKind};
use model::Digest;
use serde::Serialize;

use super::{Image, Release, ReleaseFile, kind};

/// What makes a container what it is.
#[derive(Serialize)]
struct Made<'a> {
    service: &'a Service,
    image: &'a Digest,
    volumes: BTreeMap<&'a str, &'a VolumeKind>,
    networks: BTreeMap<&'a str, &'a NetworkKind>,
    files: BTreeMap<&'a str, Digest>,
}

/// The hash of a service: of its definition without what only a rollout reads, its image, its
/// volumes, networks and files.
pub(super) fn of(project: &Project, service: &Service, image: &Image, files: &Files<'_>) -> Digest {
    let volumes = kind::volumes(service)
        .filter_map(|(name, _)| Some((name.as_str(), &project.volumes.get(name)?.kind)));
    let networks = match &service.networking {
        Networking::Networks(networks) => networks
            .keys()
            .filter_map(|name| Some((name.as_str(), &project.networks.get(name)?.kind)))
            .collect(),
        _ => BTreeMap::new(),
    };
    let made = Made {
        service: &stripped(service),
        image: &image.digest,
        volumes: volumes.collect(),
        networks,
        files: files.of(service),
    };
    digest(&made)
}

/// Files of a project by key.
pub(super) struct Files<'a> {
    pub(super) configs: &'a BTreeMap<compose::project::ConfigName, ReleaseFile>,
    pub(super) secrets: &'a BTreeMap<compose::project::SecretName, ReleaseFile>,
}

impl Files<'_> {
    fn of<'s>(&self, service: &'s Service) -> BTreeMap<&'s str, Digest> {
        let configs = service
            .configs
            .iter()
            .filter_map(|mount| Some((mount, self.configs.get(mount.source.as_str())?)));
        let secrets = service
            .secrets
            .iter()
            .filter_map(|mount| Some((mount, self.secrets.get(mount.source.as_str())?)));
        configs
            .chain(secrets)
            .map(|(mount, file)| (mount.target.as_str(), Digest::of(&file.content.0)))
            .collect()
    }
}

fn stripped(service: &Service) -> Service {
    let deploy = Deploy {
        update_config: UpdateConfig::default(),
        rollback_config: UpdateConfig::default(),
        ..service.deploy.clone()
    };
    Service {
        image: None,
        build: None,
        pull_policy: compose::project::PullPolicy::default(),
        depends_on: BTreeMap::new(),
        profiles: Vec::new(),
        extensions: compose::project::Extensions::new(),
        deploy,
        ..service.clone()
    }
}

/// The digest of a whole release: of its services with their dependencies and rollout settings,
/// its networks, volumes and files.
pub(super) fn whole(release: &Release) -> Digest {
    let services: BTreeMap<_, _> = release
        .services
        .iter()
        .map(|(name, member)| {
            let definition = &member.definition;
            (
                name.as_str(),
                (
                    &member.hash,
                    &member.why,
                    &definition.depends_on,
                    &definition.deploy,
                ),
            )
        })
        .collect();
    let names = (&release.project, &release.environment);
    digest(&(
        names,
        services,
        &release.networks,
        &release.volumes,
        &release.configs,
        &release.secrets,
    ))
}

fn digest(value: &impl Serialize) -> Digest {
    let json = serde_json::to_vec(value)
        .expect("releases are made of texts, numbers and maps with keys of text");
    Digest::of(&json)
}
