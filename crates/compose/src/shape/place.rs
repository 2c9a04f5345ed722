//! Ports and volumes: where a container meets its host.

use std::sync::Arc;

use yaml::{Node, Problem, Value};

use super::{MAX_PORTS, Shaper, is_path, short, shortened, with};
use crate::project::{Protocol, Published};
use crate::schema;
use crate::value::{self, ShortPort, scalar_text};

impl Shaper<'_> {
    pub(super) fn port_list(&mut self, node: &Node) -> Option<Node> {
        let Some(items) = node.as_list() else {
            self.mismatch(node, "a list", None);
            return None;
        };
        let mut out = Vec::new();
        for (at, item) in items.iter().enumerate() {
            self.path.push(format!("[{at}]"));
            match &item.value {
                Value::Map(_) => out.extend(self.object(item, &schema::PORT)),
                _ => out.extend(self.short_ports(item).unwrap_or_default()),
            }
            self.path.pop();
        }
        Some(with(node, Value::List(Arc::new(out))))
    }

    pub(super) fn short_ports(&mut self, item: &Node) -> Option<Vec<Node>> {
        let text = scalar_text(&self.scalar(item)?)?;
        let ports = self.read(item, value::ports(&text))?;
        self.ports += ports.len();
        if self.ports > MAX_PORTS {
            let message = format!("the file publishes over {MAX_PORTS} ports");
            self.report
                .add(Problem::error("too-large", item.span, message));
            return None;
        }
        Some(
            ports
                .into_iter()
                .map(|port| long_port(port, item))
                .collect(),
        )
    }

    pub(super) fn mount(&mut self, node: &Node) -> Option<Node> {
        if node.as_map().is_some() {
            let long = self.object(node, &schema::MOUNT)?;
            return Some(self.long_mount(long));
        }
        let node = self.text(node)?;
        let text = node.as_str()?;
        let Some(parts) = short::mount_parts(text) else {
            let message = format!("`{}` is not a volume", shortened(text));
            self.report.add(
                Problem::error("value", node.span, message)
                    .hint("volumes look like `data:/path`, `./folder:/path:ro` or `/path`"),
            );
            return None;
        };
        let mut new = match parts.source {
            None => return Some(node.clone()),
            Some(source) if is_path(source) => self.base.absolute(source),
            Some(source) => source.to_owned(),
        };
        new.push(':');
        new.push_str(parts.target);
        if let Some(mode) = parts.mode {
            new.push(':');
            new.push_str(mode);
        }
        Some(with(&node, Value::Text(new.into())))
    }

    pub(super) fn long_mount(&mut self, node: Node) -> Node {
        let Some(map) = node.as_map() else {
            return node;
        };
        let is_bind = map.get("type").and_then(Node::as_str) == Some("bind");
        let mut map = map.clone();
        for entry in &mut map.entries {
            if is_bind
                && &*entry.key == "source"
                && let Some(path) = entry.value.as_str()
            {
                let path = self.base.absolute(path);
                entry.value = Node::text(path, entry.value.span);
            }
        }
        with(&node, Value::Map(Arc::new(map)))
    }
}

fn long_port(port: ShortPort, item: &Node) -> Node {
    let node = |value| Node::new(value, item.span);
    let mut entries: Vec<(Arc<str>, Node)> = Vec::new();
    if let Some(ip) = port.host_ip {
        entries.push(("host_ip".into(), node(Value::Text(ip.into()))));
    }
    if let Some(protocol) = port.protocol {
        let name = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        entries.push(("protocol".into(), node(Value::Text(name.into()))));
    }
    let published = match port.published {
        Published::Ephemeral => None,
        Published::Port(port) => Some(Value::Int(port.into(), None)),
        Published::Range(first, last) => Some(Value::Text(format!("{first}-{last}").into())),
    };
    entries.extend(published.map(|value| ("published".into(), node(value))));
    entries.push(("target".into(), node(Value::Int(port.target.into(), None))));
    short::map(item.span, entries)
}
