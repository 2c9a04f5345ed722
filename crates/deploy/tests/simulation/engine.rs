//! A container engine: containers that behave as their images were told to, volumes, networks.

use std::collections::{BTreeMap, BTreeSet};

use compose::project::{ServiceName, VolumeName};
use deploy::Release;
use deploy::host::{ContainerSeen, Health, State, VolumeSeen};
use deploy::name::ReleaseNumber;
use deploy::release::{Kind, Place};
use deploy::span::Span;
use model::Digest;

/// How containers of an image behave. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Fine,
    /// Ends with this status, so long after its start.
    Exits(u64, i64),
    NeverHealthy,
    /// Nobody listens at its port, or what answers is an error.
    NoAnswer,
    /// Ends so long after it got traffic.
    CrashesInService(u64),
    /// Is well so long after its start.
    Slow(u64),
}

#[derive(Debug, Clone)]
pub struct Container {
    /// Never given twice.
    pub id: u64,
    pub name: String,
    pub place: Place,
    pub kind: Kind,
    pub service: ServiceName,
    pub hash: Digest,
    pub image: Digest,
    pub has_check: bool,
    pub behaviour: Behaviour,
    pub started: Option<u64>,
    pub stopped: bool,
    pub in_service: Option<u64>,
    pub networks: BTreeMap<String, Vec<String>>,
    pub volumes: BTreeMap<VolumeName, String>,
}

impl Container {
    pub fn state(&self, now: u64) -> State {
        let Some(started) = self.started else {
            return State::Created;
        };
        if self.stopped {
            return State::Exited(143);
        }
        if self.kind == Kind::Once {
            return State::Exited(match self.behaviour {
                Behaviour::Exits(_, status) => status,
                _ => 0,
            });
        }
        match self.behaviour {
            Behaviour::Exits(after, status) if now - started >= after => State::Exited(status),
            Behaviour::CrashesInService(after)
                if self.in_service.is_some_and(|since| now - since >= after) =>
            {
                State::Exited(139)
            }
            _ => State::Running,
        }
    }

    pub fn is_up(&self, now: u64) -> bool {
        self.state(now) == State::Running
    }

    pub fn health(&self, now: u64) -> Option<Health> {
        let running_for = now - self.started.filter(|_| self.has_check)?;
        Some(match self.behaviour {
            Behaviour::NeverHealthy if running_for > 2000 => Health::Unhealthy,
            Behaviour::NeverHealthy => Health::Starting,
            Behaviour::Slow(time) if running_for < time => Health::Starting,
            _ if running_for < 200 => Health::Starting,
            _ => Health::Healthy,
        })
    }

    /// Whether it answers a user.
    pub fn answers(&self, now: u64) -> bool {
        self.is_up(now)
            && matches!(self.health(now), None | Some(Health::Healthy))
            && self.behaviour != Behaviour::NoAnswer
    }

