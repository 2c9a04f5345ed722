//! The normal form: variables of files in their place, values looked up, one way to say each thing.
//!
//! It is what `docker-compose config` 1.29 prints, but for what [`crate::render`] does for the eye, and
//! what the types are read from.

use std::collections::HashMap;
use std::sync::Arc;

use yaml::{Entry, Map, Node, Span, Value};

use crate::dotenv::Format;
use crate::file::{Absence, Loader};
use crate::interpolate::Variables;
use crate::merge::{with_key, without};
use crate::settings::Settings;
use crate::shape::{Base, short, with};
use crate::value::{self, scalar_text};

/// The merged tree in its normal form.
pub(crate) fn normal(tree: &Node, settings: &Settings, loader: &mut Loader<'_>) -> Node {
    let mut tree = each(tree, "services", |service, _| {
        self::service(service, settings, loader)
    });
    let base = Base {
        folder: settings.folder.clone(),
        home: loader.home.clone(),
    };
    for section in ["networks", "volumes", "configs", "secrets"] {
        tree = each(&tree, section, |node, name| {
            let node = external(&not_null(node), name);
            match section {
                "volumes" => device(&node, &base),
                _ => node,
            }
        });
    }
    tree
}

/// The tree with every entry of a section replaced.
fn each(tree: &Node, section: &str, mut new: impl FnMut(&Node, &str) -> Node) -> Node {
    let Some(node) = tree.get(section) else {
        return tree.clone();
    };
    let Some(map) = node.as_map() else {
        return without(tree, section);
    };
    let entries = map.entries.iter().map(|entry| Entry {
        value: new(&entry.value, &entry.key),
        ..entry.clone()
    });
    let map = Map {
        entries: entries.collect(),
    };
    with_key(tree, section, with(node, Value::Map(Arc::new(map))))
}

fn not_null(node: &Node) -> Node {
    match node.is_null() {
        true => with(node, Value::Map(Arc::default())),
        false => node.clone(),
    }
}

fn service(service: &Node, settings: &Settings, loader: &mut Loader<'_>) -> Node {
    if service.as_map().is_none() {
        return service.clone();
    }
    let mut service = service.clone();
    if service.get("environment").is_some() || service.get("env_file").is_some() {
        service = environment(&service, settings, loader);
    }
    if service.get("label_file").is_some() {
        service = labels(&service, settings, loader);
    }
    if let Some(check) = service.get("healthcheck").cloned() {
        service = with_key(&service, "healthcheck", healthcheck(&check));
    }
    if let Some(networks) = service.get("networks")
        && networks.is_null()
    {
        service = without(&service, "networks");
    }
    if let Some(build) = service.get("build").cloned()
        && let Some(args) = build.get("args")
    {
        let args = in_texts(&looked_up(args, &settings.values));
        service = with_key(&service, "build", with_key(&build, "args", args));
    }
    service
}

/// Entries of which later ones take the place of earlier ones of the same key.
#[derive(Default)]
struct Overlay {
    map: Map,
    index: HashMap<Arc<str>, usize>,
}

impl Overlay {
    fn put(&mut self, entry: Entry) {
        match self.index.get(&entry.key) {
            Some(&at) => self.map.entries[at] = entry,
            None => {
                let at = self.map.entries.len();
                self.index.insert(Arc::clone(&entry.key), at);
                self.map.entries.push(entry);
            }
        }
    }

    fn put_all(&mut self, node: Option<&Node>) {
        let map = node.and_then(Node::as_map);
        for entry in map.iter().flat_map(|map| &map.entries) {
            self.put(entry.clone());
        }
    }

    fn into_node(self, span: Span) -> Node {
        Node::new(Value::Map(Arc::new(self.map)), span)
    }
}

/// The variables of `env_file` and over them those of `environment`; those without a value get one
/// from the environment, if it has one.
fn environment(service: &Node, settings: &Settings, loader: &mut Loader<'_>) -> Node {
    let own = service.get("environment");
    let mut all = Overlay::default();
    let files = service.get("env_file").and_then(Node::as_list);
    for file in files.unwrap_or_default() {
        env_file(file, settings, loader, &mut all);
    }
    all.put_all(own);
    let all = all.into_node(own.map_or(service.span, |node| node.span));
    let all = looked_up(&all, &settings.values);
    with_key(&without(service, "env_file"), "environment", all)
}

