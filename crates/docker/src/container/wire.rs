//! A spec in the Engine's JSON (`POST /containers/create`).

use std::collections::{BTreeMap, HashMap};

use bollard::models as wire;

use super::spec::{
    Attachment, CgroupNamespace, ContainerSpec, Device, DeviceRate, DeviceRequest, Healthcheck,
    Mount, MountSource, Networking, Port, Propagation, PublishedPort, Resources, Restart,
    Transport,
};
use crate::time::{nanoseconds, seconds};

/// The body of the request, but for the networks behind the first.
pub(super) fn body(spec: &ContainerSpec) -> wire::ContainerCreateBody {
    let ports = spec.ports.iter().map(|port| &port.container);
    wire::ContainerCreateBody {
        image: Some(spec.image.to_string()),
        cmd: spec.command.clone(),
        entrypoint: spec.entrypoint.clone(),
        env: some(environment(spec)),
        labels: some_map(&spec.labels),
        working_dir: spec.working_dir.clone(),
        user: spec.user.clone(),
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        tty: Some(spec.terminal),
        open_stdin: Some(spec.open_stdin),
        exposed_ports: some(spec.exposed.iter().chain(ports).map(port).collect()),
        healthcheck: spec.healthcheck.as_ref().map(healthcheck),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace.map(seconds),
        host_config: Some(host_config(spec)),
        networking_config: first_network(&spec.networking),
        ..Default::default()
    }
}

/// One network, as it is told at the creation and at a connection.
pub(crate) fn endpoint(attachment: &Attachment) -> wire::EndpointSettings {
    let has_address =
        attachment.ipv4.is_some() || attachment.ipv6.is_some() || !attachment.link_local.is_empty();
    let ipam = wire::EndpointIpamConfig {
        ipv4_address: attachment.ipv4.map(|address| address.to_string()),
        ipv6_address: attachment.ipv6.map(|address| address.to_string()),
        link_local_ips: some(texts(&attachment.link_local)),
    };
    wire::EndpointSettings {
        aliases: some(attachment.aliases.clone()),
        ipam_config: has_address.then_some(ipam),
        mac_address: attachment.mac_address.clone(),
        driver_opts: some_map(&attachment.options),
        ..Default::default()
    }
}

fn environment(spec: &ContainerSpec) -> Vec<String> {
    let variable = |(name, value): (&String, &Option<model::Secret>)| match value {
        Some(value) => format!("{name}={}", value.expose()),
        None => name.clone(),
    };
    spec.environment.iter().map(variable).collect()
}

fn first_network(networking: &Networking) -> Option<wire::NetworkingConfig> {
    let Networking::Networks(networks) = networking else {
        return None;
    };
    let first = networks.first()?;
    let endpoints = HashMap::from([(first.network.to_string(), endpoint(first))]);
    Some(wire::NetworkingConfig {
        endpoints_config: Some(endpoints),
    })
}

fn network_mode(networking: &Networking) -> Option<String> {
    match networking {
        Networking::Default => None,
        Networking::None => Some("none".to_owned()),
        Networking::Host => Some("host".to_owned()),
        Networking::Container(name) => Some(format!("container:{name}")),
        Networking::Networks(networks) => match networks.first() {
            Some(first) => Some(first.network.to_string()),
            None => Some("none".to_owned()),
        },
    }
}

fn host_config(spec: &ContainerSpec) -> wire::HostConfig {
    let security = &spec.security;
    let namespaces = &spec.namespaces;
    let hosts = spec.extra_hosts.iter();
    wire::HostConfig {
        network_mode: network_mode(&spec.networking),
        port_bindings: some_map_of(port_bindings(&spec.ports)),
        mounts: some(
            spec.mounts
                .iter()
                .filter(|m| !is_made(m))
                .map(mount)
                .collect(),
        ),
        binds: some(spec.mounts.iter().filter_map(bind).collect()),
        volumes_from: some(spec.volumes_from.clone()),
        restart_policy: Some(restart(spec.restart)),
        auto_remove: Some(spec.auto_remove),
        init: spec.init,
        extra_hosts: some(hosts.map(|h| format!("{}:{}", h.name, h.address)).collect()),
        dns: some(texts(&spec.dns.servers)),
        dns_search: some(spec.dns.search.clone()),
        dns_options: some(spec.dns.options.clone()),
        group_add: some(spec.groups.clone()),
        privileged: Some(security.privileged),
        readonly_rootfs: Some(security.read_only),
        cap_add: some(security.cap_add.clone()),
        cap_drop: some(security.cap_drop.clone()),
        security_opt: some(security.options.clone()),
        sysctls: some_map(&security.sysctls),
        devices: some(security.devices.iter().map(device).collect()),
        device_cgroup_rules: some(security.device_rules.clone()),
        log_config: spec
            .logging
            .as_ref()
            .map(|logging| wire::HostConfigLogConfig {
                typ: Some(logging.driver.clone()),
                config: some_map(&logging.options),
            }),
        pid_mode: namespaces.pid.clone(),
        ipc_mode: namespaces.ipc.clone(),
        uts_mode: namespaces.uts.clone(),
        userns_mode: namespaces.user.clone(),
        cgroupns_mode: namespaces.cgroup.map(|namespace| match namespace {
            CgroupNamespace::Host => wire::HostConfigCgroupnsModeEnum::HOST,
            CgroupNamespace::Private => wire::HostConfigCgroupnsModeEnum::PRIVATE,
        }),
        runtime: spec.runtime.clone(),
        annotations: some_map(&spec.annotations),
        storage_opt: some_map(&spec.storage),
        ..limits(&spec.resources)
    }
}

