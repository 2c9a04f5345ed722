//! Networks, and which address a container has there.
//!
//! The edge's targets are addresses. Those that an engine gives by itself may be swapped when
//! containers or the engine restart, so in networks of ours each container is told its own: counted
//! from the services of the release, or, where containers of several releases meet, the lowest that
//! nobody has. The upper half of each range is left to the engine, for others that join.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use compose::project::{NetworkKind, OwnNetwork, ServiceName};
use deploy::release::{self, label};
use deploy::{Failure, NetworkLike, Release};
use docker::container::spec::Attachment;
use docker::network::{Network, NetworkSpec, Subnet};
use docker::{DockerError, Filter, Name, if_found};

use super::Hands;
use super::failure::{failed, of_docker, of_service, text_of};
use crate::container;

/// Marks a network whose range was stated, so that addresses in it can be.
const STATED: &str = "lotse.addresses";
/// Behind the name of a network that only shows which range is free.
const SAMPLE: &str = ".sample";
/// So often a range can be lost to somebody else.
const TRIES: usize = 5;

impl Hands {
    pub(super) async fn make_network(
        &self,
        name: &str,
        release: &Release,
        like: &NetworkLike,
    ) -> Result<(), Failure> {
        let network = name_of(name)?;
        if let Some(found) = self.only_one(&network).await.map_err(of_docker)? {
            return self.check_network(&found, release, like);
        }
        let own = match like {
            NetworkLike::Plain => OwnNetwork::default(),
            NetworkLike::Key(key) => match release.networks.get(key).map(|network| &network.kind) {
                Some(NetworkKind::Own(own)) => own.clone(),
                Some(NetworkKind::External(_)) | None => {
                    return Err(failed(format!(
                        "the network `{name}` is not there, and release {} does not say what it is",
                        release.number
                    )));
                }
            },
        };
        let mut spec = self.network_spec(&own);
        if self.is_of_release(name, release) {
            let number = release.number.to_string();
            spec.labels.insert(label::RELEASE.to_owned(), number);
        }
        let made = match can_be_stated(&spec) {
            true => self.make_stated(&network, &spec).await,
            false => self.create_network(&network, &spec).await,
        };
        made.map_err(of_docker)?;
        self.only_one(&network).await.map_err(of_docker)?;
        Ok(())
    }

    /// The network of this name. Engines make two of one name when they are asked twice at the same
    /// moment, such as by somebody who was cut off and by whoever comes next: then the first stays.
    async fn only_one(&self, name: &Name) -> Result<Option<Network>, DockerError> {
        let mut named = self.networks_named(name).await?.into_iter();
        let first = named.next();
        for other in named {
            if_found(self.engine.remove_network(&other.id).await)?;
        }
        Ok(first)
    }

    /// All networks of exactly this name, the oldest first.
    async fn networks_named(&self, name: &Name) -> Result<Vec<Network>, DockerError> {
        let like = Filter::all().with("name", name.as_str());
        let mut named = self.engine.list_networks(like).await?;
        named.retain(|network| network.name == name.as_str());
        named.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
        Ok(named)
    }

    fn is_of_release(&self, name: &str, release: &Release) -> bool {
        name.starts_with(&format!("{}-r{}-", release.project, release.number))
    }

    /// A network under the name of one of ours that is not ours would let strangers in.
    fn check_network(
        &self,
        found: &Network,
        release: &Release,
        like: &NetworkLike,
    ) -> Result<(), Failure> {
        let shared = match like {
            NetworkLike::Plain => false,
            NetworkLike::Key(key) => release.shared_network_name(key).is_some(),
        };
        match shared || self.is_ours(&found.labels) {
            true => Ok(()),
            false => Err(failed(format!(
                "there is a network `{}` that was not made for this environment\n\
                 hint: remove it with `docker network rm {}` when nobody needs it",
                found.name, found.name
            ))),
        }
    }

    fn network_spec(&self, own: &OwnNetwork) -> NetworkSpec {
        let mut spec = container::network_spec(own);
        spec.labels.extend(self.labels());
        spec
    }

