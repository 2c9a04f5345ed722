//! Two trees as one: a later file over an earlier one, a service over the one it extends.
//!
//! The rules are those of docker-compose 1.29, extended to the keys it does not know as the Compose
//! specification has it ("Merge"): mappings merge key by key, other values replace, and how lists join
//! stands in the table of keys. `!override` replaces, `!reset` removes.

use std::collections::HashMap;
use std::sync::Arc;

use yaml::{Map, Node, Tag, Value};

use crate::schema::{FILE, List, Merge, Object, SERVICE, Shape};
use crate::shape::with;
use crate::value::scalar_text;

/// A file over an earlier one; both have their [`crate::shape`].
pub(crate) fn files(base: &Node, over: &Node) -> Node {
    object(base, over, &FILE)
}

/// A service over the one that it extends.
pub(crate) fn services(base: &Node, over: &Node) -> Node {
    object(base, over, &SERVICE)
}

fn node(base: &Node, over: &Node, shape: &Shape) -> Node {
    match over.tag {
        Tag::Reset | Tag::Override => return over.clone(),
        Tag::None => {}
    }
    if over.is_null() {
        return base.clone();
    }
    if base.is_null() || base.tag == Tag::Reset {
        return over.clone();
    }
    match shape {
        Shape::List(rules) => list(base, over, rules),
        Shape::Pairs(_) => map(base, over, |_, over, _| over.clone()),
        Shape::Names(shape) => map(base, over, |base, over, _| node(base, over, shape)),
        Shape::Object(keys) | Shape::Either(_, keys) => object(base, over, keys),
        Shape::Short(_, shape) => node(base, over, shape),
        Shape::Ports => by(base, over, port_key, |port| {
            let target = port.get("target").and_then(Node::as_int);
            format!("{:05}", target.unwrap_or_default())
        }),
        _ => over.clone(),
    }
}

fn object(base: &Node, over: &Node, object: &Object) -> Node {
    let shape = |key: &str| {
        let known = object.keys.iter().find(|known| known.name == key);
        known.map_or(&Shape::Any, |known| &known.shape)
    };
    map(base, over, |base, over, key| match key {
        "logging" => logging(base, over, shape(key)),
        _ => node(base, over, shape(key)),
    })
}

/// Options belong to their driver: with another one they start anew.
fn logging(base: &Node, over: &Node, shape: &Shape) -> Node {
    let driver = |node: &Node| node.get("driver").and_then(Node::as_str).map(str::to_owned);
    match (driver(base), driver(over)) {
        (Some(one), Some(other)) if one != other => over.clone(),
        _ => node(base, over, shape),
    }
}

/// All keys of both; `join` for those that both have.
fn map(base: &Node, over: &Node, join: impl Fn(&Node, &Node, &str) -> Node) -> Node {
    let (Some(old), Some(new)) = (base.as_map(), over.as_map()) else {
        return over.clone();
    };
    let mut merged = Map::clone(old);
    let mut index: HashMap<Arc<str>, usize> = HashMap::new();
    for (at, entry) in merged.entries.iter().enumerate() {
        index.insert(Arc::clone(&entry.key), at);
    }
    for entry in &new.entries {
        match index.get(&entry.key) {
            Some(&at) => {
                let value = join(&merged.entries[at].value, &entry.value, &entry.key);
                merged.entries[at] = yaml::Entry {
                    value,
                    ..entry.clone()
                };
            }
            None => merged.entries.push(entry.clone()),
        }
    }
    Node {
        tag: base.tag,
        ..with(over, Value::Map(Arc::new(merged)))
    }
}

fn list(base: &Node, over: &Node, rules: &List) -> Node {
    match rules.merge {
        Merge::Append => joined(base, over),
        Merge::Union => {
            let name = |item: &Node| scalar_text(item);
            by(base, over, name, |item| {
                scalar_text(item).unwrap_or_default()
            })
        }
        Merge::By(name) => by(base, over, name, |item| name(item).unwrap_or_default()),
    }
}

fn joined(base: &Node, over: &Node) -> Node {
    let items = |node: &Node| node.as_list().unwrap_or_default().to_vec();
    let items = [items(base), items(over)].concat();
    with(over, Value::List(Arc::new(items)))
}

/// Items of both; those of `over` take the places of those with the same name. In order.
fn by(
    base: &Node,
    over: &Node,
    name: impl Fn(&Node) -> Option<String>,
    order: impl Fn(&Node) -> String,
) -> Node {
    let over_items = over.as_list().unwrap_or_default();
    let named: std::collections::HashSet<_> = over_items.iter().filter_map(&name).collect();
    let base_items = base.as_list().unwrap_or_default();
    let kept = base_items
        .iter()
        .filter(|item| name(item).is_none_or(|name| !named.contains(&name)));
    let mut items: Vec<Node> = kept.chain(over_items).cloned().collect();
    items.sort_by_cached_key(|item| order(item));
    with(over, Value::List(Arc::new(items)))
}

/// What makes two ports the same.
fn port_key(port: &Node) -> Option<String> {
    let part = |key: &str| port.get(key).and_then(scalar_text).unwrap_or_default();
    Some(format!(
        "{}|{}|{}|{}",
        part("target"),
        part("published"),
        part("host_ip"),
        part("protocol")
    ))
}

/// The tree without what `!reset` takes away, and without the tags.
pub(crate) fn settled(node: &Node) -> Node {
    let value = match &node.value {
        Value::Map(map) => {
            let kept = map
                .entries
                .iter()
                .filter(|entry| entry.value.tag != Tag::Reset);
            let entries = kept.map(|entry| yaml::Entry {
                value: settled(&entry.value),
                ..entry.clone()
            });
            Value::Map(Arc::new(Map {
                entries: entries.collect(),
            }))
        }
        Value::List(items) => {
            let kept = items.iter().filter(|item| item.tag != Tag::Reset);
            Value::List(Arc::new(kept.map(settled).collect()))
        }
        other => other.clone(),
    };
    Node::new(value, node.span)
}

/// A mapping without one of its keys.
pub(crate) fn without(node: &Node, key: &str) -> Node {
    let Some(map) = node.as_map() else {
        return node.clone();
    };
    let kept = map.entries.iter().filter(|entry| &*entry.key != key);
    let entries = kept.cloned().collect();
    with(node, Value::Map(Arc::new(Map { entries })))
}

/// A mapping with a key set.
pub(crate) fn with_key(node: &Node, key: &str, value: Node) -> Node {
    let mut map = node.as_map().cloned().unwrap_or_default();
    match map.entries.iter_mut().find(|entry| &*entry.key == key) {
        Some(entry) => entry.value = value,
        None => map.entries.push(yaml::Entry {
            key: key.into(),
            span: value.span,
            value,
        }),
    }
    with(node, Value::Map(Arc::new(map)))
}
