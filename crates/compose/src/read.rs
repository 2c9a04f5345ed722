//! From the normal form to types, with every name looked up.

mod attach;
mod build;
mod deploy;
mod limits;
mod mount;
mod resource;
mod service;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::str::FromStr;

use yaml::{Entry, Node, Problem, Span};

use crate::file::Loader;
use crate::interpolate::Variables;
use crate::project::{Extensions, NameError, Network, NetworkName, Project, Service, ServiceName};
use crate::settings::Settings;
use crate::shape::shortened;
use crate::value::{Read as ReadValue, scalar_text};

/// The key of ours in compose files.
const OWN: &str = "x-lotse";

/// A project, and where its services stand.
pub(crate) struct ReadProject {
    pub(crate) project: Project,
    pub(crate) places: BTreeMap<ServiceName, Place>,
}

/// Where a service stands, and each of its ports and links.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    pub(crate) name: Span,
    pub(crate) ports: Vec<Span>,
    pub(crate) links: Vec<Span>,
}

/// The typed project; what cannot be read is reported and left out.
pub(crate) fn project(normal: &Node, settings: &Settings, loader: &mut Loader<'_>) -> ReadProject {
    let mut reader = Reader::new(normal, settings, loader);
    let networks = reader.section(normal, "networks", Reader::network);
    let volumes = reader.section(normal, "volumes", Reader::volume);
    let configs = reader.section(normal, "configs", Reader::file);
    let secrets = reader.section(normal, "secrets", Reader::file);
    let services = reader.section(normal, "services", Reader::service);
    if normal
        .get("services")
        .and_then(Node::as_map)
        .is_none_or(|map| map.entries.is_empty())
    {
        reader.no_services(normal);
    }
    let mut project = Project {
        name: settings.name.clone(),
        directory: settings.folder.clone(),
        services,
        inactive: BTreeMap::new(),
        networks,
        volumes,
        configs,
        secrets,
        extensions: extensions(normal),
    };
    attach::links_as_aliases(&mut project.services);
    split_by_profile(&mut project, &settings.profiles);
    let places = std::mem::take(&mut reader.places);
    reader.networks_in_use(&mut project);
    ReadProject { project, places }
}

struct Reader<'r, 'l> {
    loader: &'r mut Loader<'l>,
    values: &'r Variables,
    folder: &'r str,
    /// Names that others may use.
    services: BTreeMap<String, Span>,
    networks: BTreeMap<String, Span>,
    volumes: BTreeMap<String, Span>,
    configs: BTreeMap<String, Span>,
    secrets: BTreeMap<String, Span>,
    places: BTreeMap<ServiceName, Place>,
}

impl<'r, 'l> Reader<'r, 'l> {
    fn new(normal: &Node, settings: &'r Settings, loader: &'r mut Loader<'l>) -> Self {
        let names = |section: &str| {
            let map = normal.get(section).and_then(Node::as_map);
            let entries = map.into_iter().flat_map(|map| &map.entries);
            entries
                .map(|entry| (entry.key.to_string(), entry.span))
                .collect()
        };
        Self {
            services: names("services"),
            networks: names("networks"),
            volumes: names("volumes"),
            configs: names("configs"),
            secrets: names("secrets"),
            places: BTreeMap::new(),
            values: &settings.values,
            folder: &settings.folder,
            loader,
        }
    }

    /// All entries of a section that can be read.
    fn section<K: FromStr<Err = NameError> + Ord, V>(
        &mut self,
        normal: &Node,
        section: &str,
        read: fn(&mut Self, &Entry) -> Option<V>,
    ) -> BTreeMap<K, V> {
        let map = normal.get(section).and_then(Node::as_map);
        let mut all = BTreeMap::new();
        for entry in map.into_iter().flat_map(|map| &map.entries) {
            let name: Option<K> = self.name(&entry.key, entry.span);
            let value = read(self, entry);
            if let (Some(name), Some(value)) = (name, value) {
                all.insert(name, value);
            }
        }
        all
    }

