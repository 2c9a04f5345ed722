//! Holds a file's tree against the table of keys: says all that does not fit, and writes it out.
//!
//! What comes back has long forms where there are two, lists where a single item may stand for one,
//! absolute paths, and numbers where a text was interpolated. What does not fit is left out of it, so
//! that later stages see only what is well formed.

mod place;
mod scalar;
pub(crate) mod short;

use std::sync::Arc;

use yaml::{Entry, Map, Node, Problem, Report, Tag, Value};

use crate::path;
use crate::schema::{self, Key, LoneKey, Merge, Object, PairValues, Pairs, Shape, Use};
use crate::value::{Read, Wrong, scalar_text};

/// Ports of one file, with all ranges counted.
const MAX_PORTS: usize = 70_000;
/// Services, networks, volumes and the like of one file.
const MAX_NAMES: usize = 5_000;

/// Where the paths of a file start.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    /// An absolute folder.
    pub(crate) folder: String,
    /// What `~` stands for.
    pub(crate) home: Option<String>,
}

impl Base {
    pub(crate) fn absolute(&self, text: &str) -> String {
        path::absolute(&self.folder, text, self.home.as_deref())
    }
}

/// The tree of a file, checked and written out.
pub(crate) fn shape(tree: &Node, base: &Base, report: &mut Report) -> Node {
    let mut shaper = Shaper {
        base,
        report,
        path: Vec::new(),
        ports: 0,
    };
    shaper
        .object(tree, &schema::FILE)
        .unwrap_or_else(|| Node::new(Value::Map(Arc::default()), tree.span))
}

struct Shaper<'s> {
    base: &'s Base,
    report: &'s mut Report,
    /// Keys and numbers that lead to the value at hand.
    path: Vec<String>,
    ports: usize,
}

