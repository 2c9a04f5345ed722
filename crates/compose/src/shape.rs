//! Holds a file's tree against the table of keys: says all that does not fit, and writes it out.
//!
//! What comes back has long forms where there are two, lists where a single item may stand for one,
//! absolute paths, and numbers where a text was interpolated. What does not fit is left out of it, so
//! that later stages see only what is well formed.

pub(crate) mod short;

use std::sync::Arc;

use yaml::{Entry, Map, Node, Problem, Report, Value};

use crate::path;
use crate::project::Published;
use crate::schema::{self, Form, Key, LoneKey, Merge, Object, PairValues, Pairs, Shape, Use};
use crate::value::{self, Read, ShortPort, Wrong, scalar_text};

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

    fn text(&mut self, node: &Node) -> Option<Node> {
        if node.as_str().is_some() {
            return Some(node.clone());
        }
        let quoted = scalar_text(node).map(|text| format!("put it into quotes: `\"{text}\"`"));
        self.mismatch(node, "a text", quoted);
        None
    }

    fn scalar(&mut self, node: &Node) -> Option<Node> {
        match node.value {
            Value::List(_) | Value::Map(_) | Value::Reference(_) => {
                self.mismatch(node, "a text or a number", None);
                None
            }
            _ => Some(node.clone()),
        }
    }

    fn bool(&mut self, node: &Node) -> Option<Node> {
        match &node.value {
            Value::Bool(_) => Some(node.clone()),
            Value::Text(text) => {
                let truth = self.read(node, value::boolean(text))?;
                Some(with(node, Value::Bool(truth)))
            }
            _ => {
                self.mismatch(node, "`true` or `false`", None);
                None
            }
        }
    }

    fn int(&mut self, node: &Node, least: i64, most: i64) -> Option<Node> {
        let number = match &node.value {
            Value::Int(number, _) => *number,
            Value::Float(number, _) if number.fract() == 0.0 && number.abs() < 1e15 => {
                *number as i64
            }
            Value::Text(text) => self.read(node, value::integer(text))?,
            _ => {
                self.mismatch(node, "a whole number", None);
                return None;
            }
        };
        if number < least || number > most {
            let message = format!("`{}` is {number}, which is out of bounds", self.name());
            let hint = match most {
                i64::MAX => format!("the least is {least}"),
                _ => format!("write a number from {least} to {most}"),
            };
            self.report
                .add(Problem::error("value", node.span, message).hint(hint));
            return None;
        }
        Some(with(node, Value::Int(number, None)))
    }

    fn float(&mut self, node: &Node) -> Option<Node> {
        let number = match &node.value {
            Value::Int(..) => return Some(node.clone()),
            Value::Float(number, _) if number.is_finite() => *number,
            Value::Text(text) => self.read(node, value::number(text))?,
            _ => {
                self.mismatch(node, "a number", None);
                return None;
            }
        };
        Some(with(node, Value::Float(number, None)))
    }

    fn form(&mut self, node: &Node, form: Form) -> Option<Node> {
        let text = scalar_text(&self.scalar(node)?)?;
        let is_number = matches!(node.value, Value::Int(..) | Value::Float(..));
        let fits = match form {
            Form::Duration => value::duration(&text).map(|_| ()),
            Form::Bytes => value::bytes(&text).map(|_| ()),
            Form::ByteCount => {
                let number = self.read(node, value::bytes(&text))?;
                return Some(with(node, Value::Int(number, None)));
            }
            Form::Integer => value::integer(&text).map(|_| ()),
            Form::Number => value::number(&text).map(|_| ()),
            Form::Micros => {
                let number = self.read(node, value::microseconds(&text))?;
                return Some(with(node, Value::Int(number, None)));
            }
            Form::Restart => value::restart(&text).map(|_| ()),
            Form::Expose => value::expose(&text).map(|_| ()),
            Form::Published => {
                let published = self.read(node, value::published(&text))?;
                return Some(with(
                    node,
                    match published {
                        Published::Port(port) => Value::Int(port.into(), None),
                        _ => Value::Text(text.into()),
                    },
                ));
            }
            Form::Protocol => value::protocol(&text).map(|_| ()),
        };
        self.read(node, fits)?;
        match form {
            Form::Restart | Form::Protocol | Form::Duration if is_number => self.text(node),
            Form::Restart if node.as_bool().is_some() => Some(with(node, Value::Text("no".into()))),
            _ => Some(node.clone()),
        }
    }

    fn word(&mut self, node: &Node, words: &[&str]) -> Option<Node> {
        let node = self.text(node)?;
        let text = node.as_str()?;
        if words.contains(&text) {
            return Some(node);
        }
        let message = format!("`{}` cannot be `{}`", self.name(), shortened(text));
        let hint = match self.report.nearest(text, words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write {}", choice(words)),
        };
        self.report
            .add(Problem::error("value", node.span, message).hint(hint));
        None
    }

    fn path_or_url(&mut self, node: &Node) -> Option<Node> {
        let node = self.text(node)?;
        let text = node.as_str()?;
        if is_url(text) {
            return Some(node);
        }
        let path = self.base.absolute(text);
        Some(with(&node, Value::Text(path.into())))
    }

    fn command(&mut self, node: &Node) -> Option<Node> {
        match &node.value {
            Value::Text(text) => {
                self.read(node, value::words(text))?;
                Some(node.clone())
            }
            Value::List(items) => Some(self.items(node, items, &Shape::Text)),
            Value::Map(_) | Value::Reference(_) => {
                self.mismatch(node, "a text or a list of texts", None);
                None
            }
            _ => self.text(node),
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
        if node.tag != yaml::Tag::Reset {
            self.required(node, map, object);
        }
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

    fn port_list(&mut self, node: &Node) -> Option<Node> {
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

    fn short_ports(&mut self, item: &Node) -> Option<Vec<Node>> {
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

    fn mount(&mut self, node: &Node) -> Option<Node> {
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

    fn long_mount(&mut self, node: Node) -> Node {
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

    fn map<'n>(&mut self, node: &'n Node) -> Option<&'n Map> {
        if let Value::Map(map) = &node.value {
            return Some(map);
        }
        let hint = match &node.value {
            Value::List(_) => Some("leave out the `-`".to_owned()),
            _ => None,
        };
        self.mismatch(node, "a mapping", hint);
        None
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

fn long_port(port: ShortPort, item: &Node) -> Node {
    let node = |value| Node::new(value, item.span);
    let mut entries: Vec<(Arc<str>, Node)> = Vec::new();
    if let Some(ip) = port.host_ip {
        entries.push(("host_ip".into(), node(Value::Text(ip.into()))));
    }
    if let Some(protocol) = port.protocol {
        let name = match protocol {
            crate::project::Protocol::Tcp => "tcp",
            crate::project::Protocol::Udp => "udp",
            crate::project::Protocol::Sctp => "sctp",
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
