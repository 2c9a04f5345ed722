//! Two trees into one: mappings merge deeply, everything else is replaced.

use std::collections::HashMap;
use std::sync::Arc;

use yaml::{Entry, Map, Node, Value};

/// `over` on top of `base`.
pub(crate) fn merge(base: &Node, over: &Node) -> Node {
    match (&base.value, &over.value) {
        (Value::Map(below), Value::Map(above)) => {
            let merged = merge_maps(below, above);
            Node::new(Value::Map(Arc::new(merged)), over.span)
        }
        _ => over.clone(),
    }
}

pub(crate) fn merge_maps(base: &Map, over: &Map) -> Map {
    let mut merged = base.clone();
    if base.entries.is_empty() {
        return over.clone();
    }
    let large = base.entries.len() > 16;
    let places: HashMap<Arc<str>, usize> = if large {
        let place = |(at, entry): (usize, &Entry)| (Arc::clone(&entry.key), at);
        base.entries.iter().enumerate().map(place).collect()
    } else {
        HashMap::new()
    };
    for entry in &over.entries {
        let at = if large {
            places.get(&entry.key).copied()
        } else {
            let same = |old: &Entry| old.key == entry.key;
            base.entries.iter().position(same)
        };
        match at {
            Some(at) => {
                let value = merge(&merged.entries[at].value, &entry.value);
                merged.entries[at] = Entry {
                    value,
                    ..entry.clone()
                };
            }
            None => merged.entries.push(entry.clone()),
        }
    }
    merged
}