impl Shaper<'_> {
    fn node(&mut self, node: &Node, shape: &Shape) -> Option<Node> {
        if node.tag == Tag::Reset {
            return Some(with(node, Value::Null));
        }
        if node.is_null() {
            return Some(node.clone());
        }
        match shape {
            Shape::Any => Some(node.clone()),
            Shape::Text => self.text(node),
            Shape::Scalar => self.scalar(node),
            Shape::Bool => self.bool(node),
            Shape::Int(least, most) => self.int(node, *least, *most),
            Shape::Float => self.float(node),
            Shape::Form(form) => self.form(node, *form),
            Shape::Word(words) => self.word(node, words),
            Shape::Path => {
                let node = self.text(node)?;
                let path = self.base.absolute(node.as_str()?);
                Some(with(&node, Value::Text(path.into())))
            }
            Shape::PathOrUrl => self.path_or_url(node),
            Shape::Command => self.command(node),
            Shape::List(list) => self.list(node, list),
            Shape::Pairs(pairs) => self.pairs(node, pairs),
            Shape::Names(shape) => self.names(node, shape),
            Shape::Object(object) => self.object(node, object),
            Shape::Short(long, shape) => match long(node) {
                Some(long) => self.node(&long, shape),
                None => self.node(node, shape),
            },
            Shape::Either(shape, object) => match node.as_map() {
                Some(_) => self.object(node, object),
                None => self.node(node, shape),
            },
            Shape::Ports => self.port_list(node),
            Shape::Mount => self.mount(node),
        }
    }

    fn list(&mut self, node: &Node, list: &schema::List) -> Option<Node> {
        match &node.value {
            Value::List(items) => {
                let shaped = self.items(node, items, list.item);
                Some(match list.merge {
                    Merge::Union => without_repeats(&shaped),
                    _ => shaped,
                })
            }
            _ if list.lone => {
                let item = self.node(&Node::new(node.value.clone(), node.span), list.item)?;
                Some(with(node, Value::List(Arc::new(vec![item]))))
            }
            _ => {
                let hint = scalar_text(node).map(|text| format!("write `[{}]`", shortened(&text)));
                self.mismatch(node, "a list", hint);
                None
            }
        }
    }

    fn items(&mut self, node: &Node, items: &[Node], shape: &Shape) -> Node {
        let mut shaped = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            self.path.push(format!("[{at}]"));
            if item.is_null() {
                self.report.add(
                    Problem::error("type", item.span, format!("`{}` is empty", self.name()))
                        .hint("remove the `-`, or write what belongs there"),
                );
            } else {
                shaped.extend(self.node(item, shape));
            }
            self.path.pop();
        }
        with(node, Value::List(Arc::new(shaped)))
    }

    fn pairs(&mut self, node: &Node, pairs: &Pairs) -> Option<Node> {
        let mut out = Map::default();
        match &node.value {
            Value::Map(map) => {
                for entry in &map.entries {
                    self.path.push(entry.key.to_string());
                    if let Some(value) = self.scalar(&entry.value) {
                        out.entries.push(Entry {
                            value: pair_value(value, pairs),
                            ..entry.clone()
                        });
                    }
                    self.path.pop();
                }
            }
            Value::List(items) => {
                let mut index = std::collections::HashMap::new();
                for item in items.iter() {
                    let Some(entry) = self.pair(item, pairs) else {
                        continue;
                    };
                    match index.get(&entry.key) {
                        Some(&at) => out.entries[at] = entry,
                        None => {
                            index.insert(Arc::clone(&entry.key), out.entries.len());
                            out.entries.push(entry);
                        }
                    }
                }
            }
            _ => {
                self.mismatch(node, "a mapping or a list of `key=value`", None);
                return None;
            }
        }
        Some(with(node, Value::Map(Arc::new(out))))
    }

    /// An item `key=value`.
    fn pair(&mut self, item: &Node, pairs: &Pairs) -> Option<Entry> {
        if let Some(map) = item.as_map()
            && let [entry] = &map.entries[..]
        {
            let text = scalar_text(&entry.value).unwrap_or_default();
            let hint = format!(
                "write `{}={}`, or leave out the `-`",
                entry.key,
                shortened(&text)
            );
            self.mismatch(item, "`key=value`", Some(hint));
            return None;
        }
        let text = scalar_text(&self.scalar(item)?)?;
        let (key, value) = match text.split_once(pairs.separators) {
            Some((key, value)) => (key, Value::Text(value.into())),
            None if pairs.lone == LoneKey::Null => (&*text, Value::Null),
            None => (&*text, Value::Text("".into())),
        };
        if key.is_empty() || pairs.lone == LoneKey::Null && key.contains(char::is_whitespace) {
            let message = format!("`{}` has an item without a usable name", self.name());
            self.report.add(
                Problem::error("value", item.span, message)
                    .hint("write `NAME=value`, without spaces around `=`"),
            );
            return None;
        }
        Some(Entry {
            key: key.into(),
            span: item.span,
            value: Node::new(value, item.span),
        })
    }

    fn names(&mut self, node: &Node, shape: &Shape) -> Option<Node> {
        let map = self.map(node)?;
        if map.entries.len() > MAX_NAMES {
            let message = format!("`{}` has over {MAX_NAMES} entries", self.name());
            self.report
                .add(Problem::error("too-large", node.span, message));
            return None;
        }
        let mut out = Map::default();
        for entry in &map.entries {
            // Under the names themselves `x-` is a name like others.
            self.path.push(entry.key.to_string());
            if let Some(value) = self.node(&entry.value, shape) {
                out.entries.push(Entry {
                    value,
                    ..entry.clone()
                });
            }
            self.path.pop();
        }
        Some(with(node, Value::Map(Arc::new(out))))
    }

    fn object(&mut self, node: &Node, object: &Object) -> Option<Node> {
        let map = self.map(node)?;
        let mut out = Map::default();
        for entry in &map.entries {
            if entry.key.starts_with("x-") {
                out.entries.push(entry.clone());
                continue;
            }
            let Some(key) = object.keys.iter().find(|key| key.name == &*entry.key) else {
                let meant = self.unknown(entry, map, object);
                out.entries.extend(meant.map(|key| Entry {
                    key: key.into(),
                    span: entry.span,
                    value: Node::new(Value::Null, entry.span),
                }));
                continue;
            };
            self.path.push(entry.key.to_string());
            // What is wrong was said something about: it is not missing too.
            let value = self.key(entry, key);
            let value = value.unwrap_or_else(|| Node::new(Value::Null, entry.value.span));
            self.path.pop();
            out.entries.push(Entry {
                value,
                ..entry.clone()
            });
        }
        self.required(node, map, object);
        Some(with(node, Value::Map(Arc::new(out))))
    }

    fn key(&mut self, entry: &Entry, key: &Key) -> Option<Node> {
        match key.use_of {
            Use::Read => self.node(&entry.value, &key.shape),
            Use::Unused(why) => {
                let message = format!("`{}` is not used: {why}", self.name());
                self.report
                    .add(Problem::warning("unused", entry.span, message));
                Some(entry.value.clone())
            }
            Use::Refused(why) => {
                let message = format!("`{}` is not supported: {why}", self.name());
                self.report.add(
                    Problem::error("unsupported", entry.span, message)
                        .hint(format!("remove `{}`", key.name)),
                );
                None
            }
        }
    }

    fn required(&mut self, node: &Node, map: &Map, object: &Object) {
        for name in object.required {
            if map.entry(name).is_none_or(|entry| entry.value.is_null()) {
                let message = format!("`{}` needs `{name}`", self.name());
                self.report.add(
                    Problem::error("missing", node.span, message).hint(format!("add `{name}: …`")),
                );
            }
        }
    }

    /// Reports the key, and gives the one that was probably meant.
    fn unknown(&mut self, entry: &Entry, map: &Map, object: &Object) -> Option<&'static str> {
        let owner = match self.path.is_empty() {
            true => "the file".to_owned(),
            false => format!("`{}`", self.name()),
        };
        let message = format!("`{}` is not a key of {owner}", shortened(&entry.key));
        let absent = object
            .keys
            .iter()
            .map(|key| key.name)
            .filter(|name| map.entries.len() > 1000 || map.entry(name).is_none());
        let near = self.report.nearest(&entry.key, absent);
        let is_service = ["image", "build"]
            .iter()
            .any(|key| entry.value.get(key).is_some());
        let hint = match (old_word(&entry.key, self.path.len()), near) {
            (Some(hint), _) => hint.to_owned(),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            _ if self.path.is_empty() && is_service => {
                "services stand below `services:`, indented".to_owned()
            }
            _ => "see docs/compose.md for the keys; `x-…` is free for your own".to_owned(),
        };
        self.report
            .add(Problem::error("unknown-key", entry.span, message).hint(hint));
        near
    }

    fn map<'n>(&mut self, node: &'n Node) -> Option<&'n Map> {
        if let Value::Map(map) = &node.value {
            return Some(map);
        }
        let hint = match &node.value {
            Value::List(_) => Some("leave out the `-`".to_owned()),
            Value::Text(text) if self.is_in(&["depends_on", "networks"]) => {
                Some(format!("write `[{}]`", shortened(text)))
            }
            _ => None,
        };
        self.mismatch(node, "a mapping", hint);
        None
    }

    /// Whether the value at hand stands under one of these keys.
    fn is_in(&self, keys: &[&str]) -> bool {
        self.path
            .last()
            .is_some_and(|last| keys.contains(&last.as_str()))
    }

    fn mismatch(&mut self, node: &Node, wanted: &str, hint: Option<String>) {
        let message = match self.path.is_empty() {
            true => format!("a compose file is {wanted}; this is {}", node.kind()),
            false => format!(
                "`{}` must be {wanted}; this is {}",
                self.name(),
                node.kind()
            ),
        };
        self.report
            .add(Problem::error("type", node.span, message).maybe_hint(hint));
    }

    fn read<T>(&mut self, node: &Node, read: Read<T>) -> Option<T> {
        read.map_err(|wrong| self.wrong(node, wrong)).ok()
    }

    fn wrong(&mut self, node: &Node, wrong: Wrong) {
        let message = format!("`{}`: {}", self.name(), wrong.message);
        self.report
            .add(Problem::error("value", node.span, message).hint(wrong.hint));
    }

    /// `services.web.ports[0]`
    fn name(&self) -> String {
        let mut name = String::new();
        for part in &self.path {
            if !name.is_empty() && !part.starts_with('[') {
                name.push('.');
            }
            name.push_str(&shortened(part));
        }
        name
    }
}