fn limits(resources: &Resources) -> wire::HostConfig {
    let ulimits = resources.ulimits.iter();
    wire::HostConfig {
        memory: resources.memory.map(signed),
        memory_reservation: resources.memory_reservation.map(signed),
        memory_swap: resources.memory_swap,
        memory_swappiness: resources.swappiness.map(i64::from),
        nano_cpus: resources.nano_cpus.map(signed),
        cpu_shares: resources.cpu_shares.map(signed),
        cpu_period: resources.cpu_period.map(signed),
        cpu_quota: resources.cpu_quota,
        cpu_realtime_runtime: resources.cpu_rt_runtime,
        cpu_realtime_period: resources.cpu_rt_period,
        cpuset_cpus: resources.cpuset.clone(),
        pids_limit: resources.pids,
        shm_size: resources.shm_size.map(signed),
        blkio_weight: resources.blkio_weight,
        blkio_weight_device: some(resources.blkio_weight_device.iter().map(weight).collect()),
        blkio_device_read_bps: rates(&resources.device_read_bps),
        blkio_device_write_bps: rates(&resources.device_write_bps),
        blkio_device_read_iops: rates(&resources.device_read_iops),
        blkio_device_write_iops: rates(&resources.device_write_iops),
        oom_score_adj: resources.oom_score_adj.map(i64::from),
        oom_kill_disable: resources.oom_kill_disable,
        ulimits: some(
            ulimits
                .map(|(name, limit)| wire::ResourcesUlimits {
                    name: Some(name.clone()),
                    soft: Some(limit.soft),
                    hard: Some(limit.hard),
                })
                .collect(),
        ),
        cgroup_parent: resources.cgroup_parent.clone(),
        device_requests: some(
            resources
                .device_requests
                .iter()
                .map(device_request)
                .collect(),
        ),
        ..Default::default()
    }
}

/// Whether it is a folder that is made where nothing is. Before API 1.42 only the old form of
/// mounts can.
fn is_made(mount: &Mount) -> bool {
    matches!(mount.source, MountSource::Bind { create: true, .. })
}

/// The old form: `/host:/container:ro,rslave`.
fn bind(mount: &Mount) -> Option<String> {
    let MountSource::Bind {
        path,
        create: true,
        propagation,
        ..
    } = &mount.source
    else {
        return None;
    };
    let access = if mount.read_only { "ro" } else { "rw" };
    let propagation = propagation.map(|propagation| format!(",{}", propagation_word(propagation)));
    let propagation = propagation.unwrap_or_default();
    Some(format!("{path}:{}:{access}{propagation}", mount.target))
}

fn mount(mount: &Mount) -> wire::Mount {
    let common = wire::Mount {
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        ..Default::default()
    };
    match &mount.source {
        MountSource::Bind {
            path,
            propagation,
            recursive,
            ..
        } => wire::Mount {
            typ: Some(wire::MountType::BIND),
            source: Some(path.clone()),
            bind_options: Some(wire::MountBindOptions {
                propagation: propagation.map(propagation_word),
                non_recursive: Some(!recursive),
                ..Default::default()
            }),
            ..common
        },
        MountSource::Volume {
            name,
            no_copy,
            subpath,
        } => wire::Mount {
            typ: Some(wire::MountType::VOLUME),
            source: name.as_ref().map(ToString::to_string),
            volume_options: Some(wire::MountVolumeOptions {
                no_copy: Some(*no_copy),
                subpath: subpath.clone(),
                ..Default::default()
            }),
            ..common
        },
        MountSource::Tmpfs { size, mode } => wire::Mount {
            typ: Some(wire::MountType::TMPFS),
            tmpfs_options: Some(wire::MountTmpfsOptions {
                size_bytes: size.map(signed),
                mode: mode.map(i64::from),
                ..Default::default()
            }),
            ..common
        },
    }
}

