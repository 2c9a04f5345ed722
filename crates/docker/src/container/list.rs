//! Lists of containers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bollard::models as wire;
use bollard::query_parameters::ListContainersOptions;

use super::seen::{Endpoint, endpoints};
use crate::engine::Engine;
use crate::error::{DockerError, Operation};
use crate::filter::Filter;
use crate::name::Name;

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSummary {
    /// Its id.
    pub id: Name,
    /// Its name.
    pub name: Name,
    /// The image as it was named at the creation, or its id when that name is another image's now.
    pub image_name: String,
    /// The image's id.
    pub image: String,
    /// Its labels, and the image's.
    pub labels: BTreeMap<String, String>,
    /// The state in the Engine's word: `created`, `running`, `paused`, `restarting`, `exited`, …
    pub state: String,
    /// The state for people: `Up 2 minutes (healthy)`.
    pub status: String,
    /// Addresses of the host that are listened at for it.
    pub ports: Vec<SocketAddr>,
    /// Networks by their names.
    pub networks: BTreeMap<String, Endpoint>,
}

impl Engine {
    /// All containers that the filter lets through, also those that do not run.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn list_containers(
        &self,
        filter: Filter,
    ) -> Result<Vec<ContainerSummary>, DockerError> {
        let operation = Operation::plain("list the containers");
        let options = ListContainersOptions {
            all: true,
            filters: filter.into_query(),
            ..Default::default()
        };
        let listed = self.docker.list_containers(Some(options));
        let listed = self.call(&operation, listed).await?;
        Ok(listed.into_iter().filter_map(summary).collect())
    }
}

/// A container that is being removed is listed without a name for a moment: it is gone.
fn summary(seen: wire::ContainerSummary) -> Option<ContainerSummary> {
    // Old links show as further names, with more slashes.
    let names = seen.names.unwrap_or_default();
    let name = names.iter().find_map(|name| name.parse().ok())?;
    Some(ContainerSummary {
        id: seen.id?.parse().ok()?,
        name,
        image_name: seen.image.unwrap_or_default(),
        image: seen.image_id.unwrap_or_default(),
        labels: seen.labels.unwrap_or_default().into_iter().collect(),
        state: seen
            .state
            .map(|state| state.to_string())
            .unwrap_or_default(),
        status: seen.status.unwrap_or_default(),
        ports: seen
            .ports
            .unwrap_or_default()
            .iter()
            .filter_map(published)
            .collect(),
        networks: endpoints(seen.network_settings.and_then(|network| network.networks)),
    })
}

fn published(port: &wire::PortSummary) -> Option<SocketAddr> {
    let address = port.ip.as_ref()?.parse().ok()?;
    Some(SocketAddr::new(address, port.public_port?))
}
