//! A compose project on one engine, as Compose itself runs it: containers that are replaced where
//! they stand, found by Compose's own labels, so that other tools see the same project.
//!
//! It is for workshops, not for hosts that serve: there, a release stands beside the one before.

mod build;
mod down;
mod error;
mod images;
mod make;
mod resources;
mod up;
mod wait;

use std::collections::BTreeMap;
use std::time::Duration;

use compose::Project;
use compose::project::ServiceName;
use docker::container::{Container, ContainerSummary};
use docker::{DockerError, Engine, Filter, if_found};
use futures_util::future::try_join_all;

use crate::hands::RegistryKeys;

pub use build::Build;
pub use down::Down;
pub use error::ProjectError;
pub use images::image_name;
pub use up::{Builds, Changed, Up};

/// Compose's labels; other tools find projects by them.
pub mod label {
    /// The project's name.
    pub const PROJECT: &str = "com.docker.compose.project";
    /// The service.
    pub const SERVICE: &str = "com.docker.compose.service";
    /// The container's number among those of its service, from 1.
    pub const NUMBER: &str = "com.docker.compose.container-number";
    /// `True` for a container that a person started for one command.
    pub const ONE_OFF: &str = "com.docker.compose.oneoff";
    /// A hash of all that a container is made from.
    pub const HASH: &str = "com.docker.compose.config-hash";
    /// The folder of the project.
    pub const FOLDER: &str = "com.docker.compose.project.working_dir";
    /// A network's key in the file.
    pub const NETWORK: &str = "com.docker.compose.network";
    /// A volume's key in the file.
    pub const VOLUME: &str = "com.docker.compose.volume";
}

/// A project, the engine that it runs on, and what registries are shown.
pub struct OnEngine<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The project.
    pub project: &'a Project,
    /// What registries are shown.
    pub keys: &'a dyn RegistryKeys,
}

/// A container of a project.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The service that it belongs to.
    pub service: String,
    /// Its number among those of its service.
    pub number: u32,
    /// As the engine sees it.
    pub container: Container,
}

/// Hears what is done, in words: `web-1 started`.
pub type Tell<'a> = &'a (dyn Fn(String) + Sync);

impl OnEngine<'_> {
    /// The containers of the project, by service and number.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn containers(&self) -> Result<Vec<Found>, DockerError> {
        let filter = self.filter().label(label::ONE_OFF, "False");
        let listed = self.engine.list_containers(filter).await?;
        let inspected = listed.iter().map(|listed| async {
            // It may have been removed meanwhile.
            if_found(self.engine.inspect_container(&listed.id).await)
        });
        let containers = try_join_all(inspected).await?;
        let mut found: Vec<Found> = containers.into_iter().flatten().map(Found::of).collect();
        found.sort_by(|one, other| (&one.service, one.number).cmp(&(&other.service, other.number)));
        Ok(found)
    }

    /// The containers of these services (of all, without one) in short, by name.
    ///
    /// # Errors
    /// When the engine does not answer, or there is no such service.
    pub async fn listed(
        &self,
        services: &[ServiceName],
    ) -> Result<Vec<ContainerSummary>, ProjectError> {
        self.chosen(services, false)?;
        let filter = self.filter().label(label::ONE_OFF, "False");
        let mut listed = self.engine.list_containers(filter).await?;
        let service = |found: &ContainerSummary| found.labels.get(label::SERVICE).cloned();
        listed.retain(|found| {
            services.is_empty()
                || services
                    .iter()
                    .any(|name| service(found).as_deref() == Some(name.as_str()))
        });
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }

    /// Stops the containers of these services (of all, without one), within `grace` in place of
    /// their own time.
    ///
    /// # Errors
    /// When the engine does not answer, or there is no such service.
    pub async fn stop(
        &self,
        services: &[ServiceName],
        grace: Option<Duration>,
        tell: Tell<'_>,
    ) -> Result<(), ProjectError> {
        let stopping = self.running(services).await?;
        let stopping = stopping.iter().map(|found| async {
            if_found(self.engine.stop_container(&found.id, grace).await)?;
            tell(format!("{} stopped", found.name));
            Ok::<_, DockerError>(())
        });
        try_join_all(stopping).await?;
        Ok(())
    }

    /// Ends the containers of these services (of all, without one) at once.
    ///
    /// # Errors
    /// As those of [`OnEngine::stop`].
    pub async fn kill(&self, services: &[ServiceName], tell: Tell<'_>) -> Result<(), ProjectError> {
        let killing = self.running(services).await?;
        let killing = killing.iter().map(|found| async {
            match self.engine.kill_container(&found.id, "SIGKILL").await {
                // It has ended meanwhile.
                Err(error) if error.is_conflict() || error.is_not_found() => {}
                outcome => outcome?,
            }
            tell(format!("{} killed", found.name));
            Ok::<_, DockerError>(())
        });
        try_join_all(killing).await?;
        Ok(())
    }

    async fn running(
        &self,
        services: &[ServiceName],
    ) -> Result<Vec<ContainerSummary>, ProjectError> {
        let mut listed = self.listed(services).await?;
        listed.retain(|found| !matches!(found.state.as_str(), "created" | "exited" | "dead"));
        Ok(listed)
    }

    /// Pulls the images of these services (of all, without one).
    ///
    /// # Errors
    /// When one cannot be pulled; the others are.
    pub async fn pull(&self, services: &[ServiceName], tell: Tell<'_>) -> Result<(), ProjectError> {
        let chosen = self.chosen(services, false)?;
        self.pull_all(&chosen, tell).await
    }

    fn filter(&self) -> Filter {
        Filter::all().label(label::PROJECT, self.project.name.as_str())
    }

    /// The services that are meant, with those that they depend on.
    fn chosen(
        &self,
        services: &[ServiceName],
        with_dependencies: bool,
    ) -> Result<Vec<ServiceName>, ProjectError> {
        let all = &self.project.services;
        if let Some(unknown) = services.iter().find(|name| !all.contains_key(*name)) {
            return Err(ProjectError::NoService(unknown.clone()));
        }
        if services.is_empty() {
            return Ok(all.keys().cloned().collect());
        }
        let mut chosen = services.to_vec();
        let mut next = 0;
        while with_dependencies && next < chosen.len() {
            for name in all[&chosen[next]].depends_on.keys() {
                if all.contains_key(name) && !chosen.contains(name) {
                    chosen.push(name.clone());
                }
            }
            next += 1;
        }
        Ok(chosen)
    }

    /// The name of a service's container.
    fn container_name(&self, service: &ServiceName, number: u32) -> String {
        let given = self.project.services.get(service);
        match given.and_then(|service| service.container_name.clone()) {
            Some(name) => name,
            None => format!("{}-{service}-{number}", self.project.name),
        }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (label::PROJECT.to_owned(), self.project.name.to_string()),
            (label::FOLDER.to_owned(), self.project.directory.clone()),
        ])
    }
}

impl Found {
    fn of(container: Container) -> Self {
        let label = |name: &str| container.labels.get(name).map(String::as_str);
        Self {
            service: label(label::SERVICE).unwrap_or_default().to_owned(),
            number: label(label::NUMBER)
                .and_then(|text| text.parse().ok())
                .unwrap_or(1),
            container,
        }
    }
}
