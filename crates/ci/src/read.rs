//! From checked trees to the graph's types. What does not fit was reported by the check and is
//! passed over here.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Variable;

use crate::graph::{
    AllowFailure, Artifacts, Cache, CacheKey, CachePolicy, Environment, EnvironmentAction, Hooks,
    IdToken, Image, Release, Retry, SaveWhen, Service, When,
};
use crate::report::{Problem, Report};
use crate::rules::texts;
use crate::schema::duration;
use crate::{AutoCancel, JobFailureCancel, NewCommitCancel};
use yaml::{Entry, Map, Node, Value, to_json};

pub(crate) fn text(map: &Map, key: &str) -> Option<String> {
    map.get(key)?.scalar_text().map(|text| text.to_string())
}

pub(crate) fn flag(map: &Map, key: &str) -> bool {
    map.get(key).and_then(Node::as_bool).unwrap_or(false)
}

/// A text, or texts in lists in lists, as one list.
pub(crate) fn strings(node: Option<&Node>) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(node) = node {
        texts(node, &mut all);
    }
    all.iter().map(|text| text.to_string()).collect()
}

/// Lines of a script: an empty text is none.
pub(crate) fn script(map: &Map, key: &str) -> Vec<String> {
    let mut lines = strings(map.get(key));
    if lines.len() == 1 && lines[0].is_empty() {
        lines.clear();
    }
    lines
}

fn optional_strings(map: &Map, key: &str) -> Option<Vec<String>> {
    map.get(key).map(|node| strings(Some(node)))
}

pub(crate) fn seconds(map: &Map, key: &str) -> Option<u64> {
    duration(&map.get(key)?.scalar_text()?)
}

fn json(map: &Map, key: &str) -> Option<serde_json::Value> {
    map.get(key).map(to_json)
}

fn word<T: serde::de::DeserializeOwned + Default>(map: &Map, key: &str) -> T {
    map.get(key)
        .and_then(Node::as_str)
        .and_then(|text| serde_json::from_value(serde_json::Value::String(text.to_owned())).ok())
        .unwrap_or_default()
}

pub(crate) fn when(map: &Map) -> Option<When> {
    let text = map.get("when")?.as_str()?;
    [
        When::OnSuccess,
        When::OnFailure,
        When::Always,
        When::Manual,
        When::Delayed,
        When::Never,
    ]
    .into_iter()
    .find(|when| when.as_str() == text)
}

/// The variables of a mapping in its order.
pub(crate) fn variables(node: Option<&Node>, report: &mut Report) -> Vec<Variable> {
    let Some(map) = node.and_then(Node::as_map) else {
        return Vec::new();
    };
    let mut all = Vec::with_capacity(map.entries.len());
    for entry in &map.entries {
        let value = match entry.value.as_map() {
            Some(map) => map.get("value"),
            None => Some(&entry.value),
        };
        if let Some(node) = value {
            warn_of_number(&entry.key, node, report);
        }
        let text = value.and_then(Node::scalar_text).unwrap_or_default();
        check_options(entry, value, report);
        let variable = Variable::public(&*entry.key, &*text);
        let raw = entry.value.get("expand").and_then(Node::as_bool) == Some(false);
        all.push(if raw { variable.raw() } else { variable });
    }
    all
}

/// A value that may be chosen when a pipeline is started is one of the options.
fn check_options(entry: &Entry, value: Option<&Node>, report: &mut Report) {
    let options = entry.value.get("options").and_then(Node::as_list);
    let (Some(options), Some(value)) = (options, value) else {
        return;
    };
    let text = value.scalar_text();
    let names: Vec<_> = options.iter().filter_map(Node::scalar_text).collect();
    if !text.as_ref().is_some_and(|text| names.contains(text)) {
        let message = format!("the value of `{}` is none of its `options`", entry.key);
        let problem = Problem::error("wrong-value", value.span, message);
        report.add(problem.hint(format!("use one of {}", names.join(", "))));
    }
}

fn warn_of_number(name: &str, node: &Node, report: &mut Report) {
    if let Value::Int(_, Some(raw)) | Value::Float(_, Some(raw)) = &node.value {
        let value = node.scalar_text().unwrap_or_default();
        let message = format!("`{name}` is `{value}`: YAML reads `{raw}` as a number");
        report.add(
            Problem::warning("yaml-number", node.span, message)
                .hint(format!("write \"{raw}\" in quotes to keep it as it is")),
        );
    }
}

