//! From what a compose file says of a service to what an engine is asked for. Pure.
//!
//! Every attribute of a service is carried over, or is a [`Refusal`]; or the engine itself has no
//! use for it, as [`refusals`] says. Names on the engine come from outside, so that releases and
//! plain compose projects are made in the same way.

mod files;
mod limits;
mod mounts;
mod resources;

use std::collections::BTreeMap;
use std::net::IpAddr;

use compose::project::{
    self, Endpoint, Expose, Namespace, Networking, Port, Protocol, Published, Service, ServiceName,
    Test, VolumeName, VolumesFromSource,
};
use deploy::release::EngineRestart;
use docker::container::spec::{
    self, Attachment, CgroupNamespace, ContainerSpec, Device, Dns, ExtraHost, HealthTest,
    Healthcheck, Logging, Namespaces, PublishedPort, Restart, Security, Transport,
};
use docker::{ImageRef, Name};

pub use files::{PlacedFile, archive};
pub(crate) use resources::{network_spec, volume_spec};

/// A container to be made, and the files that are put into it before it starts.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) name: Name,
    pub(crate) spec: ContainerSpec,
    /// A tar archive for `/`.
    pub(crate) files: Option<Vec<u8>>,
}

/// What a service is set among: all that its own definition does not say.
pub struct Setting<'a> {
    /// The image.
    pub image: ImageRef,
    /// The networks, in the order of joining, with all names and addresses.
    pub networks: Vec<Attachment>,
    /// The names of its named volumes on the engine.
    pub volumes: BTreeMap<&'a VolumeName, String>,
    /// Labels beside those of the definition.
    pub labels: BTreeMap<String, String>,
    /// Ports that the engine publishes.
    pub ports: Vec<&'a Port>,
    /// When the engine starts it again.
    pub restart: EngineRestart,
    /// The container of another service, whose namespaces or mounts it shares.
    pub container_of: &'a dyn Fn(&ServiceName) -> String,
}

/// Something that a compose file asks for and that Lotse does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("service `{service}`: {what}")]
pub struct Refusal {
    /// The service.
    pub service: ServiceName,
    /// What, and what to do instead.
    pub what: String,
}

/// What a service asks for and does not get. To be asked before anything is touched.
///
/// Not refused, as no engine does anything with them: `deploy.labels` (of a service, not of its
/// containers), `restart_policy.delay` and `.window`, CPUs that are only reserved, a port's `name`.
pub fn refusals(name: &ServiceName, service: &Service) -> Vec<Refusal> {
    let mut found: Vec<String> = Vec::new();
    if service.isolation.is_some() || service.limits.cpu_count.is_some() {
        found.push("`isolation` and `cpu_count` are for Windows".to_owned());
    }
    if service.limits.cpu_percent.is_some() {
        found.push("`cpu_percent` is for Windows: use `cpus`".to_owned());
    }
    if !service.external_links.is_empty() {
        found.push(
            "`external_links` are not made: put both containers on an external network".to_owned(),
        );
    }
    if let Networking::Networks(networks) = &service.networking {
        found.extend(networks.values().flat_map(of_endpoint));
    }
    let with_files = !service.configs.is_empty() || !service.secrets.is_empty();
    if service.security.read_only && with_files {
        found.push(
            "the engine puts no configs and secrets into a container with `read_only: true`: mount \
             them from a folder of the host"
                .to_owned(),
        );
    }
    found.extend(mounts::refused(service));
    let refusal = |what| Refusal {
        service: name.clone(),
        what,
    };
    found.into_iter().map(refusal).collect()
}

fn of_endpoint(endpoint: &Endpoint) -> Vec<String> {
    let mut found = Vec::new();
    if endpoint.gw_priority != 0 {
        found.push("`gw_priority` needs an engine that is newer than Lotse knows".to_owned());
    }
    if endpoint.interface_name.is_some() {
        found.push("`interface_name` needs an engine that is newer than Lotse knows".to_owned());
    }
    found
}