fn env_file(file: &Node, settings: &Settings, loader: &mut Loader<'_>, all: &mut Overlay) {
    let Some(path) = file.get("path") else {
        return;
    };
    let absence = match file.get("required").and_then(Node::as_bool) {
        Some(false) => Absence::Fine,
        _ => Absence::Error(path.span),
    };
    let format = match file.get("format") {
        Some(_) => Format::Raw,
        None => Format::Usual,
    };
    let name = path.as_str().unwrap_or_default();
    for (key, value) in loader.variables(name, format, &settings.values, &absence) {
        let value = value.map_or(Value::Null, |text| Value::Text(text.into()));
        all.put(Entry {
            key: key.into(),
            span: path.span,
            value: Node::new(value, path.span),
        });
    }
}

/// Entries without a value, with that of the environment.
fn looked_up(node: &Node, values: &Variables) -> Node {
    let Some(map) = node.as_map() else {
        return node.clone();
    };
    let entry = |entry: &Entry| match values.get(&*entry.key) {
        Some(text) if entry.value.is_null() => Entry {
            value: with(&entry.value, Value::Text(text.as_str().into())),
            ..entry.clone()
        },
        _ => entry.clone(),
    };
    let entries = map.entries.iter().map(entry).collect();
    with(node, Value::Map(Arc::new(Map { entries })))
}

/// A mapping of scalars as texts; nothing stays nothing.
fn in_texts(node: &Node) -> Node {
    let Some(map) = node.as_map() else {
        return node.clone();
    };
    let entries = map
        .entries
        .iter()
        .map(|entry| match scalar_text(&entry.value) {
            Some(text) => Entry {
                value: with(&entry.value, Value::Text(text.into())),
                ..entry.clone()
            },
            None => entry.clone(),
        });
    let entries = entries.collect();
    with(node, Value::Map(Arc::new(Map { entries })))
}

/// The labels of `label_file` and over them those of `labels`.
fn labels(service: &Node, settings: &Settings, loader: &mut Loader<'_>) -> Node {
    let mut all = Overlay::default();
    let files = service.get("label_file").and_then(Node::as_list);
    for file in files.unwrap_or_default() {
        let absence = Absence::Error(file.span);
        let name = file.as_str().unwrap_or_default();
        for (key, value) in loader.variables(name, Format::Usual, &settings.values, &absence) {
            all.put(Entry {
                key: key.into(),
                span: file.span,
                value: Node::text(value.unwrap_or_default(), file.span),
            });
        }
    }
    all.put_all(service.get("labels"));
    let all = all.into_node(service.span);
    with_key(&without(service, "label_file"), "labels", all)
}

/// `disable: true` as the test that says so; durations in their largest unit.
fn healthcheck(check: &Node) -> Node {
    let mut check = check.clone();
    if let Some(disable) = check.get("disable").cloned() {
        check = without(&check, "disable");
        if disable.as_bool() == Some(true) {
            let none = short::list(disable.span, vec![Node::text("NONE", disable.span)]);
            check = with_key(&check, "test", none);
        }
    }
    for key in ["interval", "timeout", "start_period", "start_interval"] {
        let written = check
            .get(key)
            .and_then(|node| Some((node.as_str()?, node.span)));
        if let Some((text, span)) = written
            && let Ok(duration) = value::duration(text)
        {
            let text = Node::text(value::duration_text(duration), span);
            check = with_key(&check, key, text);
        }
    }
    check
}

/// `external` as a boolean beside the name; `external: { name: … }` is the old way.
fn external(node: &Node, key: &str) -> Node {
    let Some(external) = node.get("external").cloned() else {
        return node.clone();
    };
    let given = external.get("name").or_else(|| node.get("name")).cloned();
    if external.as_bool() == Some(false) || external.is_null() {
        return without(node, "external");
    }
    let truth = Node::new(Value::Bool(true), external.span);
    let name = given.unwrap_or_else(|| Node::text(key, external.span));
    with_key(&with_key(node, "external", truth), "name", name)
}

/// A folder that a volume is bound to, as an absolute path.
fn device(volume: &Node, base: &Base) -> Node {
    let text = |key: &str| volume.get(key).and_then(Node::as_str);
    let Some(options) = volume.get("driver_opts") else {
        return volume.clone();
    };
    let option = |key: &str| options.get(key).and_then(Node::as_str);
    let is_bind = option("o").is_some_and(|o| o.split(',').any(|word| word == "bind"));
    match option("device") {
        Some(device) if is_bind && text("driver").unwrap_or("local") == "local" => {
            let device = Node::text(base.absolute(device), options.span);
            with_key(volume, "driver_opts", with_key(options, "device", device))
        }
        _ => volume.clone(),
    }
}
