//! Short forms, written out.
//!
//! Each takes a value that may be short and gives the long one, or nothing where it is long already
//! or neither. Places stay those of the short form.

use std::sync::Arc;

use yaml::{Entry, Map, Node, Span, Value};

use crate::value::scalar_text;

/// A mapping at a place.
pub(crate) fn map(span: Span, entries: impl IntoIterator<Item = (Arc<str>, Node)>) -> Node {
    let entry = |(key, value): (Arc<str>, Node)| Entry {
        key,
        span: value.span,
        value,
    };
    let entries = entries.into_iter().map(entry).collect();
    Node::new(Value::Map(Arc::new(Map { entries })), span)
}

pub(crate) fn list(span: Span, items: Vec<Node>) -> Node {
    Node::new(Value::List(Arc::new(items)), span)
}

fn under(key: &'static str, node: &Node) -> Option<Node> {
    node.as_str()?;
    let inner = Node::new(node.value.clone(), node.span);
    Some(tagged(node, map(node.span, [(key.into(), inner)])))
}

/// The new node with the tag of the old one.
fn tagged(old: &Node, new: Node) -> Node {
    Node {
        tag: old.tag,
        ..new
    }
}

/// `build: .`
pub(crate) fn build(node: &Node) -> Option<Node> {
    under("context", node)
}

/// `extends: other`
pub(crate) fn extends(node: &Node) -> Option<Node> {
    under("service", node)
}

/// `- other.yml`
pub(crate) fn include(node: &Node) -> Option<Node> {
    under("path", node)
}

/// `- ./file.env`
pub(crate) fn env_file(node: &Node) -> Option<Node> {
    under("path", node)
}

/// `- name` of a config or secret.
pub(crate) fn source(node: &Node) -> Option<Node> {
    under("source", node)
}

/// `depends_on: [a, b]`
pub(crate) fn depends_on(node: &Node) -> Option<Node> {
    let started = |span| {
        let condition = Node::text("service_started", span);
        map(span, [("condition".into(), condition)])
    };
    names(node, started)
}

/// `networks: [a, b]`
pub(crate) fn networks(node: &Node) -> Option<Node> {
    names(node, |span| Node::new(Value::Null, span))
}

fn names(node: &Node, value: impl Fn(Span) -> Node) -> Option<Node> {
    let items = node.as_list()?;
    let mut map = Map::default();
    let mut seen = std::collections::HashSet::new();
    for item in items {
        let key: Arc<str> = item.as_str()?.into();
        if seen.insert(Arc::clone(&key)) {
            map.entries.push(Entry {
                key,
                span: item.span,
                value: value(item.span),
            });
        }
    }
    Some(tagged(
        node,
        Node::new(Value::Map(Arc::new(map)), node.span),
    ))
}

/// `gpus: all`
pub(crate) fn gpus(node: &Node) -> Option<Node> {
    (node.as_str()? == "all").then(|| {
        let all = Node::text("all", node.span);
        let one = map(node.span, [("count".into(), all)]);
        tagged(node, list(node.span, vec![one]))
    })
}

/// `- /dev/a:/dev/b:rwm`, or a name of the Container Device Interface.
pub(crate) fn device(node: &Node) -> Option<Node> {
    let text = node.as_str()?;
    let part = |text: &str| Node::text(text, node.span);
    let (source, rest) = text.split_once(':').unwrap_or((text, ""));
    let mut entries: Vec<(Arc<str>, Node)> = vec![("source".into(), part(source))];
    let (target, permissions) = match rest.split_once(':') {
        Some((target, permissions)) => (target, permissions),
        None if is_permissions(rest) => ("", rest),
        None => (rest, ""),
    };
    for (key, value) in [("target", target), ("permissions", permissions)] {
        if !value.is_empty() {
            entries.push((key.into(), part(value)));
        }
    }
    Some(map(node.span, entries))
}

/// `r`, `w` and `m` in any mixture, each once.
pub(crate) fn is_permissions(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.chars().all(|c| "rwm".contains(c))
}

/// A mapping from host to address, as a list of `host:address`.
pub(crate) fn extra_hosts(node: &Node) -> Option<Node> {
    let mut items = Vec::new();
    match &node.value {
        Value::Map(map) => {
            for entry in &map.entries {
                let addresses = match &entry.value.value {
                    Value::List(items) => items.to_vec(),
                    _ => vec![entry.value.clone()],
                };
                for address in addresses {
                    let text = format!("{}:{}", entry.key, scalar_text(&address)?);
                    items.push(Node::text(text, entry.span));
                }
            }
        }
        Value::List(texts) => {
            for item in texts.iter() {
                let Some(text) = item.as_str() else {
                    items.push(item.clone());
                    continue;
                };
                let at = text.find(['=', ':']).unwrap_or(text.len());
                let (host, address) = text.split_at(at);
                let address = address.get(1..).unwrap_or_default().trim();
                let inner = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
                let text = match at == text.len() {
                    true => host.to_owned(),
                    false => format!("{}:{}", host.trim(), inner.unwrap_or(address)),
                };
                items.push(Node::text(text, item.span));
            }
        }
        _ => return None,
    }
    Some(tagged(node, list(node.span, items)))
}

/// The host of `host:address`.
pub(crate) fn host_of(node: &Node) -> Option<String> {
    let (host, _) = node.as_str()?.split_once(':')?;
    Some(host.to_owned())
}

/// The name that a link gives.
pub(crate) fn link_alias(node: &Node) -> Option<String> {
    let text = node.as_str()?;
    let (target, alias) = text.split_once(':').unwrap_or((text, text));
    Some(if alias.is_empty() { target } else { alias }.to_owned())
}

/// The `source` of a config or secret, by its target where it has one.
pub(crate) fn source_of(node: &Node) -> Option<String> {
    let target = node.get("target").or_else(|| node.get("source"))?;
    Some(target.as_str()?.to_owned())
}

/// The `path` of a rate.
pub(crate) fn path_of(node: &Node) -> Option<String> {
    Some(node.get("path")?.as_str()?.to_owned())
}

/// The `subnet` of an address range.
pub(crate) fn subnet_of(node: &Node) -> Option<String> {
    Some(node.get("subnet")?.as_str()?.to_owned())
}

/// Where a device is in the container.
pub(crate) fn device_target(node: &Node) -> Option<String> {
    let target = node.get("target").or_else(|| node.get("source"))?;
    Some(target.as_str()?.to_owned())
}

/// Where a volume is in the container.
pub(crate) fn mount_target(node: &Node) -> Option<String> {
    let target = match node.as_str() {
        Some(text) => mount_parts(text)?.target,
        None => node.get("target")?.as_str()?,
    };
    Some(crate::path::clean(target))
}

/// The parts of `[source:]target[:mode]`.
pub(crate) struct MountParts<'t> {
    pub(crate) source: Option<&'t str>,
    pub(crate) target: &'t str,
    pub(crate) mode: Option<&'t str>,
}

/// Splits a short volume; nothing when it has more than three parts or an empty one.
pub(crate) fn mount_parts(text: &str) -> Option<MountParts<'_>> {
    let mut parts = text.split(':');
    let (first, second, third) = (parts.next()?, parts.next(), parts.next());
    let empty = |part: &&str| part.is_empty();
    let any_empty = [Some(&first), second.as_ref(), third.as_ref()]
        .into_iter()
        .flatten()
        .any(empty);
    if parts.next().is_some() || any_empty {
        return None;
    }
    Some(match second {
        None => MountParts {
            source: None,
            target: first,
            mode: None,
        },
        Some(target) => MountParts {
            source: Some(first),
            target,
            mode: third,
        },
    })
}
