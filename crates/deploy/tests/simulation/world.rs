//! Hosts with engine, edge, lock and record; what steps do to them; what users see all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deploy::host::{EdgeSeen, LockSeen, RouteSeen};
use deploy::name::{Holder, HostName, ReleaseNumber};
use deploy::release::{ImageFrom, Kind, Place};
use deploy::span::Span;
use deploy::{
    Failure, FailureKind, Found, HostSeen, Ill, Look, Observed, Reason, Record, Release, Remains,
    Seen, StandingUpdate, Step, Switch, Unreached,
};
use model::Digest;

use crate::edge::{Edge, answer};
use crate::engine::{Engine, Volume, in_stack};

#[derive(Debug, Clone, Default)]
pub struct Host {
    pub engine: Engine,
    pub edge: Option<Edge>,
    pub lock: Option<(Holder, u64)>,
    pub record: Record,
    /// Steps fail while it is away.
    pub away: bool,
    /// Routes must be there from now on.
    pub in_service: bool,
}

#[derive(Debug, Clone, Default)]
pub struct World {
    pub now: u64,
    pub hosts: BTreeMap<HostName, Host>,
    /// Images that can be pulled.
    pub registry: BTreeSet<Digest>,
    /// Contents that must never vanish, by host and volume.
    data: BTreeMap<(HostName, String), String>,
    /// Moments at which users were looked after.
    pub checks: u64,
}

/// How much of a step is done before it is cut off.
pub struct Budget(pub usize);

impl Budget {
    pub fn all() -> Self {
        Self(usize::MAX)
    }

    fn spend(&mut self) -> Result<(), Failure> {
        if self.0 == 0 {
            return Err(failure("cut off"));
        }
        self.0 -= 1;
        Ok(())
    }
}

impl World {
    pub fn new(hosts: usize) -> Self {
        let names = (1..=hosts).map(|index| format!("ssh://deploy@web{index:02}").parse().unwrap());
        Self {
            hosts: names.map(|name| (name, Host::default())).collect(),
            now: 1000,
            ..Self::default()
        }
    }

    pub fn names(&self) -> Vec<HostName> {
        self.hosts.keys().cloned().collect()
    }

    pub fn observe(&self) -> Observed {
        let seen = |host: &Host| match host.away {
            true => Err(Unreached("no route to host".to_owned())),
            false => Ok(host.seen(self.now)),
        };
        self.hosts
            .iter()
            .map(|(name, host)| (name.clone(), seen(host)))
            .collect()
    }

