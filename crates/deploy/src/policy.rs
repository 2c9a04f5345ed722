//! How one release becomes another: what the environment says, else what Compose says, else what
//! is usual.
//!
//! `update_config` speaks of one service, a rollout of all. Where services disagree, the most
//! careful wins: the smallest batch, the longest pause, the way back before a halt.

use std::collections::BTreeMap;
use std::time::Duration;

use compose::project::{FailureAction, Healthcheck, ServiceName, Test, UpdateConfig};
use serde::Serialize;

use crate::record::Way;
use crate::release::{Kind, Release};
use crate::settings::{Environment, Health};
use crate::span::Span;

/// How a rollout goes about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Policy {
    /// Hosts at a time; 0 is all.
    pub parallelism: u32,
    /// The pause between two batches.
    pub delay: Span,
    /// What follows on a failure.
    pub failure_action: FailureAction,
    /// How long a release is watched after the switch.
    pub monitor: Span,
    /// For each service the part of its containers on a host that may fail; 0 where it is missing.
    pub may_fail: BTreeMap<ServiceName, f64>,
    /// How long services may take to become healthy.
    pub deadline: Span,
    /// How long requests in flight may take to end.
    pub grace: Span,
    /// How many old stacks stay, stopped.
    pub keep: usize,
    /// How many releases a host remembers.
    pub history: usize,
    /// How long the lock of a deployer that died still counts.
    pub lease: Span,
    /// What is asked before the switch.
    pub health: Option<Health>,
    /// Keys of volumes that go with the stack of their release.
    pub discard_volumes: Vec<String>,
}

impl Policy {
    /// The policy by which `release` comes.
    pub fn of(environment: &Environment, release: &Release, way: Way) -> Self {
        let configs = || {
            let members = release
                .services
                .iter()
                .filter(|(_, member)| member.kind() != Kind::Once);
            members.map(|(name, member)| (name, config(&member.definition.deploy, way)))
        };
        let parallelism = configs()
            .filter_map(|(_, config)| config.parallelism)
            .min_by_key(|given| match given {
                0 => u32::MAX,
                given => *given,
            });
        let delay = configs()
            .filter_map(|(_, config)| config.delay)
            .max()
            .map(Span::new);
        let monitor = configs()
            .filter_map(|(_, config)| config.monitor)
            .max()
            .map(Span::new);
        let action = configs()
            .filter_map(|(_, config)| config.failure_action)
            .min_by_key(|action| match action {
                FailureAction::Rollback => 0,
                FailureAction::Pause => 1,
                FailureAction::Continue => 2,
            });
        let ratio =
            |config: &UpdateConfig| environment.max_failure_ratio.or(config.max_failure_ratio);
        let may_fail = configs().filter_map(|(name, config)| Some((name.clone(), ratio(config)?)));
        Self {
            parallelism: environment.parallelism.or(parallelism).unwrap_or(1),
            delay: environment.delay.or(delay).unwrap_or_default(),
            failure_action: environment
                .failure_action
                .or(action)
                .unwrap_or(FailureAction::Rollback),
            monitor: environment.monitor.or(monitor).unwrap_or(match way {
                Way::Deploy => Span::seconds(6),
                Way::Rollback => Span::millis(500),
            }),
            may_fail: may_fail.collect(),
            deadline: environment.deadline.unwrap_or_else(|| deadline(release)),
            grace: environment.grace.unwrap_or(Span::seconds(30)),
            keep: environment.keep.unwrap_or(1) as usize,
            history: environment.history.unwrap_or(20).max(2) as usize,
            lease: Self::lease(environment),
            health: environment.health.clone(),
            discard_volumes: environment.discard_volumes.clone(),
        }
    }

    /// The lease of the lock, which is taken before the release is known.
    pub fn lease(environment: &Environment) -> Span {
        environment.lease.unwrap_or(Span::seconds(60))
    }

    /// How many of so many containers of a service may fail.
    pub(crate) fn tolerance(&self, service: &ServiceName, containers: u32) -> u32 {
        let ratio = self
            .may_fail
            .get(service)
            .copied()
            .unwrap_or(0.0)
            .clamp(0.0, 1.0);
        (f64::from(containers) * ratio) as u32
    }
}

fn config(deploy: &compose::project::Deploy, way: Way) -> &UpdateConfig {
    match way {
        Way::Deploy => &deploy.update_config,
        Way::Rollback => &deploy.rollback_config,
    }
}

/// Two minutes, or as long as the slowest health check needs to call a container ill, and then some.
fn deadline(release: &Release) -> Span {
    let checks = release
        .services
        .values()
        .filter_map(|member| member.definition.healthcheck.as_ref());
    let longest = checks
        .filter(|check| check.test != Test::Disabled)
        .map(patience)
        .max();
    Span::new(longest.unwrap_or_default().max(Duration::from_secs(120)))
}

/// The defaults are the engine's (Dockerfile reference, "HEALTHCHECK").
fn patience(check: &Healthcheck) -> Duration {
    let half_a_minute = Duration::from_secs(30);
    let once = check
        .interval
        .unwrap_or(half_a_minute)
        .saturating_add(check.timeout.unwrap_or(half_a_minute));
    let all = once.saturating_mul(check.retries.unwrap_or(3).max(1));
    check
        .start_period
        .unwrap_or_default()
        .saturating_add(all)
        .saturating_add(half_a_minute)
}
