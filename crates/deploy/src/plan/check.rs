//! What stands against a rollout, found before any step.

use std::collections::BTreeSet;

use compose::project::{NetworkKind, Networking, VolumeKind};

use super::SeenHosts;
use super::adopt::Composed;
use crate::host::{HostSeen, Observed};
use crate::name::HostName;
use crate::policy::Policy;
use crate::problem::Problem;
use crate::release::{ImageFrom, Member, Release};
use crate::request::Request;

/// Hosts that are missing, named twice, or locked by somebody else.
pub(super) fn hosts(request: &Request, observed: &Observed) -> Vec<Problem> {
    let hosts = &request.environment.hosts;
    let mut problems = Vec::new();
    if hosts.is_empty() {
        problems.push(Problem::NoHosts);
    }
    let mut names = BTreeSet::new();
    for host in hosts {
        if !names.insert(host) {
            problems.push(Problem::HostTwice { host: host.clone() });
            continue;
        }
        match observed.get(host) {
            Some(Ok(seen)) => problems.extend(locked(request, host, seen)),
            Some(Err(why)) => problems.push(Problem::Unreachable {
                host: host.clone(),
                why: why.to_string(),
            }),
            None => problems.push(Problem::Unreachable {
                host: host.clone(),
                why: "nobody looked at it".to_owned(),
            }),
        }
    }
    problems
}

fn locked(request: &Request, host: &HostName, seen: &HostSeen) -> Option<Problem> {
    let lock = seen
        .lock
        .as_ref()
        .filter(|lock| lock.is_live() && lock.holder != request.holder)?;
    Some(Problem::Locked {
        host: host.clone(),
        holder: lock.holder.clone(),
        expires_in: lock.expires_in,
    })
}

/// What hosts do not have that the release needs.
pub(super) fn release(
    release: &Release,
    policy: &Policy,
    seen: &SeenHosts<'_>,
    composed: &Composed,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(health) = policy
        .health
        .as_ref()
        .filter(|health| release.health_port(health).is_none())
    {
        problems.push(Problem::HealthPort { port: health.port });
    }
    problems.extend(composed.nothing(seen));
    let needs = Needs::of(release);
    for (host, seen) in seen {
        problems.extend(ports(release, host, seen, composed));
        problems.extend(needs.missing(host, seen));
        problems.extend(images(release, host, seen));
    }
    problems
}

fn ports(release: &Release, host: &HostName, seen: &HostSeen, composed: &Composed) -> Vec<Problem> {
    let taken = |listen: &crate::release::Listen| {
        seen.ports
            .iter()
            .find(|taken| taken.listen.collides(listen))
    };
    let foreign = |listen: &crate::release::Listen| !composed.holds(seen, listen);
    let published = release.published().filter(|(_, _, listen)| foreign(listen));
    let problems = published.filter_map(|(_, _, listen)| {
        let by = taken(&listen)?.by.clone();
        Some(Problem::PortTaken {
            host: host.clone(),
            listen,
            by,
        })
    });
    problems.collect()
}

fn images(release: &Release, host: &HostName, seen: &HostSeen) -> Vec<Problem> {
    let local = release
        .services
        .iter()
        .filter(|(_, member)| member.image.from == ImageFrom::Host);
    let missing = local.filter(|(_, member)| !seen.images.contains(&member.image.digest));
    missing
        .map(|(service, member)| Problem::ImageNotThere {
            host: host.clone(),
            service: service.clone(),
            image: member.image.name.clone(),
        })
        .collect()
}

/// External networks and volumes that services mention.
struct Needs {
    networks: BTreeSet<String>,
    volumes: BTreeSet<String>,
}

impl Needs {
    fn of(release: &Release) -> Self {
        let networks = release.services.values().flat_map(networks);
        let external = networks.filter_map(|key| match &release.networks.get(key)?.kind {
            NetworkKind::External(name) => Some(name.clone()),
            NetworkKind::Own(_) => None,
        });
        let volumes = release
            .services
            .values()
            .flat_map(|member| super::prepare::mounted(&member.definition));
        let outside = volumes.filter_map(|(key, _)| match &release.volumes.get(key)?.kind {
            VolumeKind::External(name) => Some(name.clone()),
            VolumeKind::Own(_) => None,
        });
        Self {
            networks: external.collect(),
            volumes: outside.collect(),
        }
    }

    fn missing(&self, host: &HostName, seen: &HostSeen) -> Vec<Problem> {
        let networks = self
            .networks
            .iter()
            .filter(|name| !seen.networks.contains(*name));
        let networks = networks.map(|name| Problem::NetworkMissing {
            host: host.clone(),
            name: name.clone(),
        });
        let volumes = self
            .volumes
            .iter()
            .filter(|name| !seen.volumes.contains_key(*name));
        let volumes = volumes.map(|name| Problem::VolumeMissing {
            host: host.clone(),
            name: name.clone(),
        });
        networks.chain(volumes).collect()
    }
}

fn networks(member: &Member) -> impl Iterator<Item = &compose::project::NetworkName> {
    let networks = match &member.definition.networking {
        Networking::Networks(networks) => Some(networks.keys()),
        _ => None,
    };
    networks.into_iter().flatten()
}
