//! The plan of each host, put together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::adopt::Composed;
use super::target::Target;
use super::{HostPlan, Note, Plan, PlannedStep, SeenHosts, note};
use crate::host::{ContainerSeen, Health, HostSeen, State};
use crate::name::{HostName, ReleaseNumber};
use crate::policy::Policy;
use crate::record::{Intent, Way};
use crate::release::{Kind, LeadsTo, Listen, Release, Route};
use crate::request::Request;

/// Where the plan of one host is made: all that its parts look at.
pub(super) struct Site<'a> {
    pub(super) host: &'a HostName,
    pub(super) seen: &'a HostSeen,
    pub(super) to: &'a Release,
    pub(super) from: Option<ReleaseNumber>,
    pub(super) before: &'a [ReleaseNumber],
    pub(super) releases: &'a BTreeMap<ReleaseNumber, Arc<Release>>,
    pub(super) policy: &'a Policy,
    pub(super) intent: Intent,
    pub(super) edge: &'a str,
    /// Whether once-services are run here.
    pub(super) once: bool,
    /// The routes to the release.
    pub(super) routes: Vec<Route>,
    /// What is taken over.
    pub(super) composed: &'a Composed,
}

/// Plans for all hosts.
pub(super) fn plan(
    request: &Request,
    policy: Policy,
    target: Target,
    seen: &SeenHosts<'_>,
    composed: &Composed,
) -> Plan {
    let Target {
        release,
        intent,
        interrupted,
        from,
        before,
        known: mut releases,
    } = target;
    releases
        .entry(release.number)
        .or_insert_with(|| Arc::clone(&release));
    let once = intent.way == Way::Deploy && once_is_open(&release, seen);
    let routes = release.routes(policy.health.as_ref());
    let mut notes = Vec::new();
    notes.extend(interrupted.map(|intent| Note::CutOff { intent }));
    let mut hosts = Vec::new();
    for (index, ((host, seen), from)) in seen.iter().zip(from).enumerate() {
        let site = Site {
            host,
            seen,
            to: &release,
            from,
            before: &before,
            releases: &releases,
            policy: &policy,
            intent,
            edge: &request.edge,
            once: once && index == 0,
            routes: routes.clone(),
            composed,
        };
        notes.extend(site.notes());
        hosts.push(site.plan());
    }
    if hosts.iter().any(|host| !host.roll.is_empty()) {
        notes.extend(note::of(&release));
    }
    let mut unique: Vec<Note> = Vec::new();
    for note in notes {
        if !unique.contains(&note) {
            unique.push(note);
        }
    }
    Plan {
        environment: request.name.clone(),
        intent,
        batches: batches(&hosts, policy.parallelism),
        policy,
        hosts,
        notes: unique,
        releases,
    }
}

/// Whether once-services have not run to success yet, on any host.
fn once_is_open(release: &Release, seen: &SeenHosts<'_>) -> bool {
    let done = |service| {
        let mut hosts = seen.iter();
        hosts.any(|(_, seen)| {
            seen.stack(release.number, service)
                .any(|found| found.state == State::Exited(0))
        })
    };
    let in_force = seen
        .iter()
        .any(|(_, seen)| seen.record.in_force == Some(release.number));
    !in_force
        && release
            .of_kind(Kind::Once)
            .any(|(service, _)| !done(service))
}

fn batches(hosts: &[HostPlan], parallelism: u32) -> Vec<Vec<HostName>> {
    let changing: Vec<HostName> = hosts
        .iter()
        .filter(|host| !host.roll.is_empty())
        .map(|host| host.host.clone())
        .collect();
    let size = match parallelism {
        0 => changing.len().max(1),
        size => size as usize,
    };
    changing.chunks(size).map(<[HostName]>::to_vec).collect()
}