    /// Carries out a step.
    pub fn apply<'r>(
        &mut self,
        name: &HostName,
        step: &Step,
        release: impl Fn(ReleaseNumber) -> Option<&'r Arc<Release>>,
        budget: &mut Budget,
    ) -> Result<Seen, Failure> {
        let (now, registry) = (self.now, &self.registry);
        let host = self.hosts.get_mut(name).unwrap();
        if host.away {
            return Err(Failure {
                kind: FailureKind::Unreachable,
                ..failure("no route to host")
            });
        }
        let definition =
            |number: ReleaseNumber| release(number).ok_or_else(|| failure("unknown release"));
        budget.spend()?;
        match step {
            Step::Lock(lease) => {
                if let Some((holder, until)) = &host.lock
                    && *until > now
                    && *holder != lease.holder
                {
                    let expires_in = Span::millis(until - now);
                    let kind = FailureKind::Locked {
                        holder: holder.clone(),
                        expires_in,
                    };
                    return Err(Failure {
                        kind,
                        ..failure("locked")
                    });
                }
                host.lock = Some((
                    lease.holder.clone(),
                    now + lease.length.get().as_millis() as u64,
                ));
                return Ok(Seen::Host(Box::new(host.seen(now))));
            }
            Step::Unlock { holder } => {
                host.lock.take_if(|(held, _)| held == holder);
            }
            Step::PlaceEdge { version } => host
                .edge
                .get_or_insert_default()
                .version
                .clone_from(version),
            Step::Record { entry } => {
                let definition = match entry {
                    deploy::Entry::Begin(intent) => Some(definition(intent.to)?),
                    _ => None,
                };
                host.record.enter(entry, definition);
                host.in_service |= host.record.in_force.is_some();
            }
            Step::Pull { image, .. } => {
                assert_eq!(image.from, ImageFrom::Registry);
                if !registry.contains(&image.digest) {
                    return Err(failure("manifest unknown"));
                }
                host.engine.images.insert(image.digest.clone());
            }
            Step::MakeNetwork { name, .. } => {
                host.engine.networks.insert(name.clone());
            }
            Step::MakeVolume { name, .. } => {
                host.engine.volumes.entry(name.clone()).or_default();
            }
            Step::FillVolume { name, release, .. } => {
                let volume = host.engine.volumes.entry(name.clone()).or_default();
                if !volume.seen.filled {
                    assert!(
                        host.engine
                            .containers
                            .iter()
                            .all(|found| !found.volumes.values().any(|used| used == name))
                    );
                    *volume = Volume::default();
                    budget.spend()?;
                    volume.data = Some(format!("files of {release}"));
                    budget.spend()?;
                    volume.seen.filled = true;
                }
            }
            Step::UpdateStanding(StandingUpdate {
                release,
                service,
                join,
                instead_of,
            }) => {
                let definition_of_it = definition(*release)?;
                if let Some(stack) = instead_of {
                    host.engine.stop(Place::Stack(*stack), service, now);
                }
                let hash = &definition_of_it.services[service].hash;
                if host
                    .engine
                    .of(Place::Standing, service)
                    .any(|found| found.hash != *hash)
                {
                    host.engine.stop(Place::Standing, service, now);
                    budget.spend()?;
                }
                host.engine
                    .ensure(definition_of_it, service, now)
                    .map_err(failure)?;
                budget.spend()?;
                for stack in join {
                    host.engine
                        .join(definition(*stack)?, service)
                        .map_err(failure)?;
                }
            }
            Step::Join { release, services } => {
                for service in services {
                    host.engine
                        .join(definition(*release)?, service)
                        .map_err(failure)?;
                    budget.spend()?;
                }
            }
            Step::RetireStanding { service } => host.engine.stop(Place::Standing, service, now),
            Step::RunOnce { release, service } => {
                let done = |found: &crate::engine::Container| {
                    found.state(now) == deploy::host::State::Exited(0)
                };
                if !host.engine.of(Place::Stack(*release), service).any(done) {
                    let definition = definition(*release)?;
                    let id = host
                        .engine
                        .ensure(definition, service, now)
                        .map_err(failure)?;
                    let container = host
                        .engine
                        .containers
                        .iter()
                        .find(|found| found.id == id)
                        .unwrap();
                    if let deploy::host::State::Exited(status @ 1..) = container.state(now) {
                        return Err(Failure {
                            kind: FailureKind::Exited(status),
                            message: format!("ended with {status}"),
                            service: Some(service.clone()),
                            last_lines: vec!["column exists".to_owned()],
                        });
                    }
                }
            }
            Step::Start { release, services } => {
                let definition = definition(*release)?;
                for service in services {
                    host.engine
                        .ensure(definition, service, now)
                        .map_err(failure)?;
                    budget.spend()?;
                }
            }
            Step::Probe { probes, .. } => {
                for probe in probes {
                    let leads_to = &probe.leads_to;
                    let found: Vec<_> = host.engine.of(leads_to.place, &leads_to.service).collect();
                    if found.is_empty() || !found.iter().all(|container| container.answers(now)) {
                        return Err(Failure {
                            service: Some(leads_to.service.clone()),
                            last_lines: vec!["listening on 127.0.0.1".to_owned()],
                            ..failure("connection refused")
                        });
                    }
                }
            }
            Step::Switch(Switch {
                routes, standby, ..
            }) => {
                let edge = host.edge.as_mut().ok_or_else(|| failure("no edge"))?;
                edge.set(
                    routes,
                    standby.get().as_millis() as u64,
                    &mut host.engine,
                    now,
                )
                .map_err(failure)?;
            }
            Step::Retire { release, waves, .. } => {
                let services = waves.iter().flatten();
                for service in services {
                    host.engine.stop(Place::Stack(*release), service, now);
                    budget.spend()?;
                }
                for container in &mut host.engine.containers {
                    container.stopped |=
                        in_stack(container.place, *release) && container.is_up(now);
                }
            }
            Step::RemoveStack(Remains {
                release,
                networks,
                images,
                volumes,
            }) => {
                let running = host
                    .engine
                    .containers
                    .iter()
                    .any(|found| in_stack(found.place, *release) && found.is_up(now));
                assert!(!running, "stack {release} is removed while it runs");
                host.engine
                    .containers
                    .retain(|found| !in_stack(found.place, *release));
                budget.spend()?;
                for network in networks {
                    for container in &mut host.engine.containers {
                        container.networks.remove(network);
                    }
                    host.engine.networks.remove(network);
                    budget.spend()?;
                }
                for image in images {
                    let used = host
                        .engine
                        .containers
                        .iter()
                        .any(|found| found.image == image.digest);
                    assert!(!used, "the image {} is in use", image.name);
                    host.engine.images.remove(&image.digest);
                }
                assert!(volumes.is_empty(), "nobody named a volume");
            }
            Step::SetAside { .. } | Step::BringBack { .. } => {
                unreachable!("nothing is taken over here")
            }
            Step::Await { .. } | Step::Watch { .. } | Step::Wait { .. } => {}
        }
        Ok(Seen::Nothing)
    }

    pub fn look(&self, name: &HostName) -> Result<Look, Failure> {
        let host = &self.hosts[name];
        if host.away {
            return Err(Failure {
                kind: FailureKind::Unreachable,
                ..failure("no route to host")
            });
        }
        let found = host
            .engine
            .containers
            .iter()
            .filter(|found| found.kind != Kind::Once)
            .map(|container| Found {
                place: container.place,
                container: container.seen(self.now),
                last_lines: match container.is_up(self.now) {
                    true => Vec::new(),
                    false => vec![format!("{}: Traceback", container.service)],
                },
            });
        let ill = host
            .edge
            .iter()
            .flat_map(|edge| &edge.ill)
            .map(|leads_to| Ill {
                service: leads_to.service.clone(),
                reason: Reason::NoAnswer("connection refused".to_owned()),
                last_lines: Vec::new(),
            });
        Ok(Look {
            containers: found.collect(),
            ill: ill.collect(),
        })
    }

    /// Lets time pass, and users look.
    pub fn pass(&mut self, millis: u64) {
        let (begin, end) = (self.now, self.now + millis);
        while self.now < end {
            let pause = if self.now < begin + 3000 { 50 } else { 1000 };
            self.now = end.min(self.now + pause);
            self.look_around();
        }
    }

    /// Every port of every host is served by one healthy stack.
    pub fn look_around(&mut self) {
        self.checks += 1;
        for (name, host) in &mut self.hosts {
            if let Some(edge) = &mut host.edge {
                edge.tick(&host.engine, self.now);
            }
            host.check_users(name, self.now);
        }
    }

    /// After a step: names mean one thing, data stays.
    pub fn check(&mut self) {
        self.look_around();
        for (name, host) in &self.hosts {
            host.engine.check_names(self.now);
            host.engine.check_writers(self.now);
            for (volume, content) in &host.engine.volumes {
                let shared = !volume.contains("-r");
                if let Some(data) = content
                    .data
                    .as_ref()
                    .filter(|_| content.seen.filled || shared)
                {
                    self.data
                        .entry((name.clone(), volume.clone()))
                        .or_insert_with(|| data.clone());
                }
            }
        }
        for ((host, volume), data) in &self.data {
            let there = self.hosts[host]
                .engine
                .volumes
                .get(volume)
                .and_then(|volume| volume.data.as_ref());
            assert_eq!(there, Some(data), "{volume} of {host} has lost its data");
        }
    }
}

