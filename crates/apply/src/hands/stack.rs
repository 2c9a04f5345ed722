//! Stacks: their services started, run once, retired and removed.

use std::collections::{BTreeSet, HashSet};

use compose::project::ServiceName;
use deploy::host::State;
use deploy::release::{Image, Kind, Place, label};
use deploy::span::Span;
use deploy::{Failure, FailureKind, Release, ReleaseNumber, Remains};
use docker::container::WaitFor;
use docker::{Name, if_found};
use futures_util::future::join_all;

use super::Hands;
use super::failure::{failed, last_lines, of_docker, of_service};
use super::network::name_of;

impl Hands {
    pub(super) async fn start(
        &self,
        release: &Release,
        services: &[ServiceName],
    ) -> Result<(), Failure> {
        let starting = services
            .iter()
            .map(|service| self.ensure_running(release, Place::Stack(release.number), service));
        let outcomes = join_all(starting).await;
        outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(())
    }

    /// Runs a service to its end, unless it has come to a good one already.
    pub(super) async fn run_once(
        &self,
        release: &Release,
        service: &ServiceName,
    ) -> Result<(), Failure> {
        let fail = |error| of_service(of_docker(error), service);
        let known = self
            .of_service(Place::Stack(release.number), service)
            .await
            .map_err(fail)?;
        for known in &known {
            match known.seen.state {
                State::Exited(0) => return Ok(()),
                State::Running | State::Paused => {
                    return self.wait_for_end(service, known.id()).await;
                }
                State::Created | State::Restarting | State::Exited(_) => {
                    self.remove(known.id()).await.map_err(fail)?;
                }
            }
        }
        let container = self.make_and_start(release, service, 1).await?;
        self.wait_for_end(service, &container).await
    }

    async fn wait_for_end(&self, service: &ServiceName, container: &Name) -> Result<(), Failure> {
        let waited = self
            .engine
            .wait_container(container, WaitFor::NotRunning)
            .await;
        let status = waited.map_err(|error| of_service(of_docker(error), service))?;
        if status == 0 {
            return Ok(());
        }
        Err(Failure {
            kind: FailureKind::Exited(status),
            last_lines: last_lines(&self.engine, container).await,
            ..of_service(
                failed(format!("{service} ended with status {status}")),
                service,
            )
        })
    }

    /// Stops a stack when its last request is answered, or time is up; its containers stay.
    pub(super) async fn retire(
        &self,
        release: ReleaseNumber,
        waves: &[Vec<ServiceName>],
        drain: Span,
    ) -> Result<(), Failure> {
        let known = self.of_stack(release).await.map_err(of_docker)?;
        if known.iter().any(|known| known.seen.is_up()) {
            self.wait_until_empty(&known, drain).await?;
        }
        let named: BTreeSet<&ServiceName> = waves.iter().flatten().collect();
        let unnamed = known
            .iter()
            .filter(|known| !named.contains(&known.seen.service));
        self.stop_all(unnamed).await?;
        for wave in waves {
            let of_wave = known
                .iter()
                .filter(|known| wave.contains(&known.seen.service));
            self.stop_all(of_wave).await?;
        }
        Ok(())
    }

    pub(super) async fn remove_stack(&self, remains: &Remains) -> Result<(), Failure> {
        let release = remains.release;
        self.remove_containers(release).await?;
        for network in self.networks_of(release, &remains.networks).await? {
            self.remove_network(&network).await.map_err(of_docker)?;
        }
        for image in &remains.images {
            self.remove_image(image).await?;
        }
        for volume in &remains.volumes {
            let removed = self.engine.remove_volume(&name_of(volume)?).await;
            if_found(removed).map_err(of_docker)?;
        }
        Ok(())
    }

    /// All containers of the stack, those among them that were never finished.
    async fn remove_containers(&self, release: ReleaseNumber) -> Result<(), Failure> {
        let filter = self.filter().label(label::RELEASE, &release.to_string());
        let all = self
            .engine
            .list_containers(filter)
            .await
            .map_err(of_docker)?;
        let standing = Kind::Standing.to_string();
        let of_stack = all
            .iter()
            .filter(|found| found.labels.get(label::KIND) != Some(&standing));
        let removing = of_stack.map(|found| self.remove(&found.id));
        let outcomes = join_all(removing).await;
        outcomes
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .map_err(of_docker)?;
        Ok(())
    }

    /// The networks that are named, and such of the stack as nobody came to use.
    async fn networks_of(
        &self,
        release: ReleaseNumber,
        named: &[String],
    ) -> Result<HashSet<Name>, Failure> {
        let filter = self.filter().label(label::RELEASE, &release.to_string());
        let labelled = self.engine.list_networks(filter).await.map_err(of_docker)?;
        let labelled = labelled.into_iter().map(|network| network.name);
        named
            .iter()
            .cloned()
            .chain(labelled)
            .map(|name| name_of(&name))
            .collect()
    }

    /// Removes an image, unless somebody else's container has it.
    async fn remove_image(&self, image: &Image) -> Result<(), Failure> {
        let Ok(pinned) = image.pinned().parse() else {
            return Ok(());
        };
        match self.engine.remove_image(&pinned).await {
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(()),
            outcome => outcome.map_err(of_docker),
        }
    }
}