fn propagation_word(propagation: Propagation) -> wire::MountBindOptionsPropagationEnum {
    use wire::MountBindOptionsPropagationEnum as Word;
    match propagation {
        Propagation::Private => Word::PRIVATE,
        Propagation::Rprivate => Word::RPRIVATE,
        Propagation::Shared => Word::SHARED,
        Propagation::Rshared => Word::RSHARED,
        Propagation::Slave => Word::SLAVE,
        Propagation::Rslave => Word::RSLAVE,
    }
}

fn port(port: &Port) -> String {
    let protocol = match port.protocol {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
        Transport::Sctp => "sctp",
    };
    format!("{}/{protocol}", port.number)
}

fn port_bindings(ports: &[PublishedPort]) -> wire::PortMap {
    let mut bindings = wire::PortMap::new();
    for published in ports {
        let host_port = published.host.map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        let binding = wire::PortBinding {
            host_ip: published.address.map(|address| address.to_string()),
            host_port: Some(host_port.unwrap_or_default()),
        };
        let of_port = bindings.entry(port(&published.container)).or_default();
        of_port.get_or_insert_default().push(binding);
    }
    bindings
}

pub(super) fn restart(restart: Restart) -> wire::RestartPolicy {
    use wire::RestartPolicyNameEnum as Word;
    let (name, count) = match restart {
        Restart::No => (Word::NO, None),
        Restart::Always => (Word::ALWAYS, None),
        Restart::UnlessStopped => (Word::UNLESS_STOPPED, None),
        Restart::OnFailure(count) => (Word::ON_FAILURE, count),
    };
    wire::RestartPolicy {
        name: Some(name),
        maximum_retry_count: count.map(i64::from),
    }
}

fn healthcheck(healthcheck: &Healthcheck) -> wire::HealthConfig {
    match healthcheck {
        Healthcheck::Disabled => wire::HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..Default::default()
        },
        Healthcheck::Test(test) => wire::HealthConfig {
            test: some(test.command.clone()),
            interval: test.interval.map(nanoseconds),
            timeout: test.timeout.map(nanoseconds),
            retries: test.retries.map(i64::from),
            start_period: test.start_period.map(nanoseconds),
            start_interval: test.start_interval.map(nanoseconds),
        },
    }
}

