//! Networks of a service, namespaces, links and ports.

use std::collections::BTreeMap;

use yaml::{Node, Problem};

use super::{Reader, Section, entries, int, items, strings, text, texts};
use crate::project::{
    AppProtocol, Condition, Dependency, Endpoint, Expose, ExternalLink, Link, Namespace,
    NetworkName, Networking, Port, PortMode, Published, Service, ServiceName, VolumesFromSource,
};
use crate::shape::shortened;
use crate::value::{self, scalar_text};

impl Reader<'_, '_> {
    pub(super) fn networking(&mut self, node: &Node) -> Networking {
        let mode = node.get("network_mode").filter(|mode| !mode.is_null());
        let networks = node.get("networks").filter(|networks| !networks.is_null());
        if let (Some(mode), Some(networks)) = (mode, networks) {
            let problem = Problem::error(
                "conflict",
                mode.span,
                "`network_mode` and `networks` exclude each other",
            );
            self.add(
                problem
                    .note(networks.span, "the networks")
                    .hint("remove one of them"),
            );
        }
        let Some(mode) = mode else {
            return Networking::Networks(self.endpoints(node));
        };
        match mode.as_str().unwrap_or_default() {
            "none" => Networking::None,
            "host" => Networking::Host,
            _ => match self.namespace(node, "network_mode") {
                Some(Namespace::Mode(mode)) => Networking::Other(mode),
                Some(shared) => Networking::Shared(shared),
                None => Networking::None,
            },
        }
    }

    fn endpoints(&mut self, node: &Node) -> BTreeMap<NetworkName, Endpoint> {
        let mut all = BTreeMap::new();
        for entry in entries(node, "networks") {
            let name = self.known(Section::Networks, &entry.key, entry.span, "the service");
            let endpoint = self.endpoint(&entry.value);
            all.extend(name.map(|name| (name, endpoint)));
        }
        if node.get("networks").is_none_or(Node::is_null)
            && let Ok(default) = "default".parse()
        {
            all.insert(default, Endpoint::default());
        }
        all
    }

    fn endpoint(&mut self, node: &Node) -> Endpoint {
        Endpoint {
            aliases: texts(node, "aliases"),
            ipv4_address: self.address(node, "ipv4_address"),
            ipv6_address: self.address(node, "ipv6_address"),
            link_local_ips: self.addresses(node, "link_local_ips"),
            mac_address: text(node, "mac_address"),
            driver_opts: strings(node, "driver_opts"),
            priority: int(node, "priority").unwrap_or_default(),
            gw_priority: int(node, "gw_priority").unwrap_or_default(),
            interface_name: text(node, "interface_name"),
        }
    }

    /// An IP address.
    pub(super) fn address(&mut self, node: &Node, key: &str) -> Option<String> {
        let node = node.get(key)?;
        self.ip(node)
    }

    /// IP addresses.
    pub(super) fn addresses(&mut self, node: &Node, key: &str) -> Vec<String> {
        let items = items(node, key).iter();
        items.filter_map(|item| self.ip(item)).collect()
    }

    fn ip(&mut self, node: &Node) -> Option<String> {
        let text = node.as_str()?;
        if text.parse::<std::net::IpAddr>().is_ok() {
            return Some(text.to_owned());
        }
        let message = format!("`{}` is not an IP address", shortened(text));
        self.error(
            "value",
            node.span,
            message,
            "addresses look like `192.0.2.1` or `2001:db8::1`",
        );
        None
    }

    /// `service:…`, `container:…`, or a word of the engine.
    pub(super) fn namespace(&mut self, node: &Node, key: &str) -> Option<Namespace> {
        let node = node.get(key)?;
        let text = node.as_str()?;
        Some(match text.split_once(':') {
            Some(("service", name)) => {
                let user = format!("`{key}`");
                Namespace::Service(self.known(Section::Services, name, node.span, &user)?)
            }
            Some(("container", name)) => Namespace::Container(name.to_owned()),
            _ => Namespace::Mode(text.to_owned()),
        })
    }

