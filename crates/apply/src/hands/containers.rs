//! The containers of one owner: found by their labels, made from a release, stopped, removed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use compose::project::ServiceName;
use deploy::Failure;
use deploy::host::{ContainerSeen, Health, State};
use deploy::release::{Kind, Place, label};
use deploy::span::Span;
use deploy::{Release, ReleaseNumber};
use docker::container::{self, Container, ContainerSpec, HealthStatus, Removal};
use docker::{Archive, DockerError, Filter, Name, if_found, volume};
use futures_util::future::{join_all, try_join_all};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use super::Hands;
use super::failure::{failed, of_docker, of_service};
use crate::container::Made;

/// A container that is not yet whole has this behind its name: it may lack networks or files.
const UNFINISHED: &str = ".new";

/// How long a request of somebody who is gone can go on.
pub(super) const STILL_MAKING: Duration = Duration::from_secs(20);
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// A container that was made here.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) place: Place,
    pub(super) seen: ContainerSeen,
    /// Where the edge reaches it.
    pub(super) address: Option<IpAddr>,
    pub(super) container: Container,
}

impl Known {
    pub(super) fn is_running(&self) -> bool {
        self.container.state.is_running()
    }

    /// Where it is reached, or would be if it ran.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let endpoints = self.container.networks.values();
        let fixed = endpoints.filter_map(|endpoint| endpoint.fixed_ipv4.map(IpAddr::V4));
        // The host's own address is that of many others.
        self.address
            .filter(|address| !address.is_loopback())
            .into_iter()
            .chain(fixed)
    }

    pub(super) fn id(&self) -> &Name {
        &self.container.id
    }

    pub(super) fn is_of(&self, place: Place, service: &ServiceName) -> bool {
        self.place == place && self.seen.service == *service
    }
}

impl Hands {
    /// Everything that was made for this owner.
    pub(super) fn filter(&self) -> Filter {
        Filter::all()
            .label(label::PROJECT, self.owner.project.as_str())
            .label(label::ENVIRONMENT, self.owner.environment.as_str())
    }

    pub(super) fn is_ours(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(label::PROJECT).map(String::as_str) == Some(self.owner.project.as_str())
            && labels.get(label::ENVIRONMENT).map(String::as_str)
                == Some(self.owner.environment.as_str())
    }

    /// All containers of this owner that are whole.
    pub(super) async fn known(&self) -> Result<Vec<Known>, DockerError> {
        self.known_with(self.filter()).await
    }

    /// The containers of a stack.
    pub(super) async fn of_stack(&self, release: ReleaseNumber) -> Result<Vec<Known>, DockerError> {
        let filter = self.filter().label(label::RELEASE, &release.to_string());
        let mut known = self.known_with(filter).await?;
        known.retain(|known| known.place == Place::Stack(release));
        Ok(known)
    }

    /// The containers of a service.
    pub(super) async fn of_service(
        &self,
        place: Place,
        service: &ServiceName,
    ) -> Result<Vec<Known>, DockerError> {
        let filter = self.filter().label(label::SERVICE, service.as_str());
        let mut known = self.known_with(filter).await?;
        known.retain(|known| known.is_of(place, service));
        Ok(known)
    }

    async fn known_with(&self, filter: Filter) -> Result<Vec<Known>, DockerError> {
        let listed = self.engine.list_containers(filter).await?;
        let whole = listed
            .iter()
            .filter(|listed| !listed.name.as_str().ends_with(UNFINISHED));
        let inspected = whole.map(|listed| async {
            // It may have been removed meanwhile.
            if_found(self.engine.inspect_container(&listed.id).await)
        });
        let found: Vec<Container> = try_join_all(inspected)
            .await?
            .into_iter()
            .flatten()
            .collect();
        let now = self.host_time().await?;
        let addresses: BTreeMap<Name, Option<IpAddr>> = found
            .iter()
            .map(|container| (container.id.clone(), self.own_address(container)))
            .collect();
        let mut known = Vec::new();
        for container in found {
            let address = match container.network_mode.strip_prefix("container:") {
                Some(other) => self.address_of_other(other, &addresses).await?,
                None => addresses.get(&container.id).copied().flatten(),
            };
            known.extend(recognise(container, address, now));
        }
        known.sort_by(|one, other| one.seen.name.cmp(&other.seen.name));
        Ok(known)
    }

    async fn address_of_other(
        &self,
        other: &str,
        addresses: &BTreeMap<Name, Option<IpAddr>>,
    ) -> Result<Option<IpAddr>, DockerError> {
        let Ok(other) = other.parse::<Name>() else {
            return Ok(None);
        };
        if let Some(address) = addresses.get(&other) {
            return Ok(*address);
        }
        let found = if_found(self.engine.inspect_container(&other).await)?;
        Ok(found.and_then(|container| self.own_address(&container)))
    }