pub(crate) fn allow_failure(node: &Node) -> AllowFailure {
    match (&node.value, node.get("exit_codes")) {
        (Value::Bool(true), _) => AllowFailure::Yes,
        (_, Some(codes)) => AllowFailure::ExitCodes(integers(codes)),
        _ => AllowFailure::No,
    }
}

fn integers(node: &Node) -> Vec<i32> {
    let one = |node: &Node| node.as_int().and_then(|number| i32::try_from(number).ok());
    match node.as_list() {
        Some(items) => items.iter().filter_map(one).collect(),
        None => one(node).into_iter().collect(),
    }
}

pub(crate) fn retry(node: &Node) -> Retry {
    let number = |node: &Node| node.as_int().and_then(|number| u32::try_from(number).ok());
    match node.as_map() {
        None => Retry {
            max: number(node).unwrap_or(0),
            ..Retry::default()
        },
        Some(map) => Retry {
            max: map.get("max").and_then(number).unwrap_or(0),
            when: strings(map.get("when")),
            exit_codes: map.get("exit_codes").map(integers).unwrap_or_default(),
        },
    }
}

pub(crate) fn image(node: &Node) -> Image {
    let Some(map) = node.as_map() else {
        return Image {
            name: node.scalar_text().unwrap_or_default().to_string(),
            ..Image::default()
        };
    };
    let options = ["docker", "kubernetes"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), json(map, key)?)));
    Image {
        name: text(map, "name").unwrap_or_default(),
        entrypoint: optional_strings(map, "entrypoint"),
        pull_policy: strings(map.get("pull_policy")),
        executor_opts: options.collect(),
    }
}

pub(crate) fn services(node: Option<&Node>, report: &mut Report) -> Vec<Service> {
    let items = node.and_then(Node::as_list).unwrap_or_default();
    items.iter().map(|item| service(item, report)).collect()
}

fn service(node: &Node, report: &mut Report) -> Service {
    let map = node.as_map();
    Service {
        image: image(node),
        alias: map.and_then(|map| text(map, "alias")),
        command: map.and_then(|map| optional_strings(map, "command")),
        variables: variables(node.get("variables"), report),
    }
}

pub(crate) fn artifacts(map: &Map) -> Artifacts {
    let reports = map.get("reports").and_then(Node::as_map);
    let report = |entry: &Entry| {
        let paths = entry.value.get("path").unwrap_or(&entry.value);
        (entry.key.to_string(), strings(Some(paths)))
    };
    let public = map.get("public").and_then(Node::as_bool);
    Artifacts {
        name: text(map, "name"),
        paths: strings(map.get("paths")),
        exclude: strings(map.get("exclude")),
        untracked: flag(map, "untracked"),
        when: word::<SaveWhen>(map, "when"),
        expire_in: seconds(map, "expire_in"),
        expose_as: text(map, "expose_as"),
        access: text(map, "access").or_else(|| Some(public_word(public?).to_owned())),
        reports: reports.map_or_else(BTreeMap::new, |map| {
            map.entries.iter().map(report).collect()
        }),
    }
}

fn public_word(public: bool) -> &'static str {
    if public { "all" } else { "developer" }
}

pub(crate) fn caches(node: Option<&Node>) -> Vec<Cache> {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items.iter().filter_map(Node::as_map).map(cache).collect(),
        Some(Value::Map(map)) => vec![cache(map)],
        _ => Vec::new(),
    }
}

fn cache(map: &Map) -> Cache {
    Cache {
        key: map.get("key").map(cache_key).unwrap_or_default(),
        paths: strings(map.get("paths")),
        untracked: flag(map, "untracked"),
        when: word::<SaveWhen>(map, "when"),
        policy: text(map, "policy").map(CachePolicy).unwrap_or_default(),
        unprotect: flag(map, "unprotect"),
        fallback_keys: strings(map.get("fallback_keys")),
    }
}

