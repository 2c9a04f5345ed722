//! The project as its files say: networks, volumes, and each service when those that it depends on
//! are ready.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use compose::project::{Condition, Mode, PullPolicy, ServiceName};
use docker::container::Removal;
use docker::{ImageRef, Name, if_found};
use futures_util::future::try_join_all;
use model::Digest;
use tokio::sync::OnceCell;

use super::build::{Build, Builder};
use super::{Found, OnEngine, ProjectError, Tell};
use crate::container::refusals;

/// What `up` shall do.
#[derive(Debug, Clone, Default)]
pub struct Up {
    /// These services, and those that they depend on; all, without one.
    pub services: Vec<ServiceName>,
    /// Without those that they depend on.
    pub alone: bool,
    /// What becomes of containers that are there.
    pub changed: Changed,
    /// When images are pulled, in place of what the files say.
    pub pull: Option<PullPolicy>,
    /// When images are built.
    pub builds: Builds,
    /// How many containers services have, in place of what the files say.
    pub scale: BTreeMap<ServiceName, u32>,
    /// How long containers that are replaced or removed may take to end, in place of their own time.
    pub grace: Option<Duration>,
    /// Containers that are made anew get fresh volumes for those without a name.
    pub renew_volumes: bool,
    /// Removes containers of services that the files do not have.
    pub remove_orphans: bool,
    /// Waits until all services are healthy, where they have a healthcheck.
    pub wait: bool,
    /// Makes containers without starting them.
    pub no_start: bool,
}

/// What becomes of a container that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Changed {
    /// It is made anew when it would become another one.
    #[default]
    Replace,
    /// It is made anew in any case.
    ReplaceAll,
    /// It stays as it is.
    Keep,
}

/// When images of services that have a `build` are built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Builds {
    /// When they are not there, or the files say so.
    #[default]
    Missing,
    /// In any case.
    Always,
    /// Never.
    Never,
}

