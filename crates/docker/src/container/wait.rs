//! Waiting for a container's end.

use bollard::errors::Error as Reply;
use bollard::query_parameters::WaitContainerOptions;
use futures_util::StreamExt as _;

use crate::engine::Engine;
use crate::error::{DockerError, Operation, Problem};
use crate::name::Name;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// That it does not run; returns at once when it was never started or has ended.
    NotRunning,
    /// That it ends the next time, also when it does not run yet.
    NextExit,
    /// That it is removed.
    Removed,
}

impl Engine {
    /// Waits and returns the container's exit code. It may take any time; whoever waits decides
    /// when it is enough.
    ///
    /// # Errors
    /// Not found: the container.
    pub async fn wait_container(&self, name: &Name, what: WaitFor) -> Result<i64, DockerError> {
        let operation = Operation::of("wait for the container", name);
        let condition = match what {
            WaitFor::NotRunning => "not-running",
            WaitFor::NextExit => "next-exit",
            WaitFor::Removed => "removed",
        };
        let options = WaitContainerOptions {
            condition: condition.to_owned(),
        };
        let mut answers = self
            .docker
            .wait_container(name.as_str(), Some(options))
            .boxed();
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // bollard takes any code but 0 for an error.
            Some(Err(Reply::DockerContainerWaitError { error, code })) if error.is_empty() => {
                Ok(code)
            }
            Some(Err(Reply::DockerContainerWaitError { error, .. })) => {
                let status = None;
                let message = error;
                Err(self.error(&operation, Problem::Refused { status, message }))
            }
            Some(Err(wrong)) => Err(self.error(&operation, wrong)),
            None => Err(self.error(&operation, Problem::Broken("it ended early".to_owned()))),
        }
    }
}