/// The node with another value.
pub(crate) fn with(node: &Node, value: Value) -> Node {
    Node {
        value,
        span: node.span,
        tag: node.tag,
    }
}

fn pair_value(value: Node, pairs: &Pairs) -> Node {
    let text = match pairs.values {
        PairValues::AsWritten if value.as_bool().is_none() => return value,
        PairValues::AsWritten => scalar_text(&value).unwrap_or_default(),
        PairValues::Texts if value.is_null() => return value,
        PairValues::Texts | PairValues::Strings => scalar_text(&value).unwrap_or_default(),
    };
    with(&value, Value::Text(text.into()))
}

fn without_repeats(node: &Node) -> Node {
    let mut seen = std::collections::HashSet::new();
    let items = node.as_list().unwrap_or_default();
    let kept = items
        .iter()
        .filter(|item| scalar_text(item).is_none_or(|text| seen.insert(text)));
    with(node, Value::List(Arc::new(kept.cloned().collect())))
}

/// Whether the source of a short volume is a path, not a name.
pub(crate) fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
}

/// The addresses that docker-compose 1.29 and the engine take for a build's context.
pub(crate) fn is_url(text: &str) -> bool {
    let prefixes = [
        "http://",
        "https://",
        "git://",
        "ssh://",
        "github.com/",
        "git@",
    ];
    prefixes.iter().any(|prefix| text.starts_with(prefix))
}

/// Words of old files and of `docker run`, and what they are called here.
fn old_word(key: &str, depth: usize) -> Option<&'static str> {
    if depth == 0 {
        return None;
    }
    Some(match key {
        "log_driver" | "log_opt" => "write `logging: { driver: …, options: … }`",
        "net" => "write `network_mode`",
        "dockerfile" if depth == 2 => "write `build: { dockerfile: … }`",
        "volume_driver" => "declare the volume under `volumes:` of the file with its `driver`",
        "hosts" | "add_host" => "did you mean `extra_hosts`?",
        "memory_swap" => "did you mean `memswap_limit`?",
        "workdir" => "did you mean `working_dir`?",
        "env" => "did you mean `environment`?",
        _ => return None,
    })
}

pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn choice(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