impl Site<'_> {
    fn plan(&self) -> HostPlan {
        let finish = self.finish();
        let mut prepare: Vec<PlannedStep> = self.edge_step().into_iter().collect();
        if !finish.is_empty() {
            prepare.extend(self.prepare());
        }
        HostPlan {
            host: self.host.clone(),
            from: self.from,
            begun: self.is_begun(),
            once: self.once_steps(),
            roll: self.roll(),
            commit: self.commit(),
            finish,
            back: self.back(),
            clear: self.clear(),
            prepare,
        }
    }

    fn notes(&self) -> Vec<Note> {
        let mut notes: Vec<Note> = self.port_gap().into_iter().collect();
        if let Some(lock) = self.seen.lock.as_ref().filter(|lock| !lock.is_live()) {
            notes.push(Note::DeadLock {
                host: self.host.clone(),
                holder: lock.holder.clone(),
            });
        }
        for (service, _) in self.to.of_kind(Kind::Standing) {
            let there = self
                .seen
                .standing
                .get(service)
                .is_some_and(|found| found.iter().any(ContainerSeen::is_up));
            if (there || self.is_composed(service)) && !self.standing_fits(service) {
                notes.push(Note::Gap {
                    service: service.clone(),
                });
            }
        }
        if let Some(release) = self.from.filter(|from| !self.releases.contains_key(from)) {
            notes.push(Note::NoWayBack {
                host: self.host.clone(),
                release,
            });
        }
        notes
    }

    /// The release before, where it is another one and known.
    pub(super) fn former(&self) -> Option<&Release> {
        self.from
            .filter(|from| *from != self.to.number)
            .and_then(|from| self.releases.get(&from))
            .map(Arc::as_ref)
    }

    /// Whether the host has been through a whole rollout of this release.
    pub(super) fn is_proved(&self) -> bool {
        self.seen.record.in_force == Some(self.to.number)
    }

    /// Whether all of the release runs, and all traffic goes there.
    pub(super) fn is_in_place(&self) -> bool {
        let released = self.to.names_of(Kind::Released);
        let mut standing = self.to.of_kind(Kind::Standing);
        self.routes_fit()
            && released.iter().all(|service| self.stack_fits(service))
            && standing.all(|(service, _)| self.standing_fits(service))
    }

    pub(super) fn edge_fits(&self) -> bool {
        let edge = self.seen.edge.as_ref();
        edge.is_some_and(|edge| edge.running && edge.version == self.edge)
    }

    pub(super) fn routes_fit(&self) -> bool {
        let wanted: BTreeSet<(&Listen, Option<&LeadsTo>)> = self
            .routes
            .iter()
            .map(|route| (&route.listen, Some(&route.leads_to)))
            .collect();
        let found = self
            .seen
            .routes()
            .map(|route| (&route.listen, route.leads_to.as_ref()))
            .collect();
        wanted == found
    }

    /// Whether the containers of a service of the new stack are there and well.
    pub(super) fn stack_fits(&self, service: &compose::project::ServiceName) -> bool {
        let found: Vec<&ContainerSeen> = self.seen.stack(self.to.number, service).collect();
        self.fits(self.to, service, &found)
    }

    pub(super) fn standing_fits(&self, service: &compose::project::ServiceName) -> bool {
        let found: Vec<&ContainerSeen> = self
            .seen
            .standing
            .get(service)
            .into_iter()
            .flatten()
            .collect();
        self.fits(self.to, service, &found)
    }

    fn fits(
        &self,
        release: &Release,
        service: &compose::project::ServiceName,
        found: &[&ContainerSeen],
    ) -> bool {
        let Some(member) = release.services.get(service) else {
            return false;
        };
        let is_job = release.jobs().contains(service);
        let well = |container: &&ContainerSeen| match container.state {
            State::Running => matches!(container.health, None | Some(Health::Healthy)),
            State::Exited(0) => is_job,
            _ => false,
        };
        found.len() == member.replicas() as usize
            && found.iter().all(|container| container.hash == member.hash)
            && found.iter().all(well)
    }

    /// Whether the host is not as the release before left it: a rollout that was cut off has been
    /// at work here, of this release or of another one.
    fn is_begun(&self) -> bool {
        if self.from == Some(self.to.number) {
            return false;
        }
        if self.is_half_adopted() {
            return true;
        }
        let serving = self.seen.serving();
        let at_work = serving == Some(self.to.number) || self.seen.is_stack_up(self.to.number);
        match (self.from, self.former()) {
            (Some(_), None) => at_work,
            (_, former) => at_work || !self.serves_as(former) || !self.stands_as(former),
        }
    }

    fn serves_as(&self, former: Option<&Release>) -> bool {
        let ports = |release: &Release| {
            let mut published = release.published();
            published.any(|(service, ..)| release.services[service].kind() == Kind::Released)
        };
        let wanted = former
            .filter(|former| ports(former))
            .map(|former| former.number);
        self.seen.serving() == wanted
    }

    fn stands_as(&self, former: Option<&Release>) -> bool {
        let hash = |service| {
            let member = former?.services.get(service)?;
            (member.kind() == Kind::Standing).then_some(&member.hash)
        };
        let mut up = self
            .seen
            .standing
            .values()
            .flatten()
            .filter(|found| found.is_up());
        up.all(|found| hash(&found.service) == Some(&found.hash))
    }
}
