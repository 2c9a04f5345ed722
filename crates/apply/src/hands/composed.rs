//! Containers that Docker Compose has made of the project: they are stopped and started, never
//! removed or changed otherwise.

use std::collections::BTreeMap;

use deploy::Failure;
use deploy::host::ComposedSeen;
use deploy::span::Span;
use docker::container::spec::Restart;
use docker::container::{Container, ContainerSummary};
use docker::{DockerError, Name, if_found};
use futures_util::future::{join_all, try_join_all};

use super::Hands;
use super::failure::{failed, of_docker};
use super::observe::listen;

/// Labels of Docker Compose.
pub(super) const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const ONE_OFF: &str = "com.docker.compose.oneoff";

impl Hands {
    pub(super) async fn composed(
        &self,
        containers: &[ContainerSummary],
    ) -> Result<Vec<ComposedSeen>, DockerError> {
        let own = containers
            .iter()
            .filter(|one| self.is_composed(&one.labels));
        let inspected = own.map(|one| async move {
            // It may have been removed meanwhile.
            let found = if_found(self.engine.inspect_container(&one.id).await)?;
            Ok::<_, DockerError>(found.map(|found| seen(one, &found)))
        });
        let found = try_join_all(inspected).await?.into_iter().flatten();
        let mut seen: Vec<ComposedSeen> = found.collect();
        seen.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(seen)
    }

    fn is_composed(&self, labels: &BTreeMap<String, String>) -> bool {
        let label = |name: &str| labels.get(name).map(String::as_str);
        label(PROJECT) == Some(self.owner.project.as_str())
            && label(ONE_OFF) != Some("True")
            && !self.is_ours(labels)
    }

    /// Stops them side by side. What would come back with the engine (`restart: always`) does not.
    pub(super) async fn set_aside(&self, containers: &[String]) -> Result<(), Failure> {
        self.each_composed(containers, |found| async move {
            if found.restart == Restart::Always {
                let policy = self.engine.set_restart(&found.id, Restart::UnlessStopped);
                if_found(policy.await)?;
            }
            if_found(self.engine.stop_container(&found.id, None).await).map(drop)
        })
        .await
    }

    pub(super) async fn bring_back(&self, containers: &[String]) -> Result<(), Failure> {
        self.each_composed(containers, |found| async move {
            self.engine.start_container(&found.id).await
        })
        .await
    }

    /// Does something with each of them that is still there; the first failure is told.
    async fn each_composed<F>(
        &self,
        containers: &[String],
        act: impl Fn(Container) -> F,
    ) -> Result<(), Failure>
    where
        F: Future<Output = Result<(), DockerError>>,
    {
        let act = &act;
        let acting = containers.iter().map(|name| async move {
            let name: Name = name
                .parse()
                .map_err(|_| failed(format!("`{name}` is no container's name")))?;
            match if_found(self.engine.inspect_container(&name).await).map_err(of_docker)? {
                Some(found) if self.is_composed(&found.labels) => {
                    act(found).await.map_err(of_docker)
                }
                Some(_) => Err(failed(format!(
                    "`{name}` is not of Docker Compose any more"
                ))),
                None => Ok(()),
            }
        });
        join_all(acting).await.into_iter().collect()
    }
}

fn seen(listed: &ContainerSummary, container: &Container) -> ComposedSeen {
    let label = |name: &str| listed.labels.get(name).cloned().unwrap_or_default();
    let listens = listed.ports.iter().map(|address| listen(*address));
    ComposedSeen {
        project: label(PROJECT),
        service: label(SERVICE),
        is_up: container.state.is_running(),
        listens: listens.collect(),
        grace: Span::new(container.stop_grace),
        name: container.name.to_string(),
    }
}