/// The container that a service becomes. What [`refusals`] names is left out.
pub fn spec(service: &Service, setting: Setting<'_>) -> ContainerSpec {
    let mut spec = ContainerSpec::new(setting.image);
    spec.platform.clone_from(&service.platform);
    spec.command.clone_from(&service.command);
    spec.entrypoint.clone_from(&service.entrypoint);
    spec.environment.clone_from(&service.environment);
    spec.labels.clone_from(&service.labels);
    spec.labels.extend(setting.labels);
    spec.working_dir.clone_from(&service.working_dir);
    spec.user.clone_from(&service.user);
    spec.groups.clone_from(&service.group_add);
    spec.hostname.clone_from(&service.hostname);
    spec.domainname.clone_from(&service.domainname);
    spec.terminal = service.tty;
    spec.open_stdin = service.stdin_open;
    spec.init = service.init;
    spec.mounts = mounts::of(service, &setting.volumes);
    spec.volumes_from = volumes_from(service, setting.container_of);
    spec.networking = networking(service, setting.networks, setting.container_of);
    spec.ports = setting.ports.into_iter().map(published).collect();
    spec.exposed = exposed(service);
    spec.extra_hosts = service.extra_hosts.iter().map(extra_host).collect();
    spec.dns = Dns {
        servers: service
            .dns
            .iter()
            .filter_map(|server| server.parse().ok())
            .collect(),
        search: service.dns_search.clone(),
        options: service.dns_opt.clone(),
    };
    spec.restart = restart(setting.restart);
    spec.healthcheck = service.healthcheck.as_ref().map(healthcheck);
    spec.resources = limits::of(&service.limits, &service.security);
    spec.security = security(service);
    spec.logging = service.logging.as_ref().map(logging);
    spec.stop_signal.clone_from(&service.stop_signal);
    spec.stop_grace = service.stop_grace_period;
    spec.namespaces = namespaces(&service.security, setting.container_of);
    spec.runtime.clone_from(&service.runtime);
    spec.annotations.clone_from(&service.annotations);
    spec.storage.clone_from(&service.storage_opt);
    spec
}

/// A network's end as the engine is told it; `names` are all its names there.
pub fn attachment(network: Name, names: Vec<String>, endpoint: &Endpoint) -> Attachment {
    let mut attachment = Attachment::new(network, names);
    let given = |address: &Option<String>| address.as_ref().and_then(|text| text.parse().ok());
    attachment.ipv4 = endpoint
        .ipv4_address
        .as_ref()
        .and_then(|text| text.parse().ok());
    attachment.ipv6 = match given(&endpoint.ipv6_address) {
        Some(IpAddr::V6(address)) => Some(address),
        _ => None,
    };
    attachment.link_local = endpoint
        .link_local_ips
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    attachment.mac_address.clone_from(&endpoint.mac_address);
    attachment.options.clone_from(&endpoint.driver_opts);
    attachment
}

fn networking(
    service: &Service,
    networks: Vec<Attachment>,
    container_of: &dyn Fn(&ServiceName) -> String,
) -> spec::Networking {
    let other = |name: String| match name.parse() {
        Ok(name) => spec::Networking::Container(name),
        Err(_) => spec::Networking::None,
    };
    match &service.networking {
        Networking::Networks(_) if networks.is_empty() => spec::Networking::None,
        Networking::Networks(_) => spec::Networking::Networks(networks),
        Networking::None => spec::Networking::None,
        Networking::Host => spec::Networking::Host,
        Networking::Shared(Namespace::Service(name)) => other(container_of(name)),
        Networking::Shared(Namespace::Container(name)) => other(name.clone()),
        Networking::Shared(Namespace::Mode(word)) | Networking::Other(word) => {
            match (word.as_str(), word.parse()) {
                ("bridge" | "default", _) | (_, Err(_)) => spec::Networking::Default,
                (_, Ok(network)) => {
                    spec::Networking::Networks(vec![Attachment::new(network, Vec::new())])
                }
            }
        }
    }
}

