//! How one sees that a container is well.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `healthcheck:` of a service. Where a field is `None`, the image or the engine decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthcheck {
    /// What is asked.
    pub test: Test,
    /// Pause between two checks.
    pub interval: Option<Duration>,
    /// How long a check may take.
    pub timeout: Option<Duration>,
    /// How many failures in a row make it unhealthy.
    pub retries: Option<u32>,
    /// Failures do not count so long after the start.
    pub start_period: Option<Duration>,
    /// Pause between two checks in that time.
    pub start_interval: Option<Duration>,
}

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Test {
    /// What the image says.
    #[default]
    Inherited,
    /// Nothing, whatever the image says.
    Disabled,
    /// A command with its arguments (`CMD`).
    Command(Vec<String>),
    /// A line for the container's shell (`CMD-SHELL`).
    Shell(String),
}
