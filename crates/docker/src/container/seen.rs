//! What an engine says of a container.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bollard::models as wire;
use jiff::Timestamp;
use model::Secret;

use super::spec::{Port, PublishedPort, Restart, Transport};
use crate::error::Problem;
use crate::name::{ImageRef, Name};
use crate::time::timestamp;

/// A container as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: Name,
    /// Its name.
    pub name: Name,
    /// The id of its image.
    pub image: ImageRef,
    /// The image as it was named at the creation.
    pub image_name: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// What it does.
    pub state: State,
    /// How it is, where it has a health check.
    pub health: Option<Health>,
    /// What its health check runs, where it has one.
    pub health_test: Option<TestSeen>,
    /// How often its restart policy has brought it back.
    pub restarts: u64,
    /// Its labels, and the image's.
    pub labels: BTreeMap<String, String>,
    /// Its variables, and the image's; the values may be secrets.
    pub environment: BTreeMap<String, Secret>,
    /// The program and all arguments that it was started with.
    pub command: Vec<String>,
    /// Networks by their names.
    pub networks: BTreeMap<String, Endpoint>,
    /// The network mode: `host`, `none`, `bridge`, `container:ID` or a network's name.
    pub network_mode: String,
    /// Ports that the host listens on for it, now; a container that does not run has none.
    pub ports: Vec<PublishedPort>,
    /// What is mounted.
    pub mounts: Vec<MountSeen>,
    /// How long it is given to stop; 10 s where nobody said so.
    pub stop_grace: Duration,
    /// Whether it comes back when it ends.
    pub restart: Restart,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was never started.
    Created,
    /// It runs.
    Running {
        /// Since when.
        since: Option<Timestamp>,
        /// The process on the host.
        pid: u32,
    },
    /// It is frozen.
    Paused,
    /// It ended and its restart policy is about to bring it back.
    Restarting {
        /// How it ended.
        exit_code: i64,
    },
    /// It ended.
    Exited {
        /// How; 128 and the signal when a signal ended it.
        exit_code: i64,
        /// When.
        at: Option<Timestamp>,
        /// Whether it wanted too much memory.
        out_of_memory: bool,
        /// Why it could not be started; empty otherwise.
        error: String,
    },
    /// It is on its way out, or something prevented that.
    Gone,
}

impl State {
    /// Whether it runs (a frozen or restarting one does not).
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// In a word.
    pub status: HealthStatus,
    /// So many checks failed in a row.
    pub failing: u64,
    /// The last check's output.
    pub output: String,
}

/// A program that exits 0 in a healthy container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestSeen {
    /// It and its arguments.
    pub command: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// The verdict of a container's health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HealthStatus {
    /// It is not yet known.
    Starting,
    /// It is well.
    Healthy,
    /// It is not.
    Unhealthy,
}

/// A container's place in a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// The network's id; empty before the first start.
    pub network: String,
    /// The address; nothing while it does not run.
    pub ipv4: Option<IpAddr>,
    /// The address; nothing while it does not run.
    pub ipv6: Option<IpAddr>,
    /// The address that it was told to have, also while it does not run.
    pub fixed_ipv4: Option<Ipv4Addr>,
    /// Names by which others find it.
    pub aliases: Vec<String>,
}

/// Something mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSeen {
    /// The volume's name, if it is one.
    pub volume: Option<String>,
    /// The path on the host.
    pub source: String,
    /// Where, in the container.
    pub target: String,
    /// Whether it can only be read.
    pub read_only: bool,
}

impl Container {
    pub(super) fn seen(seen: wire::ContainerInspectResponse) -> Result<Self, Problem> {
        let config = seen.config.unwrap_or_default();
        let network = seen.network_settings.unwrap_or_default();
        let state = seen.state.unwrap_or_default();
        let arguments = seen.args.unwrap_or_default();
        let host = seen.host_config.unwrap_or_default();
        Ok(Self {
            id: required(seen.id, "id")?,
            name: required(seen.name, "name")?,
            image: required(seen.image, "image")?,
            image_name: config.image.unwrap_or_default(),
            created: timestamp(seen.created.as_deref()),
            health: state.health.clone().and_then(health),
            health_test: config
                .healthcheck
                .and_then(|test| health_test(test, config.shell)),
            state: self::state(state),
            restarts: seen.restart_count.map_or(0, unsigned),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            environment: environment(config.env.unwrap_or_default()),
            command: seen.path.into_iter().chain(arguments).collect(),
            networks: endpoints(network.networks),
            stop_grace: config.stop_timeout.map_or(STOP_GRACE, |time| {
                Duration::from_secs(time.try_into().unwrap_or_default())
            }),
            restart: host.restart_policy.map(restart).unwrap_or_default(),
            network_mode: host.network_mode.unwrap_or_default(),
            ports: published(network.ports.unwrap_or_default()),
            mounts: seen
                .mounts
                .unwrap_or_default()
                .into_iter()
                .map(mount)
                .collect(),
        })
    }
}