fn volumes_from(service: &Service, container_of: &dyn Fn(&ServiceName) -> String) -> Vec<String> {
    let source = |from: &project::VolumesFrom| {
        let container = match &from.source {
            VolumesFromSource::Service(name) => container_of(name),
            VolumesFromSource::Container(name) => name.clone(),
        };
        match from.read_only {
            true => format!("{container}:ro"),
            false => container,
        }
    };
    service.volumes_from.iter().map(source).collect()
}

fn published(port: &Port) -> PublishedPort {
    PublishedPort {
        container: spec::Port {
            number: port.target,
            protocol: transport(port.protocol),
        },
        address: port.host_ip.as_ref().and_then(|ip| ip.parse().ok()),
        host: match port.published {
            Published::Ephemeral => None,
            Published::Port(number) => Some((number, number)),
            Published::Range(first, last) => Some((first, last)),
        },
    }
}

fn exposed(service: &Service) -> Vec<spec::Port> {
    let of_range = |expose: &Expose| {
        let protocol = transport(expose.protocol);
        (expose.first..=expose.last).map(move |number| spec::Port { number, protocol })
    };
    let published = service.ports.iter().map(|port| spec::Port {
        number: port.target,
        protocol: transport(port.protocol),
    });
    let mut ports: Vec<spec::Port> = service
        .expose
        .iter()
        .flat_map(of_range)
        .chain(published)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
        Protocol::Sctp => Transport::Sctp,
    }
}

fn extra_host(host: &project::ExtraHost) -> ExtraHost {
    ExtraHost {
        name: host.host.clone(),
        address: host.address.clone(),
    }
}

fn restart(restart: EngineRestart) -> Restart {
    match restart {
        EngineRestart::No => Restart::No,
        EngineRestart::OnFailure(attempts) => Restart::OnFailure(attempts),
        EngineRestart::UnlessStopped => Restart::UnlessStopped,
    }
}

fn healthcheck(check: &project::Healthcheck) -> Healthcheck {
    let command = match &check.test {
        Test::Disabled => return Healthcheck::Disabled,
        Test::Inherited => Vec::new(),
        Test::Command(words) => [&["CMD".to_owned()], words.as_slice()].concat(),
        Test::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
    };
    Healthcheck::Test(HealthTest {
        command,
        interval: check.interval,
        timeout: check.timeout,
        retries: check.retries,
        start_period: check.start_period,
        start_interval: check.start_interval,
    })
}

fn security(service: &Service) -> Security {
    let given = &service.security;
    let device = |device: &project::Device| Device {
        host: device.source.clone(),
        container: device.target.clone(),
        permissions: device.permissions.clone(),
    };
    Security {
        privileged: given.privileged,
        read_only: given.read_only,
        cap_add: given.cap_add.clone(),
        cap_drop: given.cap_drop.clone(),
        options: given.security_opt.clone(),
        sysctls: service.sysctls.clone(),
        devices: service.devices.iter().map(device).collect(),
        device_rules: given.device_cgroup_rules.clone(),
    }
}

/// An empty driver is the engine's own default.
fn logging(logging: &project::Logging) -> Logging {
    Logging {
        driver: logging.driver.clone().unwrap_or_default(),
        options: logging.options.clone(),
    }
}

fn namespaces(
    security: &project::Security,
    container_of: &dyn Fn(&ServiceName) -> String,
) -> Namespaces {
    let word = |namespace: &Namespace| match namespace {
        Namespace::Service(name) => format!("container:{}", container_of(name)),
        Namespace::Container(name) => format!("container:{name}"),
        Namespace::Mode(word) => word.clone(),
    };
    Namespaces {
        pid: security.pid.as_ref().map(word),
        ipc: security.ipc.as_ref().map(word),
        uts: security.uts.clone(),
        user: security.userns_mode.clone(),
        cgroup: security.cgroup.as_ref().map(|word| match word.as_str() {
            "host" => CgroupNamespace::Host,
            _ => CgroupNamespace::Private,
        }),
    }
}

#[cfg(test)]
mod tests;