    /// Lets the engine choose a free range, by a network that is removed again, and states it.
    async fn make_stated(&self, name: &Name, spec: &NetworkSpec) -> Result<(), DockerError> {
        let mut tries = 0;
        loop {
            let wanted = self.stated(name, spec).await?;
            match self.create_network(name, &wanted).await {
                Err(error) if tries < TRIES && text_of(&error).contains("overlaps") => tries += 1,
                outcome => return outcome,
            }
        }
    }

    async fn stated(&self, name: &Name, spec: &NetworkSpec) -> Result<NetworkSpec, DockerError> {
        self.remove_samples(name).await?;
        let mut wanted = spec.clone();
        // Somebody who was cut off a moment ago may still be making one.
        let number = getrandom::u32().unwrap_or_default();
        let Ok(sample) = format!("{name}{SAMPLE}-{number:08x}").parse::<Name>() else {
            return Ok(wanted);
        };
        let id = self.engine.create_network(&sample, spec).await?;
        let free = self.engine.inspect_network(&id).await?.subnets;
        if_found(self.engine.remove_network(&id).await)?;
        let range = free.first().and_then(|free| free.subnet.as_deref());
        if let Some(stated) = range.and_then(state) {
            wanted.subnets = vec![stated];
            wanted.labels.insert(STATED.to_owned(), "stated".to_owned());
        }
        Ok(wanted)
    }

    async fn remove_samples(&self, name: &Name) -> Result<(), DockerError> {
        let like = self.filter().with("name", format!("{name}{SAMPLE}-"));
        for sample in self.engine.list_networks(like).await? {
            if sample.name.starts_with(&format!("{name}{SAMPLE}-")) {
                if_found(self.engine.remove_network(&sample.id).await)?;
            }
        }
        Ok(())
    }

