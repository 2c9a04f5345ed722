//! Standing services: one instance across releases, replaced only when its definition changed.

use compose::project::ServiceName;
use deploy::release::Place;
use deploy::{Failure, Release, ReleaseNumber, StandingUpdate};
use docker::Name;

use super::failure::{of_docker, of_service};
use super::{Hands, Releases, known_release};

impl Hands {
    pub(super) async fn update_standing(
        &self,
        release: &Release,
        update: &StandingUpdate,
        releases: &Releases,
    ) -> Result<(), Failure> {
        let service = &update.service;
        let fail = |error| of_service(of_docker(error), service);
        if let Some(stack) = update.instead_of {
            let before = self
                .of_service(Place::Stack(stack), service)
                .await
                .map_err(fail)?;
            self.stop_all(before.iter()).await?;
        }
        let hash = release.services.get(service).map(|member| &member.hash);
        let known = self
            .of_service(Place::Standing, service)
            .await
            .map_err(fail)?;
        let other = || known.iter().filter(|known| Some(&known.seen.hash) != hash);
        self.stop_all(other()).await?;
        for known in other() {
            self.remove(known.id()).await.map_err(fail)?;
        }
        let replicas = release
            .services
            .get(service)
            .map_or(1, |member| member.replicas());
        for index in 1..=replicas {
            // Whoever looks for it in its stack must find it from its first moment on.
            let container = self.make(release, service, index).await?;
            self.join_stacks(&update.join, service, &container, index, releases)
                .await?;
        }
        self.ensure_running(release, Place::Standing, service)
            .await?;
        Ok(())
    }

    async fn join_stacks(
        &self,
        stacks: &[ReleaseNumber],
        service: &ServiceName,
        container: &Name,
        index: u32,
        releases: &Releases,
    ) -> Result<(), Failure> {
        for stack in stacks {
            let stack = known_release(releases, *stack)?;
            self.join_stack(stack, service, container, index).await?;
        }
        Ok(())
    }

    /// Has standing services found in a stack.
    pub(super) async fn join(
        &self,
        stack: &Release,
        services: &[ServiceName],
    ) -> Result<(), Failure> {
        for service in services {
            let known = self.of_service(Place::Standing, service).await;
            let known = known.map_err(|error| of_service(of_docker(error), service))?;
            for (place, known) in known.iter().enumerate() {
                let index = u32::try_from(place + 1).unwrap_or(u32::MAX);
                self.join_stack(stack, service, known.id(), index).await?;
            }
        }
        Ok(())
    }

    /// Stops a standing service; its containers stay.
    pub(super) async fn retire_standing(&self, service: &ServiceName) -> Result<(), Failure> {
        let known = self.of_service(Place::Standing, service).await;
        let known = known.map_err(|error| of_service(of_docker(error), service))?;
        self.stop_all(known.iter()).await
    }
}