    /// The address at which the host reaches a container, always the same one of several: on the
    /// network of the standing services, else where it was told its address.
    fn own_address(&self, container: &Container) -> Option<IpAddr> {
        if container.network_mode == "host" {
            return Some(Ipv4Addr::LOCALHOST.into());
        }
        let standing = format!("{}-standing", self.owner.project);
        let with_address = container
            .networks
            .iter()
            .filter(|(_, endpoint)| endpoint.ipv4.is_some());
        let best = with_address
            .min_by_key(|(name, endpoint)| (**name != standing, endpoint.fixed_ipv4.is_none()));
        best.and_then(|(_, endpoint)| endpoint.ipv4)
    }

    /// The host's clock now. It is compared with ours once: both go on alike.
    async fn host_time(&self) -> Result<Timestamp, DockerError> {
        let ahead = self.clock.get_or_try_init(|| async {
            let before = Timestamp::now();
            let theirs = self.engine.time().await?;
            let after = Timestamp::now();
            let middle = before.duration_until(after) / 2;
            Ok::<_, DockerError>((before + middle).duration_until(theirs))
        });
        Ok(Timestamp::now() + *ahead.await?)
    }

    /// Sees to it that the container `index` of a service is there, whole and made from this
    /// release. Returns it; it may not run.
    pub(super) async fn make(
        &self,
        release: &Release,
        service: &ServiceName,
        index: u32,
    ) -> Result<Name, Failure> {
        let made = self.plan_container(release, service, index).await?;
        let fail = |error| of_service(of_docker(error), service);
        if let Some(found) =
            if_found(self.engine.inspect_container(&made.name).await).map_err(fail)?
        {
            if !self.is_ours(&found.labels) {
                return Err(of_service(self.not_ours(&made.name, &found), service));
            }
            if found.labels.get(label::HASH) == made.spec.labels.get(label::HASH) {
                return Ok(found.id);
            }
            self.remove(&found.id).await.map_err(fail)?;
        }
        self.finish(made).await.map_err(fail)
    }

    fn not_ours(&self, name: &Name, found: &Container) -> Failure {
        let whose = match (
            found.labels.get(label::PROJECT),
            found.labels.get(label::ENVIRONMENT),
        ) {
            (Some(project), Some(environment)) => {
                format!("belongs to the environment `{environment}` of the project `{project}`")
            }
            _ => "was not made by Lotse".to_owned(),
        };
        failed(format!(
            "the container `{name}` {whose}, and is left alone\n\
             hint: rename it, or give the project another name (`name:` in its compose file)"
        ))
    }

    /// Makes it under a name of its own first, so that what has its name is whole.
    async fn finish(&self, made: Made) -> Result<Name, DockerError> {
        let Made { name, spec, files } = made;
        let Ok(unfinished) = format!("{name}{UNFINISHED}").parse::<Name>() else {
            return Ok(self.engine.create_container(&name, &spec).await?.id);
        };
        let id = self.create_anew(&unfinished, &spec).await?;
        if let Some(files) = files {
            self.engine.copy_in(&id, "/", Archive::whole(files)).await?;
        }
        self.engine.rename_container(&id, &name).await?;
        Ok(id)
    }

    /// Makes a container in the place of one that somebody may have left, or may be making still:
    /// an engine goes on with a request when whoever asked is gone.
    pub(super) async fn create_anew(
        &self,
        name: &Name,
        spec: &ContainerSpec,
    ) -> Result<Name, DockerError> {
        let deadline = Instant::now() + STILL_MAKING;
        loop {
            self.remove(name).await?;
            match self.engine.create_container(name, spec).await {
                Err(error) if error.is_conflict() && Instant::now() < deadline => {}
                outcome => return outcome.map(|made| made.id),
            }
            sleep(PAUSE).await;
        }
    }

    /// Starts containers of a service, the missing ones made, and removes what is too much.
    pub(super) async fn ensure_running(
        &self,
        release: &Release,
        place: Place,
        service: &ServiceName,
    ) -> Result<Vec<Name>, Failure> {
        let fail = |error| of_service(of_docker(error), service);
        let member = release.services.get(service);
        let member = member.ok_or_else(|| {
            failed(format!(
                "release {} has no service {service}",
                release.number
            ))
        })?;
        let names: Vec<String> = (1..=member.replicas())
            .map(|index| release.container_name(service, index))
            .collect();
        for known in self.of_service(place, service).await.map_err(fail)? {
            if !names.contains(&known.seen.name) {
                self.remove(known.id()).await.map_err(fail)?;
            }
        }
        let mut ids = Vec::new();
        for index in 1..=member.replicas() {
            ids.push(self.make_and_start(release, service, index).await?);
        }
        Ok(ids)
    }

