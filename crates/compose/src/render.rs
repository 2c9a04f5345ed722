//! The normal form as one compose file, in the words of docker-compose 1.29.

use std::sync::Arc;

use yaml::{Entry, Map, Node, Span, Value};

use crate::merge::{with_key, without};
use crate::path;
use crate::shape::{short, with};
use crate::value::scalar_text;

/// The tree to print: keys in order, `$` doubled, short forms where 1.29 has them.
pub(crate) fn config(normal: &Node) -> Map {
    let mut tree = normal.clone();
    if let Some(version) = tree.get("version").and_then(scalar_text) {
        let version = Node::text(version, Span::default());
        tree = with_key(&tree, "version", version);
    }
    if let Some(services) = tree.get("services").and_then(Node::as_map) {
        let entries = services.entries.iter().map(|entry| Entry {
            value: service(&entry.value),
            ..entry.clone()
        });
        let map = Map {
            entries: entries.collect(),
        };
        let node = Node::new(Value::Map(Arc::new(map)), Span::default());
        tree = with_key(&tree, "services", node);
    }
    for section in ["networks", "volumes", "configs", "secrets"] {
        let is_empty = |node: &Node| node.as_map().is_some_and(|map| map.entries.is_empty());
        if tree.get(section).is_some_and(is_empty) {
            tree = without(&tree, section);
        }
    }
    let printed = printed(&tree);
    printed.as_map().cloned().unwrap_or_default()
}

/// Keys in order, `$` in values as `$$`: keys have no variables.
fn printed(node: &Node) -> Node {
    let escaped = |text: &str| -> Arc<str> { text.replace('$', "$$").into() };
    let value = match &node.value {
        Value::Text(text) => Value::Text(escaped(text)),
        Value::List(items) => Value::List(Arc::new(items.iter().map(printed).collect())),
        Value::Map(map) => {
            let mut entries: Vec<Entry> = map
                .entries
                .iter()
                .map(|entry| Entry {
                    key: Arc::clone(&entry.key),
                    span: entry.span,
                    value: printed(&entry.value),
                })
                .collect();
            entries.sort_by(|one, other| one.key.cmp(&other.key));
            Value::Map(Arc::new(Map { entries }))
        }
        other => other.clone(),
    };
    with(node, value)
}

fn service(node: &Node) -> Node {
    let mut node = node.clone();
    for (key, item) in [
        ("ports", port as fn(&Node) -> Node),
        ("volumes", mount),
        ("devices", device),
        ("security_opt", security_opt),
        ("volumes_from", volumes_from),
    ] {
        if let Some(list) = node.get(key).and_then(Node::as_list) {
            let items = list.iter().map(item).collect();
            node = with_key(&node, key, short::list(Span::default(), items));
        }
    }
    node
}

/// A port with an address is a text: 1.29 has no long form for it.
fn port(port: &Node) -> Node {
    let part = |key: &str| port.get(key).and_then(scalar_text);
    let needs_long = ["name", "app_protocol", "mode"];
    let Some(ip) = part("host_ip").filter(|_| needs_long.iter().all(|key| part(key).is_none()))
    else {
        return port.clone();
    };
    let ip = match ip.contains(':') {
        true => format!("[{ip}]"),
        false => ip,
    };
    let text = format!(
        "{ip}:{}:{}/{}",
        part("published").unwrap_or_default(),
        part("target").unwrap_or_default(),
        part("protocol").as_deref().unwrap_or("tcp"),
    );
    Node::text(text, port.span)
}

fn mount(mount: &Node) -> Node {
    let Some(text) = mount.as_str() else {
        return long_mount(mount);
    };
    let text = match short::mount_parts(text) {
        Some(parts) => match parts.source {
            Some(source) => format!(
                "{}:{}:{}",
                path::clean(source),
                path::clean(parts.target),
                parts.mode.unwrap_or("rw")
            ),
            None => path::clean(parts.target),
        },
        None => text.to_owned(),
    };
    Node::text(text, mount.span)
}

fn long_mount(mount: &Node) -> Node {
    match mount.get("read_only").and_then(Node::as_bool) {
        Some(false) => without(mount, "read_only"),
        _ => mount.clone(),
    }
}

fn device(device: &Node) -> Node {
    let parts = ["source", "target", "permissions"];
    let parts = parts.map(|key| device.get(key).and_then(Node::as_str));
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    Node::text(parts.join(":"), device.span)
}

/// `service:name:mode` or `container:name:mode`
fn volumes_from(from: &Node) -> Node {
    let text = from.as_str().unwrap_or_default();
    let parts: Vec<_> = text.split(':').collect();
    let text = match parts[..] {
        [name] => format!("service:{name}:rw"),
        ["container", name] => format!("container:{name}:rw"),
        [name, mode] => format!("service:{name}:{mode}"),
        _ => text.to_owned(),
    };
    Node::text(text, from.span)
}

fn security_opt(option: &Node) -> Node {
    match option
        .as_str()
        .and_then(|text| text.strip_prefix("seccomp="))
    {
        Some(profile) if profile != "unconfined" => {
            Node::text(format!("seccomp:{profile}"), option.span)
        }
        _ => option.clone(),
    }
}