    /// One that is there is as good as one that was made.
    async fn create_network(&self, name: &Name, spec: &NetworkSpec) -> Result<(), DockerError> {
        match self.engine.create_network(name, spec).await {
            Err(error) if error.is_conflict() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Removes a network, when it is there; whoever of ours is on it leaves it.
    pub(super) async fn remove_network(&self, name: &Name) -> Result<(), DockerError> {
        for network in self.networks_named(name).await? {
            let on_it = Filter::all().with("network", network.id.as_str());
            for container in self.engine.list_containers(on_it).await? {
                if self.is_ours(&container.labels) {
                    let left = self.engine.disconnect_network(&network.id, &container.id);
                    if_found(left.await)?;
                }
            }
            if_found(self.engine.remove_network(&network.id).await)?;
        }
        Ok(())
    }

    /// How the container `index` of a service is attached to these networks. `release` is the one
    /// whose services are counted.
    pub(super) async fn attachments(
        &self,
        release: &Release,
        service: &ServiceName,
        index: u32,
        wanted: Vec<release::Attachment>,
    ) -> Result<Vec<Attachment>, Failure> {
        let mut attachments = Vec::new();
        for one in wanted {
            let name = name_of(&one.network)?;
            let mut attachment = container::attachment(name, one.aliases, &one.endpoint);
            if attachment.ipv4.is_none() {
                let free = self.address_in(&attachment.network, release, service, index);
                attachment.ipv4 = free
                    .await
                    .map_err(|error| of_service(of_docker(error), service))?;
            }
            attachments.push(attachment);
        }
        Ok(attachments)
    }

    async fn address_in(
        &self,
        network: &Name,
        release: &Release,
        service: &ServiceName,
        index: u32,
    ) -> Result<Option<Ipv4Addr>, DockerError> {
        let Some(found) = if_found(self.engine.inspect_network(network).await)? else {
            return Ok(None);
        };
        let range = found
            .subnets
            .first()
            .and_then(|subnet| subnet.subnet.as_deref());
        let range = match (
            found.labels.contains_key(STATED),
            range.and_then(Range::parse),
        ) {
            (true, Some(range)) => range,
            _ => return Ok(None),
        };
        match found.labels.get(label::RELEASE) {
            Some(_) => Ok(range.address(place_of(release, service, index))),
            None => self.lowest_free(network, &range).await,
        }
    }

    async fn lowest_free(
        &self,
        network: &Name,
        range: &Range,
    ) -> Result<Option<Ipv4Addr>, DockerError> {
        let on_it = Filter::all().with("network", network.as_str());
        let mut taken = BTreeSet::new();
        for listed in self.engine.list_containers(on_it).await? {
            let found = if_found(self.engine.inspect_container(&listed.id).await)?;
            let endpoint = found.and_then(|found| found.networks.get(network.as_str()).cloned());
            taken.extend(endpoint.and_then(|endpoint| endpoint.fixed_ipv4));
        }
        let mut addresses = (0..).map_while(|place| range.address(place));
        Ok(addresses.find(|address| !taken.contains(address)))
    }

    /// Attaches a container of a standing service to the networks of a stack.
    pub(super) async fn join_stack(
        &self,
        stack: &Release,
        service: &ServiceName,
        container: &Name,
        index: u32,
    ) -> Result<(), Failure> {
        let fail = |error| of_service(of_docker(error), service);
        let wanted = stack.stack_attachments(service);
        let attachments = self.attachments(stack, service, index, wanted).await?;
        let found = self
            .engine
            .inspect_container(container)
            .await
            .map_err(fail)?;
        for attachment in attachments {
            let network = attachment.network.as_str();
            if found.networks.contains_key(network) {
                continue;
            }
            match self.engine.connect_network(container, &attachment).await {
                // The stack is gone, or has never been: nobody there looks for the service.
                Err(error) if error.is_not_found() => {}
                outcome => outcome.map_err(fail)?,
            }
        }
        Ok(())
    }
}

pub(super) fn name_of(text: &str) -> Result<Name, Failure> {
    text.parse().map_err(|error| failed(text_of(&error)))
}

/// Whether the engine would choose the addresses by itself.
fn can_be_stated(spec: &NetworkSpec) -> bool {
    let bridge = spec
        .driver
        .as_deref()
        .is_none_or(|driver| driver == "bridge");
    let usual = spec
        .ipam_driver
        .as_deref()
        .is_none_or(|driver| driver == "default");
    bridge && usual && spec.subnets.is_empty()
}

/// How many containers come before this one, by the order of the services in their release.
fn place_of(release: &Release, service: &ServiceName, index: u32) -> u32 {
    let before = release.services.range::<ServiceName, _>(..service);
    let before: u32 = before.map(|(_, member)| member.replicas()).sum();
    before + index.saturating_sub(1)
}

/// The range as it is stated: the upper half is the engine's.
fn state(subnet: &str) -> Option<Subnet> {
    let range = Range::parse(subnet)?;
    let upper = Ipv4Addr::from(range.base + range.size() / 2);
    Some(Subnet {
        subnet: Some(subnet.to_owned()),
        range: Some(format!("{upper}/{}", range.bits + 1)),
        gateway: Some(Ipv4Addr::from(range.base + 1).to_string()),
        reserved: Default::default(),
    })
}

/// A range of IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    base: u32,
    bits: u32,
}

impl Range {
    /// At least 8 addresses, so that two containers have a place of their own.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let bits: u32 = bits.parse().ok()?;
        let range = Self {
            base: u32::from(address),
            bits,
        };
        ((8..=29).contains(&bits) && range.base.is_multiple_of(range.size())).then_some(range)
    }

    fn size(&self) -> u32 {
        1 << (32 - self.bits)
    }

    /// The address of a place, behind the range's own and the gateway's; nothing beyond the lower
    /// half.
    fn address(&self, place: u32) -> Option<Ipv4Addr> {
        let offset = place.checked_add(2)?;
        (offset < self.size() / 2).then(|| Ipv4Addr::from(self.base + offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_halved() {
        let stated = state("172.18.0.0/16").unwrap();
        assert_eq!(stated.range.as_deref(), Some("172.18.128.0/17"));
        assert_eq!(stated.gateway.as_deref(), Some("172.18.0.1"));
        let small = Range::parse("10.0.0.8/29").unwrap();
        let addresses: Vec<_> = (0..).map_while(|place| small.address(place)).collect();
        assert_eq!(
            addresses,
            [Ipv4Addr::new(10, 0, 0, 10), Ipv4Addr::new(10, 0, 0, 11)]
        );
        for none in [
            "10.0.0.0/30",
            "10.0.0.1/24",
            "10.0.0.0",
            "fd00::/64",
            "10.0.0.0/0",
            "",
        ] {
            assert_eq!(Range::parse(none), None, "{none}");
        }
    }
}