    /// Starts the container `index` of a service, made where it is missing, and made anew where the engine
    /// cannot start it any more.
    pub(super) async fn make_and_start(
        &self,
        release: &Release,
        service: &ServiceName,
        index: u32,
    ) -> Result<Name, Failure> {
        let fail = |error| of_service(of_docker(error), service);
        let id = self.make(release, service, index).await?;
        let Err(error) = self.engine.start_container(&id).await else {
            return Ok(id);
        };
        if !error.is_left_behind() || self.has_data_of_its_own(&id).await.map_err(fail)? {
            return Err(fail(error));
        }
        self.remove(&id).await.map_err(fail)?;
        let id = self.make(release, service, index).await?;
        self.engine.start_container(&id).await.map_err(fail)?;
        Ok(id)
    }

    /// Whether it has a volume without a name, which one in its place would not have.
    async fn has_data_of_its_own(&self, container: &Name) -> Result<bool, DockerError> {
        let found = if_found(self.engine.inspect_container(container).await)?;
        let mounts = found.into_iter().flat_map(|found| found.mounts);
        let mut volumes = mounts.filter_map(|mount| mount.volume);
        Ok(volumes.any(|volume| volume::is_anonymous(&volume)))
    }

    /// Stops containers, each with its own grace period, side by side.
    pub(super) async fn stop_all<'a>(
        &self,
        containers: impl Iterator<Item = &'a Known>,
    ) -> Result<(), Failure> {
        let up = containers.filter(|known| known.seen.is_up());
        let stopping = up.map(|known| async {
            let stopped = if_found(self.engine.stop_container(known.id(), None).await);
            stopped.map_err(|error| of_service(of_docker(error), &known.seen.service))
        });
        join_all(stopping)
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        Ok(())
    }

    /// Removes a container, if it is there. Volumes stay, also those without a name.
    pub(super) async fn remove(&self, name: &Name) -> Result<(), DockerError> {
        match if_found(self.engine.remove_container(name, Removal::Killed).await) {
            Ok(_) => Ok(()),
            // Somebody is removing it already: that is waited for.
            Err(error) if error.is_conflict() => {
                let gone = self
                    .engine
                    .wait_container(name, container::WaitFor::Removed);
                match tokio::time::timeout(Duration::from_secs(30), gone).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) if error.is_not_found() => Ok(()),
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// What a container is to a rollout; nothing when its labels do not say so, or it is on its way out.
fn recognise(container: Container, address: Option<IpAddr>, now: Timestamp) -> Option<Known> {
    let labels = &container.labels;
    let kind = match labels.get(label::KIND)?.as_str() {
        "released" => Kind::Released,
        "standing" => Kind::Standing,
        "once" => Kind::Once,
        _ => return None,
    };
    let place = match kind {
        Kind::Standing => Place::Standing,
        Kind::Released | Kind::Once => {
            Place::Stack(ReleaseNumber(labels.get(label::RELEASE)?.parse().ok()?))
        }
    };
    let since = match &container.state {
        container::State::Running { since, .. } => *since,
        _ => None,
    };
    let health = container.health.as_ref().map(|health| match health.status {
        HealthStatus::Starting => Health::Starting,
        HealthStatus::Healthy => Health::Healthy,
        HealthStatus::Unhealthy => Health::Unhealthy,
    });
    let seen = ContainerSeen {
        name: container.name.to_string(),
        service: labels.get(label::SERVICE)?.parse().ok()?,
        hash: labels.get(label::HASH)?.parse().ok()?,
        state: state(&container.state)?,
        health,
        restarts: u32::try_from(container.restarts).unwrap_or(u32::MAX),
        running_for: since.map(|since| span(since.duration_until(now))),
    };
    Some(Known {
        place,
        seen,
        address,
        container,
    })
}

fn state(state: &container::State) -> Option<State> {
    Some(match state {
        container::State::Created => State::Created,
        container::State::Running { .. } => State::Running,
        container::State::Paused => State::Paused,
        container::State::Restarting { .. } => State::Restarting,
        container::State::Exited { exit_code, .. } => State::Exited(*exit_code),
        container::State::Gone => return None,
    })
}

fn span(duration: SignedDuration) -> Span {
    Span::new(Duration::try_from(duration).unwrap_or_default())
}