    pub fn seen(&self, now: u64) -> ContainerSeen {
        ContainerSeen {
            name: self.name.clone(),
            service: self.service.clone(),
            hash: self.hash.clone(),
            state: self.state(now),
            health: self.health(now),
            restarts: 0,
            running_for: self
                .started
                .filter(|_| self.is_up(now))
                .map(|started| Span::millis(now - started)),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Volume {
    pub seen: VolumeSeen,
    pub data: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Engine {
    pub containers: Vec<Container>,
    pub networks: BTreeSet<String>,
    pub volumes: BTreeMap<String, Volume>,
    pub images: BTreeSet<Digest>,
    pub behaviours: BTreeMap<Digest, Behaviour>,
    pub last_id: u64,
}

impl Engine {
    pub fn of(&self, place: Place, service: &ServiceName) -> impl Iterator<Item = &Container> {
        let matches =
            move |container: &&Container| container.place == place && container.service == *service;
        self.containers.iter().filter(matches)
    }

    /// Makes sure that a container of the release's definition is there and runs. Removes others.
    pub fn ensure(
        &mut self,
        release: &Release,
        service: &ServiceName,
        now: u64,
    ) -> Result<u64, String> {
        let member = &release.services[service];
        let blueprint = release.blueprint(service, 1).unwrap();
        let place = place(release, service);
        self.containers.retain(|found| {
            let same = found.place == place && found.service == *service;
            !same || found.hash == member.hash && found.kind != Kind::Once
        });
        let there = self
            .containers
            .iter_mut()
            .find(|found| found.place == place && found.service == *service);
        if let Some(found) = there {
            if !found.is_up(now) {
                found.started = Some(now);
                found.stopped = false;
                found.in_service = None;
                self.last_id += 1;
                found.id = self.last_id;
            }
            return Ok(found.id);
        }
        if !self.images.contains(&member.image.digest) {
            return Err(format!("no image {}", member.image.name));
        }
        let networks: BTreeMap<_, _> = blueprint
            .networks
            .iter()
            .map(|at| (at.network.clone(), at.aliases.clone()))
            .collect();
        for network in networks.keys() {
            if !self.networks.contains(network) {
                return Err(format!("no network {network}"));
            }
        }
        for (key, name) in &blueprint.volumes {
            let volume = self
                .volumes
                .get_mut(name)
                .ok_or(format!("no volume {name}"))?;
            if release.volume_is_own(key) {
                assert!(volume.seen.filled, "{name} is used before it was filled");
            } else {
                volume
                    .data
                    .get_or_insert_with(|| format!("rows of {service}"));
            }
        }
        self.last_id += 1;
        self.containers.push(Container {
            id: self.last_id,
            place,
            kind: member.kind(),
            service: service.clone(),
            hash: member.hash.clone(),
            image: member.image.digest.clone(),
            has_check: member.definition.healthcheck.is_some(),
            behaviour: self
                .behaviours
                .get(&member.image.digest)
                .copied()
                .unwrap_or(Behaviour::Fine),
            started: Some(now),
            stopped: false,
            in_service: None,
            networks,
            volumes: blueprint
                .volumes
                .iter()
                .map(|(key, name)| ((*key).clone(), name.clone()))
                .collect(),
            name: blueprint.name,
        });
        Ok(self.last_id)
    }

    pub fn join(&mut self, release: &Release, service: &ServiceName) -> Result<(), String> {
        for attachment in release.stack_attachments(service) {
            if !self.networks.contains(&attachment.network) {
                return Err(format!("no network {}", attachment.network));
            }
            let standing = self
                .containers
                .iter_mut()
                .filter(|found| found.place == Place::Standing);
            for container in standing.filter(|found| found.service == *service) {
                container
                    .networks
                    .insert(attachment.network.clone(), attachment.aliases.clone());
            }
        }
        Ok(())
    }

    pub fn stop(&mut self, place: Place, service: &ServiceName, now: u64) {
        let found = self
            .containers
            .iter_mut()
            .filter(|found| found.place == place && found.service == *service);
        for container in found.filter(|container| container.is_up(now)) {
            container.stopped = true;
        }
    }

    /// In the network of a release, a name means containers of that release only.
    pub fn check_names(&self, now: u64) {
        let up = || {
            self.containers
                .iter()
                .filter(|container| container.is_up(now))
        };
        for asker in up().filter(|asker| asker.place != Place::Standing) {
            for found in up().filter(|found| found.place != Place::Standing) {
                let name = found.service.as_str();
                let known = found.networks.iter().any(|(network, aliases)| {
                    asker.networks.contains_key(network)
                        && aliases.iter().any(|alias| alias == name)
                });
                assert!(
                    !known || asker.place == found.place,
                    "{} finds {} under `{name}`",
                    asker.name,
                    found.name
                );
            }
        }
    }

    /// A standing service has one container, and nobody else writes to its volume.
    pub fn check_writers(&self, now: u64) {
        let mut writers: BTreeMap<&str, &str> = BTreeMap::new();
        for container in self
            .containers
            .iter()
            .filter(|container| container.is_up(now))
        {
            for (key, name) in container
                .volumes
                .iter()
                .filter(|(key, _)| key.as_str() == "rows")
            {
                let other = writers.insert(name, &container.name);
                assert!(
                    other.is_none(),
                    "{other:?} and {} both write to {key}",
                    container.name
                );
            }
        }
    }
}

pub fn place(release: &Release, service: &ServiceName) -> Place {
    match release.services[service].kind() {
        Kind::Standing => Place::Standing,
        Kind::Released | Kind::Once => Place::Stack(release.number),
    }
}

pub fn in_stack(place: Place, number: ReleaseNumber) -> bool {
    place == Place::Stack(number)
}
