//! What the file says outside of its jobs.

use std::collections::HashMap;
use std::sync::Arc;

use model::Variable;

use crate::read::{self, Name};
use crate::report::{Problem, Report};
use crate::schema::{DEFAULT, GLOBAL, What, check};
use yaml::{Entry, Map, Node, Value};

/// Keywords that may also stand at the top of the file in place of in `default`.
const OLD_DEFAULTS: [&str; 5] = [
    "image",
    "services",
    "before_script",
    "after_script",
    "cache",
];

pub(crate) struct Globals {
    /// All stages in order, `.pre` and `.post` among them.
    pub(crate) stages: Vec<Name>,
    pub(crate) stage_places: HashMap<Name, usize>,
    /// Whether the file names its stages itself.
    pub(crate) stages_given: bool,
    pub(crate) default: Vec<Entry>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) workflow: Option<Arc<Map>>,
}

impl Globals {
    pub(crate) fn read(tree: &Map, report: &mut Report) -> Self {
        for entry in &tree.entries {
            check_entry(entry, report);
        }
        let stages = stages(tree, report);
        let places = stages.iter().enumerate();
        Self {
            stage_places: places.map(|(at, name)| (Arc::clone(name), at)).collect(),
            stages,
            stages_given: tree.get("stages").or(tree.get("types")).is_some(),
            default: defaults(tree),
            variables: read::variables(tree.get("variables"), report),
            workflow: match tree.get("workflow").map(|node| &node.value) {
                Some(Value::Map(map)) => Some(Arc::clone(map)),
                _ => None,
            },
        }
    }

    /// The jobs: all that is no keyword and not hidden.
    pub(crate) fn jobs(tree: &Map) -> impl Iterator<Item = &Entry> {
        let is_job = |entry: &&Entry| {
            !entry.key.starts_with('.')
                && GLOBAL.key(&entry.key).is_none()
                && entry.value.as_map().is_some()
        };
        tree.entries.iter().filter(is_job)
    }
}

/// The file without keywords that are there and empty: those are not given at all, so that a job can
/// take back what it extends and gets what `default` says (GitLab takes each entry that is null for
/// unspecified).
pub(crate) fn without_empty(mut tree: Map) -> Map {
    let is_empty = |entry: &Entry| entry.value.is_null();
    tree.entries
        .retain(|entry| !is_empty(entry) || GLOBAL.key(&entry.key).is_none());
    for entry in &mut tree.entries {
        let known = match &*entry.key {
            "default" => &DEFAULT,
            key if GLOBAL.key(key).is_some() => continue,
            _ => &crate::schema::JOB,
        };
        let empty = |inner: &Entry| is_empty(inner) && known.key(&inner.key).is_some();
        if let Value::Map(map) = &mut entry.value.value
            && map.entries.iter().any(empty)
        {
            Arc::make_mut(map).entries.retain(|inner| !empty(inner));
        }
    }
    tree
}

fn check_entry(entry: &Entry, report: &mut Report) {
    if entry.key.starts_with('.') || &*entry.key == "include" {
        return;
    }
    if &*entry.key == "spec" {
        return crate::inputs::check_spec(&entry.value, report);
    }
    if let Some(key) = GLOBAL.key(&entry.key) {
        let what = What::FILE.key(&entry.key);
        return check(&entry.value, &key.shape, &what, report);
    }
    if entry.value.as_map().is_none() {
        let problem = no_job(entry, report);
        report.add(problem);
    }
}

fn no_job(entry: &Entry, report: &mut Report) -> Problem {
    let name = &entry.key;
    if crate::schema::JOB.key(name).is_some() {
        let message = format!("`{name}` belongs into a job, not at the top of the file");
        let problem = Problem::error("misplaced-keyword", entry.span, message);
        return match DEFAULT.key(name) {
            Some(_) => problem.hint("write it under `default:` to give it to every job"),
            None => problem.hint("write a job's name above it and indent it"),
        };
    }
    let message = format!(
        "`{name}` is neither a keyword nor a job: it holds {}",
        entry.value.kind()
    );
    let problem = Problem::error("wrong-kind", entry.span, message);
    match report.nearest(name, crate::schema::global_names()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("a job is a mapping: put its keywords below it, indented"),
    }
}

fn stages(tree: &Map, report: &mut Report) -> Vec<Name> {
    let given = tree.get("stages").or(tree.get("types"));
    let mut names: Vec<Name> = Vec::new();
    match given {
        Some(node) => {
            for item in read::named_items(node) {
                match item.scalar_text() {
                    Some(name) if names.contains(&name) => {
                        let message = format!("stage `{name}` is named twice");
                        report.add(Problem::warning("duplicate-stage", item.span, message));
                    }
                    Some(name) => names.push(name),
                    None => {}
                }
            }
        }
        None => names.extend(["build", "test", "deploy"].map(Name::from)),
    }
    names.retain(|name| !matches!(&**name, ".pre" | ".post"));
    names.insert(0, ".pre".into());
    names.push(".post".into());
    names
}

fn defaults(tree: &Map) -> Vec<Entry> {
    let given = tree.get("default").and_then(Node::as_map);
    let mut all = given.map(|map| map.entries.clone()).unwrap_or_default();
    for name in OLD_DEFAULTS {
        let known = all.iter().any(|entry| &*entry.key == name);
        if let Some(entry) = tree.entry(name).filter(|_| !known) {
            all.push(entry.clone());
        }
    }
    all
}
