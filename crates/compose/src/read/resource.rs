//! Networks, volumes, configs and secrets.

use yaml::{Entry, Node, Problem};

use super::{OWN, Reader, extensions, flag, items, strings, text};
use crate::project::{
    File, FileSource, Ipam, Network, NetworkKind, OwnNetwork, OwnVolume, Per, Subnet, Volume,
    VolumeKind,
};
use crate::shape::shortened;

impl Reader<'_, '_> {
    pub(super) fn network(&mut self, entry: &Entry) -> Option<Network> {
        let node = &entry.value;
        let kind = match self.external(entry, &["driver"]) {
            Some(name) => NetworkKind::External(name),
            None => NetworkKind::Own(OwnNetwork {
                name: text(node, "name"),
                driver: text(node, "driver"),
                driver_opts: strings(node, "driver_opts"),
                ipam: self.ipam(node),
                internal: flag(node, "internal"),
                attachable: flag(node, "attachable"),
                enable_ipv4: node.get("enable_ipv4").and_then(Node::as_bool),
                enable_ipv6: node.get("enable_ipv6").and_then(Node::as_bool),
                labels: strings(node, "labels"),
            }),
        };
        Some(Network {
            kind,
            extensions: extensions(node),
        })
    }

    fn ipam(&mut self, node: &Node) -> Ipam {
        let Some(node) = node.get("ipam") else {
            return Ipam::default();
        };
        let mut config = Vec::new();
        for item in items(node, "config") {
            config.push(Subnet {
                subnet: self.cidr(item, "subnet"),
                ip_range: self.cidr(item, "ip_range"),
                gateway: self.address(item, "gateway"),
                aux_addresses: strings(item, "aux_addresses"),
            });
        }
        Ipam {
            driver: text(node, "driver"),
            config,
            options: strings(node, "options"),
        }
    }

    /// An address with the number of bits that its range shares.
    fn cidr(&mut self, node: &Node, key: &str) -> Option<String> {
        let node = node.get(key)?;
        let text = node.as_str()?;
        let parts = text.split_once('/').and_then(|(address, bits)| {
            let address: std::net::IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            bits.parse::<u8>().ok().filter(|bits| *bits <= most)
        });
        if parts.is_some() {
            return Some(text.to_owned());
        }
        let message = format!("`{}` is not a range of addresses", shortened(text));
        self.error(
            "value",
            node.span,
            message,
            "ranges look like `172.28.0.0/16` or `2001:db8::/64`",
        );
        None
    }

    pub(super) fn volume(&mut self, entry: &Entry) -> Option<Volume> {
        let node = &entry.value;
        let per = self.per(node);
        let kind = match self.external(entry, &[OWN]) {
            Some(name) => {
                if let (Per::Release, Some(own)) = (per, node.get(OWN)) {
                    let message = format!(
                        "`{}` is external, so it cannot belong to a release",
                        entry.key
                    );
                    self.error(
                        "conflict",
                        own.span,
                        message,
                        "remove `external`, or `x-lotse`",
                    );
                }
                VolumeKind::External(name)
            }
            None => VolumeKind::Own(OwnVolume {
                name: text(node, "name"),
                driver: text(node, "driver"),
                driver_opts: strings(node, "driver_opts"),
                labels: strings(node, "labels"),
                per,
            }),
        };
        Some(Volume {
            kind,
            extensions: extensions(node),
        })
    }

    /// `x-lotse: { per: release }`
    fn per(&mut self, node: &Node) -> Per {
        const HINT: &str = "`x-lotse` of a volume knows `per: release` and `per: project`";
        let Some(own) = node.get(OWN) else {
            return Per::Project;
        };
        match self
            .own_key(own, "per", HINT)
            .map(|node| (node, node.as_str()))
        {
            Some((_, Some("release"))) => Per::Release,
            None | Some((_, Some("project"))) => Per::Project,
            Some((node, _)) => {
                self.error("value", node.span, "a volume is not per this", HINT);
                Per::Project
            }
        }
    }

    pub(super) fn file(&mut self, entry: &Entry) -> Option<File> {
        let node = &entry.value;
        if let Some(external) = node.get("external") {
            let message = format!("`{}` is external, which only Swarm knows", entry.key);
            self.error(
                "unsupported",
                external.span,
                message,
                "give its content with `file: …` or `environment: …`",
            );
            return None;
        }
        let ways = ["file", "content", "environment"];
        let given: Vec<_> = ways.iter().filter_map(|way| node.get(way)).collect();
        match given[..] {
            [_] => {}
            [first, second, ..] => {
                let message = format!("`{}` has its content twice", entry.key);
                self.add(
                    Problem::error("conflict", second.span, message)
                        .note(first.span, "the first")
                        .hint("keep one of `file`, `content` and `environment`"),
                );
                return None;
            }
            [] => {
                let message = format!("`{}` has no content", entry.key);
                self.error(
                    "missing",
                    entry.span,
                    message,
                    "add `file: …`, `content: …` or `environment: …`",
                );
                return None;
            }
        }
        Some(File {
            source: self.source_of_file(node)?,
            name: text(node, "name"),
            labels: strings(node, "labels"),
            extensions: extensions(node),
        })
    }

    fn source_of_file(&mut self, node: &Node) -> Option<FileSource> {
        if let Some(file) = node.get("file") {
            let path = file.as_str()?;
            if !self.loader.exists(path) {
                let message = format!("there is no file `{}`", self.loader.shown(path));
                let hint = "it must be there when the project is deployed";
                self.add(Problem::warning("file", file.span, message).hint(hint));
            }
            return Some(FileSource::Path(path.to_owned()));
        }
        if let Some(content) = text(node, "content") {
            return Some(FileSource::Content(content.into()));
        }
        let variable = node.get("environment")?;
        let name = variable.as_str()?;
        match self.values.get(name) {
            Some(value) => Some(FileSource::Content(value.as_str().into())),
            None => {
                let message = format!("the variable `{}` is not set", shortened(name));
                self.error(
                    "required",
                    variable.span,
                    message,
                    "set it in the environment or in `.env`",
                );
                None
            }
        }
    }

    /// The name of what must be there; it can have nothing of its own.
    fn external(&mut self, entry: &Entry, allowed: &[&str]) -> Option<String> {
        let node = &entry.value;
        node.get("external")?;
        let map = node.as_map()?;
        let own = map.entries.iter().filter(|one| {
            let key = &*one.key;
            !matches!(key, "external" | "name") && !key.starts_with("x-") && !allowed.contains(&key)
        });
        for one in own {
            let message = format!(
                "`{}` is external, so `{}` means nothing",
                entry.key, one.key
            );
            self.error("conflict", one.span, message, "remove it, or `external`");
        }
        text(node, "name")
    }
}
