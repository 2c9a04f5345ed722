//! YAML as an untyped tree in which every node knows its place.
//!
//! Anchors and `<<` are resolved, scalars have the types of their [`crate::Dialect`], and the tags
//! that mean something to one of our languages are kept.

use std::sync::Arc;

use crate::float_text;

/// A place: file by its number in the [`crate::Report`], line and column from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// Its number in the report.
    pub file: u32,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// In characters; those that pass the end of the line do not count.
    pub length: u32,
}

/// A value with its place. Collections are shared, so that a clone costs nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it holds.
    pub value: Value,
    /// Where it stands.
    pub span: Span,
    /// What the compose file says about merging it.
    pub tag: Tag,
}

/// A tag of the Compose specification ("Merge", "Reset value" and "Replace value").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tag {
    /// None.
    #[default]
    None,
    /// `!reset`: what earlier files say is taken away.
    Reset,
    /// `!override`: it replaces what earlier files say.
    Override,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true`, `false`, and what the dialect takes for them.
    Bool(bool),
    /// The text is kept when the number, written again, would look different (`012`, `1_000`).
    Int(i64, Option<Arc<str>>),
    /// Likewise.
    Float(f64, Option<Arc<str>>),
    /// Everything else that is one word or line.
    Text(Arc<str>),
    /// A sequence.
    List(Arc<Vec<Node>>),
    /// A mapping.
    Map(Arc<Map>),
    /// `!reference [job, keyword, …]`
    Reference(Arc<Vec<Node>>),
}

/// A mapping in the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Map {
    /// Its keys with their values; no key twice.
    pub entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Keys are texts, whatever they look like.
    pub key: Arc<str>,
    /// Where the key stands.
    pub span: Span,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// A node without a tag.
    pub fn new(value: Value, span: Span) -> Self {
        let tag = Tag::None;
        Self { value, span, tag }
    }

    /// A text.
    pub fn text(text: impl Into<Arc<str>>, span: Span) -> Self {
        Self::new(Value::Text(text.into()), span)
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The mapping, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The number, if it is a whole one.
    pub fn as_int(&self) -> Option<i64> {
        match self.value {
            Value::Int(number, _) => Some(number),
            _ => None,
        }
    }

    /// The truth, if it is a boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// Whether it is `null` or nothing.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The value under a key of a mapping; nothing for other nodes.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// A scalar as GitLab turns it into text; nothing for collections and null.
    pub fn scalar_text(&self) -> Option<Arc<str>> {
        match &self.value {
            Value::Text(text) => Some(Arc::clone(text)),
            Value::Bool(truth) => Some(truth.to_string().into()),
            Value::Int(number, _) => Some(number.to_string().into()),
            Value::Float(number, _) => Some(float_text(*number).into()),
            _ => None,
        }
    }

    /// What the node is, for messages.
    pub fn kind(&self) -> &'static str {
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
    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// A key with its value.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| &*entry.key == key)
    }
}

/// How many values a node is made of; counting ends above `most`.
pub fn weight(node: &Node, most: usize) -> usize {
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
pub fn to_json(node: &Node) -> serde_json::Value {
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
