//! Containers: made, started, watched, stopped, removed.

mod files;
mod list;
mod logs;
mod seen;
pub mod spec;
mod wait;
mod wire;

use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerUpdateBody, NetworkConnectRequest};
use bollard::query_parameters::{
    KillContainerOptions, RemoveContainerOptions, RenameContainerOptions, StopContainerOptions,
};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

pub use list::ContainerSummary;
pub use logs::{LogChunk, LogRequest, OutputStream};
pub use seen::{Container, Endpoint, Health, HealthStatus, MountSeen, State, TestSeen};
pub use spec::ContainerSpec;
pub use wait::WaitFor;
pub(crate) use wire::{endpoint, some_map};

use crate::engine::Engine;
use crate::error::{DockerError, Operation, Problem, START};
use crate::name::Name;
use spec::{Attachment, Networking, Restart};

/// How long an engine's containerd may be away: it is started anew some 12 s after it has ended.
const CONTAINERD_AWAY: Duration = Duration::from_secs(45);
const CONTAINERD_PAUSE: Duration = Duration::from_millis(500);

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub id: Name,
    /// What the engine warned of, such as limits that the kernel does not know.
    pub warnings: Vec<String>,
}

/// What goes with a container that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The container, when it does not run. Its volumes stay.
    Stopped,
    /// The container, killed if it runs. Its volumes stay.
    Killed,
    /// The container, killed if it runs, and its volumes without a name.
    WithAnonymousVolumes,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateAnswer {
    id: String,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

impl Engine {
    /// Makes a container and attaches it to all of its networks, but does not start it. When a
    /// network cannot be attached, no container is left; when this process ends in between, one
    /// with fewer networks is.
    ///
    /// # Errors
    /// Not found: the image, a network or a container of the spec. Conflict: the name is taken.
    pub async fn create_container(
        &self,
        name: &Name,
        spec: &ContainerSpec,
    ) -> Result<Created, DockerError> {
        let operation = Operation::of("create the container", name);
        self.check_networks(&operation, &spec.networking).await?;
        let made = self
            .call(&operation, self.post_container(name, spec))
            .await?;
        let id = made.id.parse::<Name>();
        let id = id.map_err(|wrong| self.error(&operation, Problem::Strange(wrong.to_string())))?;
        if let Err(error) = self.attach_others(&id, &spec.networking).await {
            // The first error is the one to tell.
            let _second = self
                .remove_container(&id, Removal::WithAnonymousVolumes)
                .await;
            return Err(error);
        }
        Ok(Created {
            id,
            warnings: made.warnings.unwrap_or_default(),
        })
    }

    async fn post_container(
        &self,
        name: &Name,
        spec: &ContainerSpec,
    ) -> Result<CreateAnswer, Problem> {
        let strange = |error: serde_json::Error| Problem::Strange(error.to_string());
        let mut body = serde_json::to_value(wire::body(spec)).map_err(strange)?;
        if let Networking::Networks(networks) = &spec.networking
            && let Some(address) = networks
                .first()
                .and_then(|first| first.mac_address.as_ref())
        {
            // Where engines before API 1.44 look for it.
            body["MacAddress"] = address.as_str().into();
        }
        let path = match &spec.platform {
            Some(platform) => format!("/containers/create?name={name}&platform={platform}"),
            None => format!("/containers/create?name={name}"),
        };
        self.transport.post(&path, &body).await
    }

    /// The Engine makes a container also when its networks do not exist, and only the start fails.
    async fn check_networks(
        &self,
        operation: &Operation,
        networking: &Networking,
    ) -> Result<(), DockerError> {
        let Networking::Networks(networks) = networking else {
            return Ok(());
        };
        for attachment in networks {
            let path = format!("/networks/{}", attachment.network);
            let seen = self.transport.get::<serde::de::IgnoredAny>(&path);
            self.call(operation, seen).await?;
        }
        Ok(())
    }

    /// Before API 1.44 a container is made with one network at most.
    async fn attach_others(&self, id: &Name, networking: &Networking) -> Result<(), DockerError> {
        let Networking::Networks(networks) = networking else {
            return Ok(());
        };
        for attachment in networks.iter().skip(1) {
            self.connect_network(id, attachment).await?;
        }
        Ok(())
    }

    /// Attaches a container to a network, also while it runs.
    ///
    /// # Errors
    /// Not found: either. Refused: it is attached already.
    pub async fn connect_network(
        &self,
        container: &Name,
        attachment: &Attachment,
    ) -> Result<(), DockerError> {
        let operation = Operation::of(
            "connect a container to the network",
            &format_args!("{}` (container `{container}", attachment.network),
        );
        let request = NetworkConnectRequest {
            container: container.to_string(),
            endpoint_config: Some(endpoint(attachment)),
        };
        let network = attachment.network.as_str();
        self.call(&operation, self.docker.connect_network(network, request))
            .await
    }

    /// Starts a container; does nothing when it runs. While the engine's containerd is away, it is waited
    /// for: a busy or updated engine starts that anew, and refuses for some 12 s.
    ///
    /// # Errors
    /// Not found: the container. Refused: among other things when a port is taken, or the program
    /// does not exist in the image. [`DockerError::is_left_behind`]: only another in its place starts.
    pub async fn start_container(&self, name: &Name) -> Result<(), DockerError> {
        let operation = Operation::of(START, name);
        let deadline = Instant::now() + CONTAINERD_AWAY;
        loop {
            let starting = self.docker.start_container(name.as_str(), None);
            match self.call(&operation, starting).await {
                Err(error) if error.lacks_containerd() && Instant::now() < deadline => {}
                outcome => return outcome,
            }
            sleep(CONTAINERD_PAUSE).await;
        }
    }

    /// Stops a container: its stop signal, and after the grace period SIGKILL. Without one the
    /// grace period is the container's own (10 s, if it has none). Does nothing when it has ended.
    ///
    /// # Errors
    /// Not found: the container.
    pub async fn stop_container(
        &self,
        name: &Name,
        grace: Option<Duration>,
    ) -> Result<(), DockerError> {
        const OWN_GRACE: Duration = Duration::from_secs(600);
        let operation = Operation::of("stop the container", name);
        let options = StopContainerOptions {
            signal: None,
            t: grace.map(|grace| i32::try_from(crate::time::seconds(grace)).unwrap_or(i32::MAX)),
        };
        let stopping = self.docker.stop_container(name.as_str(), Some(options));
        self.call_within(grace.unwrap_or(OWN_GRACE), &operation, stopping)
            .await
    }

    /// Sends a signal to a container's first process, such as `SIGHUP`.
    ///
    /// # Errors
    /// Not found: the container. Conflict: it does not run.
    pub async fn kill_container(&self, name: &Name, signal: &str) -> Result<(), DockerError> {
        let operation = Operation::of("send a signal to the container", name);
        let options = KillContainerOptions {
            signal: signal.to_owned(),
        };
        self.call(
            &operation,
            self.docker.kill_container(name.as_str(), Some(options)),
        )
        .await
    }

    /// Removes a container. Volumes with a name always stay.
    ///
    /// # Errors
    /// Not found: the container. Conflict: it runs and shall not be killed, or is being removed.
    pub async fn remove_container(&self, name: &Name, removal: Removal) -> Result<(), DockerError> {
        let operation = Operation::of("remove the container", name);
        let options = RemoveContainerOptions {
            v: removal == Removal::WithAnonymousVolumes,
            force: removal != Removal::Stopped,
            link: false,
        };
        self.call(
            &operation,
            self.docker.remove_container(name.as_str(), Some(options)),
        )
        .await
    }

    /// Gives a container another name, also while it runs.
    ///
    /// # Errors
    /// Not found: the container. Conflict: the new name is taken.
    pub async fn rename_container(&self, name: &Name, new: &Name) -> Result<(), DockerError> {
        let operation = Operation::of("rename the container", name);
        let options = RenameContainerOptions {
            name: new.to_string(),
        };
        self.call(
            &operation,
            self.docker.rename_container(name.as_str(), options),
        )
        .await
    }

    /// Changes whether a container comes back when it ends.
    ///
    /// # Errors
    /// Not found: the container.
    pub async fn set_restart(&self, name: &Name, restart: Restart) -> Result<(), DockerError> {
        let operation = Operation::of("change the restart policy of the container", name);
        let change = ContainerUpdateBody {
            restart_policy: Some(wire::restart(restart)),
            ..Default::default()
        };
        self.call(
            &operation,
            self.docker.update_container(name.as_str(), change),
        )
        .await
    }

    /// What a container is and how it is.
    ///
    /// # Errors
    /// Not found: the container.
    pub async fn inspect_container(&self, name: &Name) -> Result<Container, DockerError> {
        let operation = Operation::of("inspect the container", name);
        let inspecting = async {
            let seen: ContainerInspectResponse =
                self.docker.inspect_container(name.as_str(), None).await?;
            Container::seen(seen)
        };
        self.call(&operation, inspecting).await
    }
}