impl OnEngine<'_> {
    /// Brings the project up.
    ///
    /// # Errors
    /// When something cannot be done; what was done before stays. Repeating it goes on from there.
    pub async fn up(&self, request: &Up, tell: Tell<'_>) -> Result<(), ProjectError> {
        let chosen = self.chosen(&request.services, !request.alone)?;
        self.check(&chosen, &request.scale)?;
        let images = self.images(&chosen, request, tell).await?;
        self.make_networks(tell).await?;
        self.make_volumes(tell).await?;
        let found = self.containers().await?;
        self.orphans(&found, request, tell).await?;
        let mut up: BTreeMap<&ServiceName, Vec<Name>> = BTreeMap::new();
        while up.len() < chosen.len() {
            let is_next = |name: &&ServiceName| {
                let mut needs = self.project.services[*name].depends_on.keys();
                !up.contains_key(*name)
                    && needs.all(|need| up.contains_key(need) || !chosen.contains(need))
            };
            let next: Vec<&ServiceName> = chosen.iter().filter(is_next).collect();
            if next.is_empty() {
                // The loader refuses circles.
                break;
            }
            let started = next.iter().map(|name| {
                let image = images[name].clone();
                self.start(name, image, &found, &up, request, tell)
            });
            let started = try_join_all(started).await?;
            up.extend(next.into_iter().zip(started));
        }
        if request.wait {
            try_join_all(up.values().flatten().map(|name| self.wait_if_checked(name))).await?;
        }
        Ok(())
    }

    async fn images<'n>(
        &self,
        chosen: &'n [ServiceName],
        request: &Up,
        tell: Tell<'_>,
    ) -> Result<BTreeMap<&'n ServiceName, (ImageRef, Digest)>, ProjectError> {
        let builder = Builder {
            on: self,
            request: &Build::default(),
            tell,
            logins: OnceCell::new(),
        };
        let mut images = BTreeMap::new();
        for name in chosen {
            let policy = self.project.services[name].pull_policy;
            let policy = request.pull.unwrap_or(policy);
            let image = self.image(name, policy, request.builds, &builder).await?;
            images.insert(name, image);
        }
        Ok(images)
    }

    /// What cannot be done is told before anything is.
    fn check(
        &self,
        chosen: &[ServiceName],
        scale: &BTreeMap<ServiceName, u32>,
    ) -> Result<(), ProjectError> {
        for (name, count) in scale {
            let service = self.project.services.get(name);
            let service = service.ok_or_else(|| ProjectError::NoService(name.clone()))?;
            if service.container_name.is_some() && *count > 1 {
                return Err(ProjectError::OnlyOne(name.clone()));
            }
        }
        let services = chosen
            .iter()
            .map(|name| (name, &self.project.services[name]));
        let refused: Vec<_> = services
            .flat_map(|(name, service)| refusals(name, service))
            .collect();
        match refused.is_empty() {
            true => Ok(()),
            false => Err(ProjectError::Refused(refused)),
        }
    }

    async fn orphans(
        &self,
        found: &[Found],
        request: &Up,
        tell: Tell<'_>,
    ) -> Result<(), ProjectError> {
        let known: BTreeSet<&str> = self
            .project
            .services
            .keys()
            .chain(self.project.inactive.keys())
            .map(ServiceName::as_str)
            .collect();
        for orphan in found
            .iter()
            .filter(|found| !known.contains(found.service.as_str()))
        {
            let name = &orphan.container.name;
            if !request.remove_orphans {
                tell(format!(
                    "{name} belongs to no service of the files: --remove-orphans removes it"
                ));
                continue;
            }
            self.remove(orphan, request.grace, tell).await?;
        }
        Ok(())
    }

    async fn start(
        &self,
        name: &ServiceName,
        image: (ImageRef, Digest),
        found: &[Found],
        up: &BTreeMap<&ServiceName, Vec<Name>>,
        request: &Up,
        tell: Tell<'_>,
    ) -> Result<Vec<Name>, ProjectError> {
        let service = &self.project.services[name];
        if !request.no_start {
            for (need, dependency) in &service.depends_on {
                let containers = up.get(need).into_iter().flatten();
                let waits = containers.map(|container| self.wait(container, dependency.condition));
                try_join_all(waits).await?;
            }
        }
        let replicas = match (request.scale.get(name), service.deploy.mode) {
            (Some(count), _) => *count,
            (None, Mode::Global) => 1,
            (None, Mode::Replicated) => service.deploy.replicas.unwrap_or(1),
        };
        let of_service = || found.iter().filter(|found| found.service == name.as_str());
        for surplus in of_service().filter(|found| found.number > replicas) {
            self.remove(surplus, request.grace, tell).await?;
        }
        let mut containers = Vec::new();
        for number in 1..=replicas {
            let there = of_service().find(|found| found.number == number);
            let (id, is_new) = match (there, request.changed) {
                (Some(found), Changed::Keep) => (found.container.id.clone(), false),
                (there, _) => {
                    let wanted = self.wanted(name, number, image.clone())?;
                    self.ensure(wanted, there, request, tell).await?
                }
            };
            let runs = there.is_some_and(|found| found.container.state.is_running());
            if !request.no_start && (is_new || !runs) {
                self.engine.start_container(&id).await?;
                tell(format!("{} started", self.container_name(name, number)));
            }
            containers.push(id);
        }
        Ok(containers)
    }

    async fn wait_if_checked(&self, name: &Name) -> Result<(), ProjectError> {
        let seen = self.engine.inspect_container(name).await?;
        match seen.health {
            Some(_) => self.wait(name, Condition::ServiceHealthy).await,
            None => Ok(()),
        }
    }

    async fn remove(
        &self,
        found: &Found,
        grace: Option<Duration>,
        tell: Tell<'_>,
    ) -> Result<(), ProjectError> {
        let id = &found.container.id;
        if_found(self.engine.stop_container(id, grace).await)?;
        if_found(self.engine.remove_container(id, Removal::Killed).await)?;
        tell(format!("{} removed", found.container.name));
        Ok(())
    }
}
