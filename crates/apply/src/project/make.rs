//! One service's containers: those that are as they shall be stay, the others are made anew.

use std::collections::BTreeMap;

use compose::project::{
    Endpoint, FileMount, FileSource, MountKind, NetworkName, Networking, Restart, RestartCondition,
    Service, ServiceName, VolumeName,
};
use deploy::release::EngineRestart;
use docker::container::spec::{self, Attachment, ContainerSpec, Mount};
use docker::container::{Container, Removal};
use docker::{Archive, ImageRef, Name, if_found, volume};
use model::Digest;

use super::{Changed, Found, OnEngine, ProjectError, Tell, Up, label};
use crate::container::{self, PlacedFile, Setting};
use crate::resolve;

/// A container that shall be, but for the mounts that it takes over.
pub(super) struct Wanted {
    name: Name,
    spec: ContainerSpec,
    files: Option<Vec<u8>>,
}

impl OnEngine<'_> {
    /// The container of this number, as it shall be.
    pub(super) fn wanted(
        &self,
        name: &ServiceName,
        number: u32,
        image: (ImageRef, Digest),
    ) -> Result<Wanted, ProjectError> {
        let service = &self.project.services[name];
        let files = self.files(name, service)?;
        let archive = container::archive(&files).map_err(|error| ProjectError::File {
            service: name.clone(),
            path: "of a config or secret".to_owned(),
            why: error.to_string(),
        })?;
        let (image, id) = image;
        let mut spec = container::spec(
            service,
            Setting {
                image,
                networks: self.attachments(name, service)?,
                volumes: self.volumes(service),
                labels: self.labels(),
                ports: service.ports.iter().collect(),
                restart: restart(service),
                container_of: &|other| self.container_name(other, 1),
            },
        );
        if service.deploy.restart_policy.is_none() && service.restart == Restart::Always {
            spec.restart = spec::Restart::Always;
        }
        let hash = hash(&spec, &id, &archive);
        spec.labels.extend([
            (label::SERVICE.to_owned(), name.to_string()),
            (label::NUMBER.to_owned(), number.to_string()),
            (label::ONE_OFF.to_owned(), "False".to_owned()),
            (label::HASH.to_owned(), hash),
        ]);
        Ok(Wanted {
            name: self.container_name(name, number).parse()?,
            spec,
            files: (!files.is_empty()).then_some(archive),
        })
    }

    fn attachments(
        &self,
        name: &ServiceName,
        service: &Service,
    ) -> Result<Vec<Attachment>, ProjectError> {
        let Networking::Networks(networks) = &service.networking else {
            return Ok(Vec::new());
        };
        let mut networks: Vec<(&NetworkName, &Endpoint)> = networks.iter().collect();
        networks.sort_by_key(|(_, endpoint)| std::cmp::Reverse(endpoint.priority));
        let attach = |(key, endpoint): (&NetworkName, &Endpoint)| {
            let network = self.project.network_name(key).parse()?;
            let mut aliases = vec![name.to_string()];
            aliases.extend(
                endpoint
                    .aliases
                    .iter()
                    .filter(|alias| *alias != name.as_str())
                    .cloned(),
            );
            Ok(container::attachment(network, aliases, endpoint))
        };
        networks.into_iter().map(attach).collect()
    }

    fn volumes<'s>(&self, service: &'s Service) -> BTreeMap<&'s VolumeName, String> {
        let named = service.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Volume { name, .. } => name.as_ref(),
            _ => None,
        });
        named
            .map(|name| (name, self.project.volume_name(name)))
            .collect()
    }

    fn files(
        &self,
        name: &ServiceName,
        service: &Service,
    ) -> Result<Vec<PlacedFile>, ProjectError> {
        let (configs, secrets) = (&self.project.configs, &self.project.secrets);
        let configs = service
            .configs
            .iter()
            .map(|mount| (mount, configs.get(mount.source.as_str())));
        let secrets = service
            .secrets
            .iter()
            .map(|mount| (mount, secrets.get(mount.source.as_str())));
        let mut files = Vec::new();
        for (mount, file) in configs.chain(secrets) {
            let Some(file) = file else { continue };
            files.push(placed(name, mount, &file.source)?);
        }
        Ok(files)
    }

    /// Sees to it that the container is there as it shall be, and says whether it was made.
    pub(super) async fn ensure(
        &self,
        wanted: Wanted,
        found: Option<&Found>,
        request: &Up,
        tell: Tell<'_>,
    ) -> Result<(Name, bool), ProjectError> {
        let mut wanted = wanted;
        if let Some(Found { container, .. }) = found {
            let is_same = container.labels.get(label::HASH) == wanted.spec.labels.get(label::HASH);
            if is_same && request.changed != Changed::ReplaceAll {
                return Ok((container.id.clone(), false));
            }
            if !request.renew_volumes {
                keep_anonymous(&mut wanted.spec, container);
            }
            // One that was made by another tool may have a name of its own.
            self.engine
                .stop_container(&container.id, request.grace)
                .await?;
            let removal = Removal::Killed;
            if_found(self.engine.remove_container(&container.id, removal).await)?;
        }
        let made = self
            .engine
            .create_container(&wanted.name, &wanted.spec)
            .await?;
        if let Some(files) = wanted.files {
            let files = Archive::whole(files);
            if let Err(error) = self.engine.copy_in(&made.id, "/", files).await {
                // What has no files must not be taken for whole. The first error is the one to tell.
                let _second = self
                    .engine
                    .remove_container(&made.id, Removal::Killed)
                    .await;
                return Err(error.into());
            }
        }
        for warning in &made.warnings {
            tell(format!("{}: {warning}", wanted.name));
        }
        tell(format!("{} made", wanted.name));
        Ok((made.id, true))
    }
}