    pub(super) fn links(&mut self, node: &Node) -> Vec<Link> {
        let mut all = Vec::new();
        for item in items(node, "links") {
            let text = item.as_str().unwrap_or_default();
            let (service, alias) = text.split_once(':').unwrap_or((text, text));
            let known = self.known(Section::Services, service, item.span, "`links`");
            all.extend(known.map(|service: ServiceName| Link {
                alias: if alias.is_empty() {
                    service.to_string()
                } else {
                    alias.to_owned()
                },
                service,
            }));
        }
        all
    }

    pub(super) fn external_links(&mut self, node: &Node) -> Vec<ExternalLink> {
        let link = |text: String| {
            let (container, alias) = text.split_once(':').unwrap_or((&text, &text));
            ExternalLink {
                container: container.to_owned(),
                alias: alias.to_owned(),
            }
        };
        texts(node, "external_links")
            .into_iter()
            .map(link)
            .collect()
    }

    pub(super) fn ports(&mut self, node: &Node) -> Vec<Port> {
        let mut all = Vec::new();
        for item in items(node, "ports") {
            all.extend(self.port(item));
        }
        all
    }

    fn port(&mut self, node: &Node) -> Option<Port> {
        let target = u16::try_from(int(node, "target")?).ok()?;
        let app_protocol =
            text(node, "app_protocol").map(|word| match word.to_ascii_lowercase().as_str() {
                "http" => AppProtocol::Http,
                _ => AppProtocol::Other(word),
            });
        Some(Port {
            target,
            published: self
                .read(node, "published", value::published)
                .unwrap_or(Published::Ephemeral),
            host_ip: self.address(node, "host_ip"),
            protocol: self
                .read(node, "protocol", value::protocol)
                .unwrap_or_default(),
            app_protocol,
            mode: match text(node, "mode").as_deref() {
                Some("host") => PortMode::Host,
                _ => PortMode::Ingress,
            },
            name: text(node, "name"),
        })
    }

    pub(super) fn expose(&mut self, node: &Node) -> Vec<Expose> {
        let items = items(node, "expose").iter();
        items
            .filter_map(|item| value::expose(&scalar_text(item)?).ok())
            .collect()
    }

    /// `depends_on`, and what links, mounts and namespaces of other services need.
    pub(super) fn implied_dependencies(
        &mut self,
        service: &Service,
    ) -> BTreeMap<ServiceName, Dependency> {
        let mut all = service.depends_on.clone();
        let links = service.links.iter().map(|link| &link.service);
        let mounts = service
            .volumes_from
            .iter()
            .filter_map(|from| match &from.source {
                VolumesFromSource::Service(name) => Some(name),
                VolumesFromSource::Container(_) => None,
            });
        let shared = match &service.networking {
            Networking::Shared(namespace) => Some(namespace),
            _ => None,
        };
        let namespaces = [
            shared,
            service.security.ipc.as_ref(),
            service.security.pid.as_ref(),
        ];
        let namespaces = namespaces
            .into_iter()
            .flatten()
            .filter_map(|one| match one {
                Namespace::Service(name) => Some(name),
                _ => None,
            });
        for name in links.chain(mounts).chain(namespaces) {
            all.entry(name.clone()).or_insert(Dependency {
                condition: Condition::ServiceStarted,
                restart: false,
                required: true,
            });
        }
        all
    }
}

/// Each link's name becomes a network alias of its target, in the networks that both are in.
pub(super) fn links_as_aliases(services: &mut BTreeMap<ServiceName, Service>) {
    let mut aliases: Vec<(ServiceName, NetworkName, String)> = Vec::new();
    for service in services.values() {
        for link in &service.links {
            if link.alias == link.service.as_str() {
                continue;
            }
            for network in service.networks() {
                aliases.push((link.service.clone(), network.clone(), link.alias.clone()));
            }
        }
    }
    for (service, network, alias) in aliases {
        let Some(Networking::Networks(networks)) = services
            .get_mut(&service)
            .map(|service| &mut service.networking)
        else {
            continue;
        };
        if let Some(endpoint) = networks.get_mut(&network) {
            endpoint.aliases.push(alias);
        }
    }
    for service in services.values_mut() {
        if let Networking::Networks(networks) = &mut service.networking {
            for endpoint in networks.values_mut() {
                endpoint.aliases.sort();
                endpoint.aliases.dedup();
            }
        }
    }
}
