//! Until a service is what others wait for.

use std::time::Duration;

use compose::project::Condition;
use docker::Name;
use docker::container::{HealthStatus, State};

use super::{OnEngine, ProjectError};
use crate::health::{Life, turns_healthy};

/// Between two looks at a container.
const PAUSE: Duration = Duration::from_millis(200);
/// Of its output, for messages.
const LINES: usize = 10;

impl OnEngine<'_> {
    /// Waits until a container is in this state.
    pub(super) async fn wait(&self, name: &Name, until: Condition) -> Result<(), ProjectError> {
        tokio::select! {
            waited = self.wait_for_engine(name, until) => waited,
            () = self.test(name), if until == Condition::ServiceHealthy => Ok(()),
        }
    }

    /// Waits until the container's own test succeeds, as long as the engine has not made one.
    async fn test(&self, name: &Name) {
        let seen = self.engine.inspect_container(name).await;
        if let Ok(seen) = seen
            && Life::untested(&seen).is_some()
            && turns_healthy(self.engine, &seen).await
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    async fn wait_for_engine(&self, name: &Name, until: Condition) -> Result<(), ProjectError> {
        loop {
            let seen = self.engine.inspect_container(name).await?;
            let health = seen.health.as_ref().map(|health| health.status);
            let wrong = match (until, &seen.state, health) {
                (Condition::ServiceStarted, _, _)
                | (Condition::ServiceHealthy, State::Running { .. }, Some(HealthStatus::Healthy))
                | (
                    Condition::ServiceCompletedSuccessfully,
                    State::Exited { exit_code: 0, .. },
                    _,
                ) => return Ok(()),
                (Condition::ServiceHealthy, State::Running { .. }, None) => {
                    "has no healthcheck that could be waited for".to_owned()
                }
                // The engine calls it unhealthy, too, when it has ended.
                (_, State::Exited { exit_code, .. }, _) => {
                    format!("ended with status {exit_code}")
                }
                (Condition::ServiceHealthy, _, Some(HealthStatus::Unhealthy)) => {
                    "is unhealthy".to_owned()
                }
                (_, State::Gone, _) => "is gone".to_owned(),
                _ => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            return Err(self.not_ready(&seen.name, wrong).await);
        }
    }

    async fn not_ready(&self, container: &Name, what: String) -> ProjectError {
        // Without them the message still says what is wrong.
        let words = self.engine.last_lines(container, LINES).await;
        ProjectError::NotReady {
            container: container.to_string(),
            what,
            words: words.unwrap_or_default(),
        }
    }
}