/// The Engine's default for `docker stop`.
const STOP_GRACE: Duration = Duration::from_secs(10);

fn restart(policy: wire::RestartPolicy) -> Restart {
    use wire::RestartPolicyNameEnum as Word;
    match policy.name {
        Some(Word::ALWAYS) => Restart::Always,
        Some(Word::UNLESS_STOPPED) => Restart::UnlessStopped,
        Some(Word::ON_FAILURE) => {
            let most = policy.maximum_retry_count.filter(|most| *most > 0);
            Restart::OnFailure(most.and_then(|most| most.try_into().ok()))
        }
        Some(Word::NO | Word::EMPTY) | None => Restart::No,
    }
}

fn required<T: std::str::FromStr>(value: Option<String>, what: &str) -> Result<T, Problem> {
    let value = value.unwrap_or_default();
    let strange = || Problem::Strange(format!("a container's {what} is `{value}`"));
    value.parse().map_err(|_| strange())
}

fn state(state: wire::ContainerState) -> State {
    use wire::ContainerStateStatusEnum as Status;
    let exit_code = state.exit_code.unwrap_or_default();
    match state.status.unwrap_or(Status::EMPTY) {
        Status::EMPTY | Status::CREATED => State::Created,
        Status::RUNNING | Status::STOPPING => State::Running {
            since: timestamp(state.started_at.as_deref()),
            pid: state.pid.and_then(|pid| pid.try_into().ok()).unwrap_or(0),
        },
        Status::PAUSED => State::Paused,
        Status::RESTARTING => State::Restarting { exit_code },
        Status::EXITED => State::Exited {
            exit_code,
            at: timestamp(state.finished_at.as_deref()),
            out_of_memory: state.oom_killed.unwrap_or_default(),
            error: state.error.unwrap_or_default(),
        },
        Status::REMOVING | Status::DEAD => State::Gone,
    }
}

fn health(health: wire::Health) -> Option<Health> {
    use wire::HealthStatusEnum as Status;
    let status = match health.status? {
        Status::EMPTY | Status::NONE => return None,
        Status::STARTING => HealthStatus::Starting,
        Status::HEALTHY => HealthStatus::Healthy,
        Status::UNHEALTHY => HealthStatus::Unhealthy,
    };
    let last = health.log.unwrap_or_default().pop();
    Some(Health {
        status,
        failing: health.failing_streak.map_or(0, unsigned),
        output: last.and_then(|check| check.output).unwrap_or_default(),
    })
}

/// The shell of an image that names none.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];
/// The Engine's default for the time of one test.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

fn health_test(test: wire::HealthConfig, shell: Option<Vec<String>>) -> Option<TestSeen> {
    let timeout = test.timeout.and_then(|nanos| u64::try_from(nanos).ok());
    let mut words = test.test?.into_iter();
    let mut command = match words.next()?.as_str() {
        "CMD" => Vec::new(),
        "CMD-SHELL" => shell
            .filter(|shell| !shell.is_empty())
            .unwrap_or_else(|| SHELL.map(str::to_owned).into()),
        _ => return None,
    };
    command.extend(words);
    (!command.is_empty()).then(|| TestSeen {
        command,
        timeout: timeout
            .filter(|nanos| *nanos > 0)
            .map_or(TEST_TIMEOUT, Duration::from_nanos),
    })
}

fn environment(variables: Vec<String>) -> BTreeMap<String, Secret> {
    let split = |variable: String| {
        let (name, value) = variable.split_once('=')?;
        Some((name.to_owned(), Secret::new(value)))
    };
    variables.into_iter().filter_map(split).collect()
}

pub(super) fn endpoints(
    networks: Option<std::collections::HashMap<String, wire::EndpointSettings>>,
) -> BTreeMap<String, Endpoint> {
    let endpoint = |(name, seen): (String, wire::EndpointSettings)| {
        let endpoint = Endpoint {
            network: seen.network_id.unwrap_or_default(),
            ipv4: seen.ip_address.and_then(|address| address.parse().ok()),
            ipv6: seen
                .global_ipv6_address
                .and_then(|address| address.parse().ok()),
            fixed_ipv4: seen
                .ipam_config
                .and_then(|config| config.ipv4_address?.parse().ok()),
            aliases: seen.aliases.unwrap_or_default(),
        };
        (name, endpoint)
    };
    networks.into_iter().flatten().map(endpoint).collect()
}

