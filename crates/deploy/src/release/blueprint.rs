//! What one container shall be, with every name on the engine in place.

use std::collections::BTreeMap;

use compose::project::{
    Endpoint, Namespace, NetworkName, Networking, Port, Restart, RestartCondition, ServiceName,
    VolumeName,
};

use super::names::label;
use super::{Kind, Member, Release, kind, port};

/// One container to be made. What is not said here stands in the service's definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Blueprint<'a> {
    /// Its name.
    pub name: String,
    /// The service.
    pub member: &'a Member,
    /// The networks it is made with, in the order of joining.
    pub networks: Vec<Attachment>,
    /// The names of its named volumes on the engine.
    pub volumes: BTreeMap<&'a VolumeName, String>,
    /// Labels beside those of the definition.
    pub labels: BTreeMap<&'static str, String>,
    /// Ports that the engine itself publishes; the edge publishes the others.
    pub engine_ports: Vec<&'a Port>,
    /// The container whose network it shares, where it does so with one of the project.
    pub network_of: Option<String>,
    /// When the engine starts it again.
    pub restart: EngineRestart,
}

/// When the engine starts a container again. There is no `always`: the engine would start stopped
/// stacks when it is restarted itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineRestart {
    /// Never.
    No,
    /// When it fails, at most so often.
    OnFailure(Option<u32>),
    /// Whenever it ends by itself.
    UnlessStopped,
}

/// One network of a container, and the names it is found by there.
#[derive(Debug, Clone, PartialEq)]
pub struct Attachment {
    /// The network's name on the engine.
    pub network: String,
    /// All names, the service's own among them where it is found by it.
    pub aliases: Vec<String>,
    /// Addresses and options; its aliases are in `aliases` already.
    pub endpoint: Endpoint,
}

impl Release {
    /// The container `index` (from 1) of a service; `None` when the release has no such service.
    pub fn blueprint<'a>(&'a self, service: &ServiceName, index: u32) -> Option<Blueprint<'a>> {
        let member = self.services.get(service)?;
        let definition = &member.definition;
        let mut networks = self.shared_attachments(service, member);
        match member.kind() {
            Kind::Standing => networks.insert(0, self.standing_attachment(service)),
            Kind::Released | Kind::Once => networks.extend(self.stack_attachments(service)),
        }
        if !matches!(definition.networking, Networking::Networks(_)) {
            networks.clear();
        }
        networks.sort_by_key(|network| std::cmp::Reverse(network.endpoint.priority));
        Some(Blueprint {
            name: self.container_name(service, index),
            networks,
            volumes: kind::volumes(definition)
                .map(|(name, _)| (name, self.volume_name(name)))
                .collect(),
            labels: self.labels(service, member),
            engine_ports: definition
                .ports
                .iter()
                .filter(|given| port::at_edge(given).is_none())
                .collect(),
            network_of: match &definition.networking {
                Networking::Shared(Namespace::Service(other)) => {
                    Some(self.container_name(other, 1))
                }
                _ => None,
            },
            restart: match member.kind() {
                Kind::Once => EngineRestart::No,
                Kind::Released | Kind::Standing => restart(member),
            },
            member,
        })
    }

    /// The networks of this release's stack that a service is on, under its names: those that a
    /// container of the stack is made with, and those that a standing service joins.
    pub fn stack_attachments(&self, service: &ServiceName) -> Vec<Attachment> {
        let Some(member) = self.services.get(service) else {
            return Vec::new();
        };
        let attachments = endpoints(member).map(|(key, endpoint)| {
            let shared = self.shared_network_name(key).is_some();
            Attachment {
                network: self.own_network_name(key),
                aliases: names(service, member, endpoint),
                endpoint: if shared {
                    Endpoint::default()
                } else {
                    bare(endpoint)
                },
            }
        });
        attachments.collect()
    }

    /// On networks that releases share, `web` could mean two containers. So a service of a stack is
    /// found there only by the aliases that the file gives; by its name it is found on the network
    /// beside it, which is the release's own.
    fn shared_attachments(&self, service: &ServiceName, member: &Member) -> Vec<Attachment> {
        let attachments = endpoints(member).filter_map(|(key, endpoint)| {
            let aliases = match member.kind() {
                Kind::Standing => names(service, member, endpoint),
                Kind::Released | Kind::Once => endpoint.aliases.clone(),
            };
            Some(Attachment {
                network: self.shared_network_name(key)?,
                aliases,
                endpoint: bare(endpoint),
            })
        });
        attachments.collect()
    }

    fn standing_attachment(&self, service: &ServiceName) -> Attachment {
        let member = &self.services[service];
        Attachment {
            network: self.standing_network_name(),
            aliases: names(service, member, &Endpoint::default()),
            endpoint: Endpoint::default(),
        }
    }

    fn labels(&self, service: &ServiceName, member: &Member) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            (label::PROJECT, self.project.to_string()),
            (label::ENVIRONMENT, self.environment.to_string()),
            (label::RELEASE, self.number.to_string()),
            (label::SERVICE, service.to_string()),
            (label::KIND, member.kind().to_string()),
            (label::HASH, member.hash.to_string()),
        ])
    }
}

fn endpoints(member: &Member) -> impl Iterator<Item = (&NetworkName, &Endpoint)> {
    match &member.definition.networking {
        Networking::Networks(networks) => Some(networks),
        _ => None,
    }
    .into_iter()
    .flatten()
}

/// The service, its `container_name`, which two stacks cannot have at once, and its aliases.
fn names(service: &ServiceName, member: &Member, endpoint: &Endpoint) -> Vec<String> {
    let mut names = vec![service.to_string()];
    for name in member
        .definition
        .container_name
        .iter()
        .chain(&endpoint.aliases)
    {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn bare(endpoint: &Endpoint) -> Endpoint {
    Endpoint {
        aliases: Vec::new(),
        ..endpoint.clone()
    }
}

fn restart(member: &Member) -> EngineRestart {
    if let Some(policy) = &member.definition.deploy.restart_policy {
        return match policy.condition {
            RestartCondition::None => EngineRestart::No,
            RestartCondition::OnFailure => EngineRestart::OnFailure(policy.max_attempts),
            RestartCondition::Any => EngineRestart::UnlessStopped,
        };
    }
    match member.definition.restart {
        Restart::No => EngineRestart::No,
        Restart::OnFailure(attempts) => EngineRestart::OnFailure(attempts),
        Restart::Always | Restart::UnlessStopped => EngineRestart::UnlessStopped,
    }
}
