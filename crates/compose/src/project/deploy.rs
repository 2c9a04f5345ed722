//! `deploy:`: how many containers, and how they are replaced (Compose specification, "Deploy").

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Extensions;

/// `deploy:` of a service, without resources: those are in [`super::Limits`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Deploy {
    /// What the number counts.
    pub mode: Mode,
    /// How many containers, from `deploy.replicas` or `scale`; one where nothing is said.
    pub replicas: Option<u32>,
    /// Labels of the service, not of its containers.
    pub labels: BTreeMap<String, String>,
    /// How a new release comes.
    pub update_config: UpdateConfig,
    /// How an old release comes back.
    pub rollback_config: UpdateConfig,
    /// When a container is started again; goes before `restart`.
    pub restart_policy: Option<RestartPolicy>,
    /// `x-…` keys.
    #[serde(default)]
    pub extensions: Extensions,
}

/// What `replicas` counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// So many containers.
    #[default]
    Replicated,
    /// One on each host.
    Global,
}

/// `update_config` or `rollback_config`. Where a field is `None`, nothing was said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UpdateConfig {
    /// How many at a time; 0 means all.
    pub parallelism: Option<u32>,
    /// Pause between two batches.
    pub delay: Option<Duration>,
    /// What follows on a failure.
    pub failure_action: Option<FailureAction>,
    /// How long a new container is watched.
    pub monitor: Option<Duration>,
    /// The part of containers that may fail, from 0 to 1.
    pub max_failure_ratio: Option<f64>,
    /// Which of old and new comes first.
    pub order: Option<Order>,
}

/// What follows on a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureAction {
    /// Go on.
    Continue,
    /// Stay as it is.
    Pause,
    /// Go back.
    Rollback,
}

/// Which of old and new comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The new one starts beside the old one.
    StartFirst,
    /// The old one stops before the new one starts.
    StopFirst,
}

/// When a container is started again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// On which ends.
    pub condition: RestartCondition,
    /// Pause before it.
    pub delay: Option<Duration>,
    /// At most so often.
    pub max_attempts: Option<u32>,
    /// How long it must run to count as started.
    pub window: Option<Duration>,
}

/// On which ends a container is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartCondition {
    /// Never.
    None,
    /// When it fails.
    OnFailure,
    /// Always.
    #[default]
    Any,
}