fn placed(
    service: &ServiceName,
    mount: &FileMount,
    source: &FileSource,
) -> Result<PlacedFile, ProjectError> {
    let content = match source {
        FileSource::Content(text) => text.expose().as_bytes().to_vec(),
        FileSource::Path(path) => {
            let read = resolve::content(path).map_err(|why| ProjectError::File {
                service: service.clone(),
                path: path.clone(),
                why,
            })?;
            read.0
        }
    };
    Ok(PlacedFile::of(mount, content))
}

fn restart(service: &Service) -> EngineRestart {
    if let Some(policy) = &service.deploy.restart_policy {
        return match policy.condition {
            RestartCondition::None => EngineRestart::No,
            RestartCondition::OnFailure => EngineRestart::OnFailure(policy.max_attempts),
            RestartCondition::Any => EngineRestart::UnlessStopped,
        };
    }
    match service.restart {
        Restart::No => EngineRestart::No,
        Restart::OnFailure(attempts) => EngineRestart::OnFailure(attempts),
        Restart::Always | Restart::UnlessStopped => EngineRestart::UnlessStopped,
    }
}

/// Equal hashes make equal containers.
fn hash(spec: &ContainerSpec, image: &Digest, files: &[u8]) -> String {
    // A spec is made of texts and numbers: there is nothing that could not be written.
    let mut all = serde_json::to_vec(spec).unwrap_or_default();
    all.extend_from_slice(image.as_str().as_bytes());
    all.extend_from_slice(files);
    Digest::of(&all).hex().to_owned()
}

/// Volumes without a name hold data too: they go over to the container that takes the place.
fn keep_anonymous(spec: &mut ContainerSpec, before: &Container) {
    for mount in &before.mounts {
        let Some(volume) = mount
            .volume
            .as_deref()
            .filter(|name| volume::is_anonymous(name))
        else {
            continue;
        };
        let Ok(volume) = volume.parse::<Name>() else {
            continue;
        };
        let is_taken = |other: &&mut Mount| other.target == mount.target;
        match spec.mounts.iter_mut().find(is_taken) {
            Some(Mount {
                source: spec::MountSource::Volume { name, .. },
                ..
            }) if name.is_none() => {
                *name = Some(volume);
            }
            Some(_) => {}
            None => spec.mounts.push(Mount::volume(volume, &mount.target)),
        }
    }
}