    fn name<K: FromStr<Err = NameError>>(&mut self, text: &str, span: Span) -> Option<K> {
        match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.add(Problem::error("name", span, error.to_string()));
                None
            }
        }
    }

    fn no_services(&mut self, normal: &Node) {
        let span = normal.get("services").map_or(normal.span, |node| node.span);
        let span = if span.line == 0 { return } else { span };
        self.add(
            Problem::error("empty", span, "there are no services")
                .hint("put each under its name below `services:`"),
        );
    }

    /// Networks that nobody uses are left out, `default` is there where it is used.
    fn networks_in_use(&mut self, project: &mut Project) {
        let all = project.services.values().chain(project.inactive.values());
        let used: std::collections::BTreeSet<NetworkName> =
            all.flat_map(Service::networks).cloned().collect();
        let unused = project.networks.keys().filter(|name| !used.contains(*name));
        for name in unused.cloned().collect::<Vec<_>>() {
            project.networks.remove(&name);
            if let Some(&span) = self.networks.get(name.as_str()) {
                let message = format!("no service uses the network `{name}`; it is not made");
                self.add(Problem::warning("unused", span, message));
            }
        }
        for name in used {
            if let Slot::Vacant(slot) = project.networks.entry(name)
                && slot.key().as_str() == "default"
            {
                slot.insert(Network::default());
            }
        }
    }

    fn add(&mut self, problem: Problem) {
        self.loader.report.add(problem);
    }

    fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>, hint: &str) {
        self.add(Problem::error(code, span, message).hint(hint));
    }

    /// A value that a reader of [`crate::value`] understands.
    fn read<T>(&mut self, node: &Node, key: &str, read: fn(&str) -> ReadValue<T>) -> Option<T> {
        let node = node.get(key)?;
        let text = scalar_text(node)?;
        match read(&text) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let message = format!("`{key}`: {}", wrong.message);
                self.error("value", node.span, message, &wrong.hint);
                None
            }
        }
    }

    /// A name that must be in a section of the file.
    fn known<K: FromStr<Err = NameError>>(
        &mut self,
        section: Section,
        text: &str,
        span: Span,
        user: &str,
    ) -> Option<K> {
        let known = match section {
            Section::Services => &self.services,
            Section::Networks => &self.networks,
            Section::Volumes => &self.volumes,
            Section::Configs => &self.configs,
            Section::Secrets => &self.secrets,
        };
        let implicit = section == Section::Networks && text == "default";
        if known.contains_key(text) || implicit {
            return text.parse().ok();
        }
        let names = known.keys().take(1000).map(String::as_str);
        let near = self.loader.report.nearest(text, names);
        let word = section.word();
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `{}` under `{word}s:`", shortened(text)),
        };
        let message = format!(
            "{user} names the {word} `{}`, which is not there",
            shortened(text)
        );
        self.add(Problem::error("reference", span, message).hint(hint));
        None
    }
}

/// A section of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Services,
    Networks,
    Volumes,
    Configs,
    Secrets,
}

impl Section {
    fn word(self) -> &'static str {
        match self {
            Self::Services => "service",
            Self::Networks => "network",
            Self::Volumes => "volume",
            Self::Configs => "config",
            Self::Secrets => "secret",
        }
    }
}

fn split_by_profile(project: &mut Project, asked: &[String]) {
    let is_active = |service: &Service| {
        service.profiles.is_empty()
            || asked
                .iter()
                .any(|one| one == "*" || service.profiles.contains(one))
    };
    let (active, inactive) = std::mem::take(&mut project.services)
        .into_iter()
        .partition(|(_, service)| is_active(service));
    project.services = active;
    project.inactive = inactive;
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key)?.as_str().map(str::to_owned)
}

fn texts(node: &Node, key: &str) -> Vec<String> {
    let items = node.get(key).and_then(Node::as_list).unwrap_or_default();
    items.iter().filter_map(scalar_text).collect()
}

fn flag(node: &Node, key: &str) -> bool {
    node.get(key).and_then(Node::as_bool).unwrap_or_default()
}

fn int(node: &Node, key: &str) -> Option<i64> {
    node.get(key)?.as_int()
}

fn count(node: &Node, key: &str) -> Option<u32> {
    u32::try_from(int(node, key)?).ok()
}

fn items<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).and_then(Node::as_list).unwrap_or_default()
}

fn entries<'n>(node: &'n Node, key: &str) -> &'n [Entry] {
    let map = node.get(key).and_then(Node::as_map);
    map.map_or(&[], |map| &map.entries)
}

/// A mapping of texts; nothing counts as the empty text.
fn strings(node: &Node, key: &str) -> BTreeMap<String, String> {
    entries(node, key)
        .iter()
        .map(|entry| {
            (
                entry.key.to_string(),
                scalar_text(&entry.value).unwrap_or_default(),
            )
        })
        .collect()
}

/// `x-…` keys, without ours.
fn extensions(node: &Node) -> Extensions {
    let map = node.as_map();
    map.into_iter()
        .flat_map(|map| &map.entries)
        .filter(|entry| entry.key.starts_with("x-") && &*entry.key != OWN)
        .map(|entry| (entry.key.to_string(), yaml::to_json(&entry.value)))
        .collect()
}
