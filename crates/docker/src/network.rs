//! Networks of containers.

use std::collections::BTreeMap;

use bollard::models as wire;
use bollard::query_parameters::ListNetworksOptions;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::container::some_map;
use crate::engine::Engine;
use crate::error::{DockerError, Operation, Problem};
use crate::filter::Filter;
use crate::name::Name;
use crate::time::timestamp;

/// A network to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// The driver [default: `bridge`].
    pub driver: Option<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Whether nothing outside can be reached from it.
    pub internal: bool,
    /// Whether single containers may join a network of a swarm.
    pub attachable: bool,
    /// Whether it has IPv6 addresses.
    pub ipv6: bool,
    /// The driver that gives addresses [default: `default`].
    pub ipam_driver: Option<String>,
    /// Options of that driver.
    pub ipam_options: BTreeMap<String, String>,
    /// Its addresses [default: a free range of the engine's].
    pub subnets: Vec<Subnet>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A range of addresses, in CIDR notation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subnet {
    /// All.
    pub subnet: Option<String>,
    /// Those for containers.
    pub range: Option<String>,
    /// The way out.
    pub gateway: Option<String>,
    /// Addresses that others have.
    pub reserved: BTreeMap<String, String>,
}

/// A network as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its id.
    pub id: Name,
    /// Its name, which another network may have too.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// `local` or `swarm`.
    pub scope: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Whether nothing outside can be reached from it.
    pub internal: bool,
    /// Whether single containers may join a network of a swarm.
    pub attachable: bool,
    /// Whether it has IPv6 addresses.
    pub ipv6: bool,
    /// Its addresses.
    pub subnets: Vec<Subnet>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Running containers on it: their names by their ids. Only an inspection knows them.
    pub containers: BTreeMap<String, String>,
}

impl Engine {
    /// Makes a network and returns its id.
    ///
    /// # Errors
    /// Conflict: there is one of this name. Refused: its addresses are another's.
    pub async fn create_network(
        &self,
        name: &Name,
        spec: &NetworkSpec,
    ) -> Result<Name, DockerError> {
        #[derive(Deserialize)]
        struct Made {
            #[serde(rename = "Id")]
            id: Name,
        }
        let operation = Operation::of("create the network", name);
        let making = async {
            let body = serde_json::to_value(body(name, spec));
            let mut body = body.map_err(|error| Problem::Strange(error.to_string()))?;
            // Before API 1.44 the Engine makes a second one of the same name without this.
            body["CheckDuplicate"] = true.into();
            self.transport.post::<Made>("/networks/create", &body).await
        };
        Ok(self.call(&operation, making).await?.id)
    }

    /// What a network is, and who is on it.
    ///
    /// # Errors
    /// Not found: the network.
    pub async fn inspect_network(&self, name: &Name) -> Result<Network, DockerError> {
        let operation = Operation::of("inspect the network", name);
        let inspecting = async {
            let seen = self.docker.inspect_network(name.as_str(), None).await?;
            Network::inspected(seen)
        };
        self.call(&operation, inspecting).await
    }

    /// All networks that the filter lets through.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn list_networks(&self, filter: Filter) -> Result<Vec<Network>, DockerError> {
        let operation = Operation::plain("list the networks");
        let options = ListNetworksOptions {
            filters: filter.into_query(),
        };
        let listing = async {
            let listed = self.docker.list_networks(Some(options)).await?;
            listed
                .into_iter()
                .map(Network::listed)
                .collect::<Result<_, Problem>>()
        };
        self.call(&operation, listing).await
    }

    /// Takes a container off a network, also while it runs.
    ///
    /// # Errors
    /// Not found: either. Refused: it is not on it.
    pub async fn disconnect_network(
        &self,
        network: &Name,
        container: &Name,
    ) -> Result<(), DockerError> {
        let object = format!("{network}` (container `{container}");
        let operation = Operation::of("disconnect a container from the network", &object);
        let request = wire::NetworkDisconnectRequest {
            container: container.to_string(),
            force: Some(false),
        };
        let leaving = self.docker.disconnect_network(network.as_str(), request);
        self.call(&operation, leaving).await
    }

    /// Removes a network.
    ///
    /// # Errors
    /// Not found: the network. Refused: a running container is on it.
    pub async fn remove_network(&self, name: &Name) -> Result<(), DockerError> {
        let operation = Operation::of("remove the network", name);
        self.call(&operation, self.docker.remove_network(name.as_str()))
            .await
    }
}

fn body(name: &Name, spec: &NetworkSpec) -> wire::NetworkCreateRequest {
    let subnets = spec.subnets.iter().map(|subnet| wire::IpamConfig {
        subnet: subnet.subnet.clone(),
        ip_range: subnet.range.clone(),
        gateway: subnet.gateway.clone(),
        auxiliary_addresses: some_map(&subnet.reserved),
    });
    let ipam = wire::Ipam {
        driver: spec.ipam_driver.clone(),
        config: (!spec.subnets.is_empty()).then(|| subnets.collect()),
        options: some_map(&spec.ipam_options),
    };
    wire::NetworkCreateRequest {
        name: name.to_string(),
        driver: spec.driver.clone(),
        internal: Some(spec.internal),
        attachable: Some(spec.attachable),
        enable_ipv6: Some(spec.ipv6),
        ipam: (ipam != wire::Ipam::default()).then_some(ipam),
        options: some_map(&spec.options),
        labels: some_map(&spec.labels),
        ..Default::default()
    }
}

impl Network {
    fn inspected(seen: wire::NetworkInspect) -> Result<Self, Problem> {
        let containers = seen.containers.unwrap_or_default();
        let containers = containers
            .into_iter()
            .map(|(id, endpoint)| (id, endpoint.name.unwrap_or_default()))
            .collect();
        let network = Self::listed(wire::Network {
            name: seen.name,
            id: seen.id,
            created: seen.created,
            scope: seen.scope,
            driver: seen.driver,
            enable_ipv6: seen.enable_ipv6,
            ipam: seen.ipam,
            internal: seen.internal,
            attachable: seen.attachable,
            options: seen.options,
            labels: seen.labels,
            ..Default::default()
        })?;
        Ok(Self {
            containers,
            ..network
        })
    }

    fn listed(seen: wire::Network) -> Result<Self, Problem> {
        let id = seen.id.unwrap_or_default();
        let strange = |_| Problem::Strange(format!("a network's id is `{id}`"));
        let subnets = seen.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        Ok(Self {
            id: id.parse().map_err(strange)?,
            name: seen.name.unwrap_or_default(),
            driver: seen.driver.unwrap_or_default(),
            scope: seen.scope.unwrap_or_default(),
            created: timestamp(seen.created.as_deref()),
            internal: seen.internal.unwrap_or_default(),
            attachable: seen.attachable.unwrap_or_default(),
            ipv6: seen.enable_ipv6.unwrap_or_default(),
            subnets: subnets.into_iter().map(subnet).collect(),
            options: seen.options.unwrap_or_default().into_iter().collect(),
            labels: seen.labels.unwrap_or_default().into_iter().collect(),
            containers: BTreeMap::new(),
        })
    }
}

fn subnet(seen: wire::IpamConfig) -> Subnet {
    let reserved = seen.auxiliary_addresses.unwrap_or_default();
    Subnet {
        subnet: seen.subnet,
        range: seen.ip_range,
        gateway: seen.gateway,
        reserved: reserved.into_iter().collect(),
    }
}
