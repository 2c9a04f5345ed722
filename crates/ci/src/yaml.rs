//! YAML as an untyped tree in which every node knows its place.
//!
//! Anchors and `<<` are resolved, scalars have the types of YAML 1.1 as GitLab's parser (Ruby's
//! Psych) sees them, `!reference` is kept. What a keyword may hold is not known here. Size, depth and
//! what aliases expand to are bounded, so that no file can hang or fill the memory.

mod emit;
mod parse;
mod scalar;

use std::sync::Arc;

pub(crate) use emit::emit;
pub(crate) use parse::parse;
pub(crate) use scalar::plain;

/// A place: file by its number in the [`crate::report::Report`], line and column from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Span {
    pub(crate) file: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// In characters; those that pass the end of the line do not count.
    pub(crate) length: u32,
}

/// A value with its place. Collections are shared, so that a clone costs nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// The text is kept when the number, written again, would look different (`012`, `1_000`).
    Int(i64, Option<Arc<str>>),
    Float(f64, Option<Arc<str>>),
    Text(Arc<str>),
    List(Arc<Vec<Node>>),
    Map(Arc<Map>),
    /// `!reference [job, keyword, …]`
    Reference(Arc<Vec<Node>>),
}

/// A mapping in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Map {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: Arc<str>,
    pub(crate) span: Span,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn new(value: Value, span: Span) -> Self {
        Self { value, span }
    }

    pub(crate) fn text(text: impl Into<Arc<str>>, span: Span) -> Self {
        Self::new(Value::Text(text.into()), span)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_int(&self) -> Option<i64> {
        match self.value {
            Value::Int(number, _) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The value under a key of a mapping; nothing for other nodes.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// A scalar as GitLab turns it into text; nothing for collections and null.
    pub(crate) fn scalar_text(&self) -> Option<Arc<str>> {
        match &self.value {
            Value::Text(text) => Some(Arc::clone(text)),
            Value::Bool(truth) => Some(truth.to_string().into()),
            Value::Int(number, _) => Some(number.to_string().into()),
            Value::Float(number, _) => Some(scalar::float_text(*number).into()),
            _ => None,
        }
    }

    /// What the node is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(..) | Value::Float(..) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Reference(_) => "a `!reference`",
        }
    }
}

impl Map {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| &*entry.key == key)
    }
}

/// How many values a node is made of; counting ends above `most`.
pub(crate) fn weight(node: &Node, most: usize) -> usize {
    let mut sum = 1;
    let mut add = |node: &Node| {
        if sum <= most {
            sum += weight(node, most - sum);
        }
    };
    match &node.value {
        Value::List(items) | Value::Reference(items) => items.iter().for_each(&mut add),
        Value::Map(map) => map.entries.iter().for_each(|entry| add(&entry.value)),
        _ => {}
    }
    sum
}

/// The node as JSON, for keywords that are carried as they are written.
pub(crate) fn to_json(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(number, _) => Json::from(*number),
        Value::Float(number, _) => Json::from(*number),
        Value::Text(text) => Json::String(text.to_string()),
        Value::List(items) | Value::Reference(items) => items.iter().map(to_json).collect(),
        Value::Map(map) => Json::Object(
            map.entries
                .iter()
                .map(|entry| (entry.key.to_string(), to_json(&entry.value)))
                .collect(),
        ),
    }
}