fn cache_key(node: &Node) -> CacheKey {
    match node.as_map() {
        None => CacheKey::Text(node.scalar_text().unwrap_or_default().to_string()),
        Some(map) => CacheKey::Files {
            files: strings(map.get("files").or(map.get("files_commits"))),
            commits: map.get("files").is_none(),
            prefix: text(map, "prefix"),
        },
    }
}

/// With the name as it is written.
pub(crate) fn environment(node: &Node) -> Environment {
    let empty = Map::default();
    let map = node.as_map().unwrap_or(&empty);
    Environment {
        name: (node.scalar_text().map(|name| name.to_string()))
            .or_else(|| text(map, "name"))
            .unwrap_or_default(),
        url: text(map, "url"),
        action: word::<EnvironmentAction>(map, "action"),
        on_stop: text(map, "on_stop"),
        auto_stop_in: seconds(map, "auto_stop_in"),
        tier: text(map, "deployment_tier"),
        kubernetes: json(map, "kubernetes"),
    }
}

pub(crate) fn hooks(node: Option<&Node>) -> Hooks {
    let map = node.and_then(Node::as_map);
    Hooks {
        pre_get_sources_script: map
            .map(|map| script(map, "pre_get_sources_script"))
            .unwrap_or_default(),
    }
}

pub(crate) fn release(map: &Map) -> Release {
    let rest = map.entries.iter().filter(|entry| &*entry.key != "tag_name");
    Release {
        tag_name: text(map, "tag_name").unwrap_or_default(),
        fields: rest
            .map(|entry| (entry.key.to_string(), to_json(&entry.value)))
            .collect(),
    }
}

pub(crate) fn id_tokens(map: &Map) -> BTreeMap<String, IdToken> {
    let token = |entry: &Entry| {
        let aud = strings(entry.value.get("aud"));
        (entry.key.to_string(), IdToken { aud })
    };
    map.entries.iter().map(token).collect()
}

pub(crate) fn json_map(node: Option<&Node>) -> BTreeMap<String, serde_json::Value> {
    let map = node.and_then(Node::as_map);
    let entries = map.map_or(&[][..], |map| &map.entries);
    entries
        .iter()
        .map(|entry| (entry.key.to_string(), to_json(&entry.value)))
        .collect()
}

/// A coverage pattern without its slashes.
pub(crate) fn coverage(map: &Map) -> Option<String> {
    let text = text(map, "coverage")?;
    Some(text.trim_matches('/').to_owned())
}

pub(crate) fn auto_cancel(node: Option<&Node>, base: AutoCancel) -> AutoCancel {
    let Some(map) = node.and_then(Node::as_map) else {
        return base;
    };
    AutoCancel {
        on_new_commit: match map.get("on_new_commit") {
            Some(_) => word::<NewCommitCancel>(map, "on_new_commit"),
            None => base.on_new_commit,
        },
        on_job_failure: match map.get("on_job_failure") {
            Some(_) => word::<JobFailureCancel>(map, "on_job_failure"),
            None => base.on_job_failure,
        },
    }
}

/// Each place of a matrix: its variables in the order they are written.
pub(crate) fn matrix(node: &Node) -> Vec<Vec<(String, String)>> {
    let mut places = Vec::new();
    for entry in node.as_list().unwrap_or_default() {
        let mut rows: Vec<Vec<(String, String)>> = vec![Vec::new()];
        for variable in entry.as_map().map_or(&[][..], |map| &map.entries) {
            let values = strings(Some(&variable.value));
            if rows.len() * values.len() > 10_000 {
                return places;
            }
            let longer = |row: &Vec<(String, String)>, value: &String| {
                let mut row = row.clone();
                row.push((variable.key.to_string(), value.clone()));
                row
            };
            rows = rows
                .iter()
                .flat_map(|row| values.iter().map(move |value| longer(row, value)))
                .collect();
        }
        places.extend(rows);
        if places.len() > 10_000 {
            return places;
        }
    }
    places
}

/// A key's text with its place, for messages.
pub(crate) fn named_items(node: &Node) -> Vec<Node> {
    match &node.value {
        Value::List(items) => items.iter().flat_map(named_items).collect(),
        _ => vec![node.clone()],
    }
}

/// Cheap to share.
pub(crate) type Name = Arc<str>;
