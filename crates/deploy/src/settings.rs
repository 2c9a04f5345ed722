//! `lotse.toml`: the environments of a project.
//!
//! The text comes in as a value. What Compose has a key for is said there; a key here goes before
//! it, for all services of the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use compose::project::FailureAction;
use serde::{Deserialize, Serialize};

use crate::name::{EnvironmentName, HostName};
use crate::span::Span;

/// A whole `lotse.toml`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The environments.
    #[serde(default, rename = "environment")]
    pub environments: BTreeMap<EnvironmentName, Environment>,
}

/// `[environment.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Environment {
    /// The compose files, relative to `lotse.toml`, in the order of merging.
    pub compose: Vec<String>,
    /// The profiles to start.
    pub profiles: Vec<String>,
    /// The compose project's name [default: as Compose finds it].
    pub project: Option<String>,
    /// Values for the compose files.
    pub variables: BTreeMap<String, String>,
    /// The hosts, in the order in which they are deployed to.
    pub hosts: Vec<HostName>,
    /// What is asked through a published port before the switch, such as `/ping` or `:8080/ping`.
    pub health: Option<Health>,
    /// Hosts at a time; 0 is all [default: `update_config.parallelism`, else 1].
    pub parallelism: Option<u32>,
    /// The pause between two batches of hosts [default: `update_config.delay`, else none].
    pub delay: Option<Span>,
    /// What follows on a failure [default: `update_config.failure_action`, else `rollback`].
    pub failure_action: Option<FailureAction>,
    /// How long a release is watched after the switch, and how long a container without health
    /// check must run to count as well [default: `update_config.monitor`, else 6s, back 500ms].
    pub monitor: Option<Span>,
    /// The part of a service's containers on a host that may fail, 0 to 1
    /// [default: `update_config.max_failure_ratio`, else 0].
    pub max_failure_ratio: Option<f64>,
    /// How long services may take to become healthy [default: 2m, or what their checks need].
    pub deadline: Option<Span>,
    /// How long requests in flight may take to end [default: 30s].
    pub grace: Option<Span>,
    /// How many old stacks stay on a host, stopped [default: 1].
    pub keep: Option<u32>,
    /// How many releases a host remembers [default: 20].
    pub history: Option<u32>,
    /// How long the lock of a deployer that died still counts [default: 1m].
    pub lease: Option<Span>,
    /// How long a host may be away during a rollout before it is given up [default: 30s].
    pub away: Option<Span>,
    /// Volumes (`x-lotse: { per: release }`) that go with the stack of their release. Others stay.
    pub discard_volumes: Vec<String>,
}

/// What is asked before the switch: `[:PORT]/PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Health {
    /// The published port [default: the first that speaks HTTP, else the first].
    pub port: Option<u16>,
    /// The path, which begins with `/`.
    pub path: String,
}

/// Why a text is no `lotse.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It does not fit.
    #[error("lotse.toml: {}", .0.trim_end())]
    Toml(String),
    /// A number is out of its range.
    #[error("lotse.toml: `max_failure_ratio` of the environment `{0}` must be 0 to 1")]
    Ratio(EnvironmentName),
}

/// A text that is no health path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is nothing to ask for: give a path, such as /ping, or a port and a path, such as :8080/ping"
)]
pub struct HealthError(String);

impl FromStr for Settings {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let settings: Self =
            toml::from_str(text).map_err(|error| SettingsError::Toml(error.to_string()))?;
        let ratio = |environment: &Environment| environment.max_failure_ratio.unwrap_or(0.0);
        let wrong = settings
            .environments
            .iter()
            .find(|(_, environment)| !(0.0..=1.0).contains(&ratio(environment)));
        match wrong {
            Some((name, _)) => Err(SettingsError::Ratio(name.clone())),
            None => Ok(settings),
        }
    }
}

impl FromStr for Health {
    type Err = HealthError;

    fn from_str(text: &str) -> Result<Self, HealthError> {
        let bad = || HealthError(text.chars().take(100).collect());
        let slash = text.find('/').ok_or_else(bad)?;
        let (port, path) = text.split_at(slash);
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port.parse().map_err(|_| bad())?),
            None if port.is_empty() => None,
            None => return Err(bad()),
        };
        let plain = path.len() <= 2000 && path.bytes().all(|byte| byte.is_ascii_graphic());
        if plain && port != Some(0) {
            Ok(Self {
                port,
                path: path.to_owned(),
            })
        } else {
            Err(bad())
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, ":{port}{}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

impl TryFrom<String> for Health {
    type Error = HealthError;

    fn try_from(text: String) -> Result<Self, HealthError> {
        text.parse()
    }
}

impl From<Health> for String {
    fn from(health: Health) -> Self {
        health.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_read() {
        let text = r#"
            [environment.prod]
            compose = ["docker-compose.prod.yml"]
            hosts   = ["ssh://deploy@invenio01-prod", "ssh://deploy@invenio02-prod"]
            health  = "/ping"
            monitor = "1m30s"
            failure_action = "pause"

            [environment.prod.variables]
            TAG_PROD = "v1"
        "#;
        let settings: Settings = text.parse().unwrap();
        let prod = settings.environments.values().next().unwrap();
        assert_eq!(prod.hosts[1].short(), "invenio02-prod");
        assert_eq!(
            prod.health,
            Some(Health {
                port: None,
                path: "/ping".to_owned()
            })
        );
        assert_eq!(prod.monitor, Some(Span::seconds(90)));
        assert_eq!(prod.failure_action, Some(FailureAction::Pause));
        assert_eq!(prod.variables["TAG_PROD"], "v1");
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, part) in [
            ("[environment.prod]\nhost = []", "unknown field `host`"),
            (
                "[environment.prod]\nhosts = [\"a b\"]",
                "`a b` is not a host's address",
            ),
            (
                "[environment.prod]\nhealth = \"ping\"",
                "`ping` is nothing to ask for",
            ),
            (
                "[environment.prod]\nmonitor = \"5\"",
                "`5` is no length of time",
            ),
            (
                "[environment.prod]\nmax_failure_ratio = 2.0",
                "must be 0 to 1",
            ),
        ] {
            let error = text.parse::<Settings>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            assert!(
                error.contains("line 2") || error.contains("prod"),
                "{error}"
            );
        }
    }

    #[test]
    fn health_paths() {
        for (text, good) in [
            ("/ping", true),
            (":8080/ping", true),
            ("8080/ping", false),
            (":0/ping", false),
            ("", false),
            ("/pi ng", false),
        ] {
            let parsed = text.parse::<Health>();
            assert_eq!(parsed.is_ok(), good, "{text}");
            assert!(parsed.is_err() || parsed.unwrap().to_string() == text);
        }
    }
}
