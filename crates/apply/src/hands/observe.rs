//! What is on a host, gathered from its engine and from what is kept there. Nothing is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use deploy::host::{EdgeSeen, PortTaken, RouteSeen, VolumeSeen};
use deploy::release::{LeadsTo, Listen, Place};
use deploy::{HostSeen, Record, Unreached};
use docker::container::ContainerSummary;
use docker::network::Network;
use docker::{DockerError, Filter};
use futures_util::future::try_join;
use model::Digest;

use super::Hands;
use super::composed;
use super::containers::Known;
use super::failure::text_of;
use super::traffic::listen_at;
use super::volume::is_filled;
use crate::keep::{Ask, KeepError, Kept};

impl Hands {
    /// What is on the host. Changes nothing there.
    ///
    /// # Errors
    /// Why it could not be looked at.
    pub async fn observe(&self) -> Result<HostSeen, Unreached> {
        let kept = self
            .kept()
            .await
            .map_err(|error| Unreached(text_of(&error)))?;
        let seen = self.seen(kept).await;
        seen.map_err(|error| Unreached(text_of(&error)))
    }

    /// What is kept; nothing where there is no edge. One that was stopped keeps all the same, but
    /// nobody can ask it, so that is an error: a host must not look new when it is not.
    async fn kept(&self) -> Result<Option<Kept>, KeepError> {
        match self.keeper.ask(&Ask::Look(self.owner.clone())).await {
            Ok(kept) => Ok(Some(kept)),
            Err(KeepError::NoEdge(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn seen(&self, kept: Option<Kept>) -> Result<HostSeen, DockerError> {
        let everything = self.engine.list_containers(Filter::all());
        let (known, everything) = try_join(self.known(), everything).await?;
        let networks = self.engine.list_networks(Filter::all()).await?;
        let volumes = self.engine.list_volumes(Filter::all()).await?;
        let mut seen = HostSeen {
            networks: self.whole_networks(networks),
            images: self.images().await?,
            ..HostSeen::default()
        };
        let kept = kept.inspect(|kept| {
            seen.lock.clone_from(&kept.lock);
            seen.record = kept.record.clone();
        });
        let fills = kept.as_ref().map(|kept| &kept.fills);
        for volume in volumes {
            let filled = fills.is_some_and(|fills| is_filled(&volume, fills));
            let name = volume.name.to_string();
            seen.volumes.insert(name, VolumeSeen { filled });
        }
        let status = kept.as_ref().and_then(|kept| kept.edge.clone());
        let status: Option<edge::Status> =
            status.and_then(|status| serde_json::from_value(status).ok());
        seen.composed = self.composed(&everything).await?;
        seen.ports = self.ports(&everything, kept.as_ref(), status.as_ref());
        seen.edge = kept.map(|_| match status {
            Some(status) => EdgeSeen {
                running: true,
                routes: self.routes(&status, &known, &seen.record),
                version: status.version,
            },
            None => EdgeSeen {
                version: String::new(),
                running: false,
                routes: Vec::new(),
            },
        });
        for known in known {
            let Known {
                place, seen: found, ..
            } = known;
            match place {
                Place::Stack(number) => seen.stacks.entry(number).or_default().push(found),
                Place::Standing => {
                    let service = found.service.clone();
                    seen.standing.entry(service).or_default().push(found);
                }
            }
        }
        Ok(seen)
    }

    /// Names of networks. One of ours that is there twice is yet to be mended, by making it.
    fn whole_networks(&self, networks: Vec<Network>) -> BTreeSet<String> {
        let mut ours = BTreeSet::new();
        let mut twice = BTreeSet::new();
        for network in networks
            .iter()
            .filter(|network| self.is_ours(&network.labels))
        {
            if !ours.insert(network.name.clone()) {
                twice.insert(network.name.clone());
            }
        }
        let names = networks.into_iter().map(|network| network.name);
        names.filter(|name| !twice.contains(name)).collect()
    }

    async fn images(&self) -> Result<BTreeSet<Digest>, DockerError> {
        let images = self.engine.list_images(Filter::all()).await?;
        let mut digests = BTreeSet::new();
        for image in images {
            let by_digest = image.digests.iter();
            digests.extend(by_digest.filter_map(|name| name.split_once('@')?.1.parse().ok()));
            digests.insert(image.id);
        }
        Ok(digests)
    }

    fn routes(&self, status: &edge::Status, known: &[Known], record: &Record) -> Vec<RouteSeen> {
        let ours = |route: &&edge::RouteStatus| route.owner.as_ref() == Some(&self.route_owner());
        let routes = status.routes.iter().filter(ours);
        routes
            .map(|route| RouteSeen {
                listen: as_written(route.route.listen.0, record),
                leads_to: leads_to(route, known),
            })
            .collect()
    }

    /// Ports that others have: containers that publish them, others' routes of the edge, and
    /// processes of the host.
    fn ports(
        &self,
        containers: &[ContainerSummary],
        kept: Option<&Kept>,
        status: Option<&edge::Status>,
    ) -> Vec<PortTaken> {
        let mut taken: BTreeMap<Listen, String> = BTreeMap::new();
        for container in containers {
            let ours = self.is_ours(&container.labels);
            for published in container.ports.iter().filter(|_| !ours) {
                taken.insert(listen(*published), title(container));
            }
        }
        let routes = status.map_or(&[][..], |status| &status.routes);
        let others = routes
            .iter()
            .filter(|route| route.owner.as_ref() != Some(&self.route_owner()));
        for route in others {
            let by = match &route.owner {
                Some(owner) => format!("the edge, for {owner}"),
                None => "the edge, as it was told with `lotse edge set`".to_owned(),
            };
            taken.insert(listen(route.route.listen.0), by);
        }
        let at_edge: BTreeSet<Listen> = routes
            .iter()
            .map(|route| listen(route.route.listen.0))
            .collect();
        let listening = kept.map_or(&[][..], |kept| &kept.listening);
        for address in listening.iter().map(|address| listen(*address)) {
            let known = at_edge.iter().chain(taken.keys());
            if !known.into_iter().any(|known| known.collides(&address)) {
                taken.insert(address, "a process of the host".to_owned());
            }
        }
        let taken = taken.into_iter();
        taken.map(|(listen, by)| PortTaken { listen, by }).collect()
    }
}

/// Where a route leads: the one service whose running containers are exactly its targets.
fn leads_to(route: &edge::RouteStatus, known: &[Known]) -> Option<LeadsTo> {
    let targets: BTreeSet<SocketAddr> = route.targets.iter().map(|target| target.address).collect();
    let one = targets.first()?;
    let mut running = known.iter().filter(|known| known.is_running());
    let first = running.find(|known| known.address == Some(one.ip()))?;
    let all = known
        .iter()
        .filter(|known| known.is_of(first.place, &first.seen.service) && known.is_running());
    let addresses: Option<BTreeSet<SocketAddr>> = all
        .map(|known| Some(SocketAddr::new(known.address?, one.port())))
        .collect();
    (addresses? == targets).then(|| LeadsTo {
        place: first.place,
        service: first.seen.service.clone(),
        target: one.port(),
    })
}

/// As compose files have it: no address means all.
pub(super) fn listen(address: SocketAddr) -> Listen {
    let any = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    Listen {
        ip: (!any).then(|| address.ip().to_string()),
        port: address.port(),
    }
}

/// As the releases that the host knows have it: an address can be written in several ways.
fn as_written(address: SocketAddr, record: &Record) -> Listen {
    let releases = record.releases.values().map(|kept| &kept.release);
    let routes = releases.flat_map(|release| release.routes(None));
    let mut written = routes.map(|route| route.listen);
    let same = |listen: &Listen| listen_at(listen).is_ok_and(|at| at.0 == address);
    written.find(same).unwrap_or_else(|| listen(address))
}

fn title(container: &ContainerSummary) -> String {
    let project = container.labels.get(composed::PROJECT);
    match project {
        Some(project) => format!(
            "the container `{}` of the compose project `{project}`",
            container.name
        ),
        None => format!("the container `{}`", container.name),
    }
}