impl Host {
    fn check_users(&self, name: &HostName, now: u64) {
        let Some(edge) = &self.edge else { return };
        assert!(
            !self.in_service || !edge.routes.is_empty(),
            "{name} has closed its ports"
        );
        let stacks: BTreeSet<Place> = edge
            .routes
            .values()
            .map(|(leads_to, _)| leads_to.place)
            .collect();
        let stacks: Vec<_> = stacks
            .into_iter()
            .filter(|place| *place != Place::Standing)
            .collect();
        assert!(stacks.len() <= 1, "{name} serves a mixed pair: {stacks:?}");
        // What must not run twice is away while it is replaced.
        let in_stacks = edge
            .routes
            .iter()
            .filter(|(_, (leads_to, _))| leads_to.place != Place::Standing);
        for (listen, (leads_to, targets)) in in_stacks {
            let well = answer(&self.engine, targets, now);
            assert!(
                well,
                "port {listen} of {name} gets no answer from {} of {} at {now}",
                leads_to.service, leads_to.place
            );
        }
    }

    fn seen(&self, now: u64) -> HostSeen {
        let mut seen = HostSeen {
            edge: self.edge.as_ref().map(|edge| EdgeSeen {
                version: edge.version.clone(),
                running: true,
                routes: edge
                    .routes
                    .iter()
                    .map(|(listen, (leads_to, targets))| {
                        let found = self
                            .engine
                            .of(leads_to.place, &leads_to.service)
                            .filter(|found| found.is_up(now));
                        let exact = found.map(|found| found.id).collect::<Vec<_>>() == *targets;
                        RouteSeen {
                            listen: listen.clone(),
                            leads_to: exact.then(|| leads_to.clone()),
                        }
                    })
                    .collect(),
            }),
            lock: self.lock.as_ref().map(|(holder, until)| LockSeen {
                holder: holder.clone(),
                expires_in: Span::millis(until.saturating_sub(now)),
            }),
            record: self.record.clone(),
            networks: self.engine.networks.clone(),
            volumes: self
                .engine
                .volumes
                .iter()
                .map(|(name, volume)| (name.clone(), volume.seen.clone()))
                .collect(),
            images: self.engine.images.clone(),
            ..HostSeen::default()
        };
        for container in &self.engine.containers {
            let found = container.seen(now);
            match container.place {
                Place::Stack(number) => seen.stacks.entry(number).or_default().push(found),
                Place::Standing => seen
                    .standing
                    .entry(container.service.clone())
                    .or_default()
                    .push(found),
            }
        }
        seen
    }
}

pub fn failure(message: impl Into<String>) -> Failure {
    Failure {
        kind: FailureKind::Failed,
        message: message.into(),
        service: None,
        last_lines: Vec::new(),
    }
}