fn device(device: &Device) -> wire::DeviceMapping {
    wire::DeviceMapping {
        path_on_host: Some(device.host.clone()),
        path_in_container: Some(device.container.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    }
}

fn device_request(request: &DeviceRequest) -> wire::DeviceRequest {
    wire::DeviceRequest {
        driver: request.driver.clone(),
        count: request.count,
        device_ids: some(request.ids.clone()),
        capabilities: some(request.capabilities.clone()),
        options: some_map(&request.options),
    }
}

fn weight(device: &DeviceRate) -> wire::ResourcesBlkioWeightDevice {
    wire::ResourcesBlkioWeightDevice {
        path: Some(device.path.clone()),
        weight: usize::try_from(device.rate).ok(),
    }
}

fn rates(devices: &[DeviceRate]) -> Option<Vec<wire::ThrottleDevice>> {
    let rate = |device: &DeviceRate| wire::ThrottleDevice {
        path: Some(device.path.clone()),
        rate: Some(signed(device.rate)),
    };
    some(devices.iter().map(rate).collect())
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What is empty is not said.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

pub(crate) fn some_map(map: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    let entry = |(name, value): (&String, &String)| (name.clone(), value.clone());
    some_map_of(map.iter().map(entry).collect())
}

fn some_map_of<V>(map: HashMap<String, V>) -> Option<HashMap<String, V>> {
    (!map.is_empty()).then_some(map)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::super::spec::{Attachment, ContainerSpec, HealthTest, Logging, Ulimit};
    use super::*;

    fn json_of(change: impl FnOnce(&mut ContainerSpec)) -> Value {
        let mut spec = ContainerSpec::new("web:1".parse().unwrap());
        change(&mut spec);
        serde_json::to_value(body(&spec)).unwrap()
    }

    /// Each case: what is said in the spec, where in the JSON, and what must stand there.
    #[test]
    fn each_word_arrives_where_the_engine_reads_it() {
        type Change = fn(&mut ContainerSpec);
        let cases: &[(Change, &str, Value)] = &[
            (|_| {}, "/Image", json!("web:1")),
            (|s| s.command = Some(vec!["a".into()]), "/Cmd", json!(["a"])),
            (
                |s| {
                    s.environment.insert("A".into(), Some("1".into()));
                    s.environment.insert("B".into(), None);
                },
                "/Env",
                json!(["A=1", "B"]),
            ),
            (
                |s| {
                    s.ports.push(PublishedPort {
                        container: Port {
                            number: 80,
                            protocol: Transport::Tcp,
                        },
                        address: Some([127, 0, 0, 1].into()),
                        host: Some((8080, 8081)),
                    });
                },
                "/HostConfig/PortBindings",
                json!({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080-8081"}]}),
            ),
            (
                |s| {
                    s.exposed.push(Port {
                        number: 53,
                        protocol: Transport::Udp,
                    });
                },
                "/ExposedPorts",
                json!({"53/udp": {}}),
            ),
            (
                |s| s.restart = Restart::OnFailure(Some(3)),
                "/HostConfig/RestartPolicy",
                json!({"Name": "on-failure", "MaximumRetryCount": 3}),
            ),
            (
                |s| s.healthcheck = Some(Healthcheck::Disabled),
                "/Healthcheck/Test",
                json!(["NONE"]),
            ),
            (
                |s| {
                    s.healthcheck = Some(Healthcheck::Test(HealthTest {
                        interval: Some(Duration::from_millis(1500)),
                        ..HealthTest::default()
                    }));
                },
                "/Healthcheck",
                json!({"Interval": 1_500_000_000}),
            ),
            (
                |s| s.networking = Networking::Host,
                "/HostConfig/NetworkMode",
                json!("host"),
            ),
            (
                |s| {
                    let mut network = Attachment::new("n".parse().unwrap(), ["web".into()]);
                    network.ipv4 = Some([10, 0, 0, 2].into());
                    s.networking = Networking::Networks(vec![network]);
                },
                "/NetworkingConfig/EndpointsConfig/n",
                json!({"Aliases": ["web"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}}),
            ),
            (
                |s| s.mounts.push(Mount::volume("v".parse().unwrap(), "/data")),
                "/HostConfig/Mounts/0/Source",
                json!("v"),
            ),
            (
                |s| s.mounts.push(Mount::bind("/a", "/b")),
                "/HostConfig/Mounts/0/Source",
                json!("/a"),
            ),
            (
                |s| {
                    let mut mount = Mount::bind("/a", "/b");
                    mount.read_only = true;
                    if let MountSource::Bind { create, .. } = &mut mount.source {
                        *create = true;
                    }
                    s.mounts.push(mount);
                },
                "/HostConfig/Binds",
                json!(["/a:/b:ro"]),
            ),
            (
                |s| s.stop_grace = Some(Duration::from_millis(1200)),
                "/StopTimeout",
                json!(2),
            ),
            (
                |s| {
                    let limit = Ulimit { soft: 1, hard: 2 };
                    s.resources.ulimits.insert("nofile".into(), limit);
                },
                "/HostConfig/Ulimits/0",
                json!({"Name": "nofile", "Soft": 1, "Hard": 2}),
            ),
            (
                |s| {
                    s.logging = Some(Logging {
                        driver: "json-file".into(),
                        options: BTreeMap::from([("max-size".into(), "1m".into())]),
                    });
                },
                "/HostConfig/LogConfig",
                json!({"Type": "json-file", "Config": {"max-size": "1m"}}),
            ),
            (
                |s| s.resources.nano_cpus = Some(1_500_000_000),
                "/HostConfig/NanoCpus",
                json!(1_500_000_000),
            ),
            (
                |s| s.security.cap_drop = vec!["ALL".into()],
                "/HostConfig/CapDrop",
                json!(["ALL"]),
            ),
        ];
        for (change, place, expected) in cases {
            let json = json_of(change);
            assert_eq!(json.pointer(place), Some(expected), "{place} in {json:#}");
        }
    }

    #[test]
    fn what_is_not_said_is_not_sent() {
        let json = json_of(|_| {});
        for place in [
            "/Cmd",
            "/Env",
            "/Healthcheck",
            "/NetworkingConfig",
            "/HostConfig/Dns",
        ] {
            assert_eq!(json.pointer(place), None, "{place}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut spec = ContainerSpec::new("web".parse().unwrap());
        let value = Some("hunter2".into());
        spec.environment.insert("PASSWORD".to_owned(), value);
        assert!(!format!("{spec:?}").contains("hunter2"));
    }
}
