//! Asks a container for its health at once, by the test that it has for it.
//!
//! An engine waits for the test's interval before it asks the first time, half a minute where nobody
//! says otherwise. A container is healthy from the first success on, whoever asks. Failures say
//! nothing here: how many of them make a container unhealthy the engine counts.

use std::time::Duration;

use docker::container::{Container, HealthStatus, State};
use docker::exec::{ExecLimits, ExecSpec};
use docker::{Engine, Name};
use jiff::Timestamp;
use tokio::time::sleep;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Of what the test prints.
const MOST_OUTPUT: usize = 64 * 1024;

/// One life of a container, from a start to its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Life {
    container: Name,
    since: Timestamp,
}

impl Life {
    /// That of a container whose health the engine does not know yet.
    pub(crate) fn untested(container: &Container) -> Option<Self> {
        let status = container.health.as_ref().map(|health| health.status);
        let State::Running { since, .. } = container.state else {
            return None;
        };
        (status == Some(HealthStatus::Starting)).then_some(Self {
            container: container.id.clone(),
            since: since?,
        })
    }
}

/// Runs the container's health test until it succeeds. False when it cannot: there is none, it
/// takes too long, or the container has ended.
pub(crate) async fn turns_healthy(engine: &Engine, container: &Container) -> bool {
    let Some(test) = &container.health_test else {
        return false;
    };
    let spec = ExecSpec::new(&test.command);
    let limits = ExecLimits {
        time: test.timeout,
        output: MOST_OUTPUT,
    };
    let mut pause = FIRST_PAUSE;
    loop {
        match engine.run_exec(&container.id, &spec, &[], limits).await {
            Ok(outcome) if outcome.exit_code == 0 => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