fn published(ports: wire::PortMap) -> Vec<PublishedPort> {
    let mut published = Vec::new();
    for (port, bindings) in ports {
        let Some(container) = port_of(&port) else {
            continue;
        };
        for binding in bindings.into_iter().flatten() {
            let host: Option<u16> = binding.host_port.and_then(|port| port.parse().ok());
            published.push(PublishedPort {
                container,
                address: binding.host_ip.and_then(|address| address.parse().ok()),
                host: host.map(|port| (port, port)),
            });
        }
    }
    published.sort_by_key(|port| (port.container, port.address, port.host));
    published
}

fn port_of(text: &str) -> Option<Port> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        "sctp" => Transport::Sctp,
        _ => return None,
    };
    Some(Port {
        number: number.parse().ok()?,
        protocol,
    })
}

fn mount(seen: wire::MountPoint) -> MountSeen {
    MountSeen {
        volume: seen.name.filter(|name| !name.is_empty()),
        source: seen.source.unwrap_or_default(),
        target: seen.destination.unwrap_or_default(),
        read_only: !seen.rw.unwrap_or(true),
    }
}

fn unsigned(number: i64) -> u64 {
    number.try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(change: Value) -> Container {
        let mut json = json!({
            "Id": "ab12", "Name": "/web", "Image": format!("sha256:{}", "0".repeat(64)),
            "State": {"Status": "running", "Pid": 7},
            "Config": {"Env": ["A=1=2", "B"], "Labels": null},
        });
        for (key, value) in change.as_object().unwrap() {
            json[key] = value.clone();
        }
        Container::seen(serde_json::from_value(json).unwrap()).unwrap()
    }

    #[test]
    fn states() {
        let ended = json!({"State": {
            "Status": "exited", "ExitCode": 137, "OOMKilled": true,
            "FinishedAt": "2026-01-01T00:00:00Z", "Error": "",
        }});
        assert_eq!(
            seen(ended).state,
            State::Exited {
                exit_code: 137,
                at: "2026-01-01T00:00:00Z".parse().ok(),
                out_of_memory: true,
                error: String::new(),
            }
        );
        assert!(seen(json!({})).state.is_running());
        let restarting = json!({"State": {"Status": "restarting", "Running": true, "ExitCode": 3}});
        assert_eq!(seen(restarting).state, State::Restarting { exit_code: 3 });
    }

    #[test]
    fn a_health_test_is_a_program_with_arguments() {
        let minute = 60_000_000_000_u64;
        let cases = [
            (json!({}), None),
            (json!({"Healthcheck": {"Test": ["NONE"]}}), None),
            (json!({"Healthcheck": {"Test": []}}), None),
            (
                json!({"Healthcheck": {"Test": ["CMD", "ask", "me"], "Timeout": minute}}),
                Some((vec!["ask", "me"], 60)),
            ),
            (
                json!({"Healthcheck": {"Test": ["CMD-SHELL", "ask me"], "Timeout": 0}}),
                Some((vec!["/bin/sh", "-c", "ask me"], 30)),
            ),
            (
                json!({"Healthcheck": {"Test": ["CMD-SHELL", "ask"]}, "Shell": ["bash", "-ec"]}),
                Some((vec!["bash", "-ec", "ask"], 30)),
            ),
        ];
        for (config, expected) in cases {
            let found = seen(json!({ "Config": config })).health_test;
            let expected = expected.map(|(command, seconds)| TestSeen {
                command: command.into_iter().map(str::to_owned).collect(),
                timeout: Duration::from_secs(seconds),
            });
            assert_eq!(found, expected, "{config}");
        }
    }

    #[test]
    fn health_is_there_only_with_a_check() {
        let state = |health: Value| json!({"State": {"Status": "running", "Health": health}});
        assert_eq!(seen(state(json!({"Status": "none"}))).health, None);
        let health = json!({
            "Status": "unhealthy", "FailingStreak": 4,
            "Log": [{"Output": "first"}, {"Output": "last"}],
        });
        let health = seen(state(health)).health.unwrap();
        assert_eq!(health.status, HealthStatus::Unhealthy);
        assert_eq!((health.failing, health.output.as_str()), (4, "last"));
    }

    #[test]
    fn ports_and_variables() {
        let network = json!({"NetworkSettings": {"Ports": {
            "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "53/udp": null,
        }}});
        let container = seen(network);
        assert_eq!(container.ports.len(), 1);
        assert_eq!(container.ports[0].host, Some((8080, 8080)));
        assert_eq!(container.environment["A"].expose(), "1=2");
        assert_eq!(container.name.as_str(), "web");
    }
}
