//! `include`: whole projects as parts of another one.
//!
//! Each is loaded by itself, with its own folder and variables, and its services, networks, volumes,
//! configs and secrets join those of the file. Two different things of one name are an error.

use std::sync::Arc;

use yaml::{Map, Node, Problem, Span, Value};

use crate::dotenv::Format;
use crate::file::{Absence, Loader};
use crate::interpolate::Variables;
use crate::load::Model;
use crate::merge::{settled, with_key, without};
use crate::{path, shape};

/// Includes inside each other.
const MAX_DEPTH: usize = 20;

/// What including a file costs at least, in values.
const OVERHEAD: usize = 5_000;

const SECTIONS: [&str; 5] = ["services", "networks", "volumes", "configs", "secrets"];

/// The tree with all that it includes.
pub(crate) fn include(loader: &mut Loader<'_>, tree: &Node, model: &Model<'_>) -> Node {
    let Some(items) = tree.get("include").and_then(Node::as_list) else {
        return tree.clone();
    };
    let mut whole = without(tree, "include");
    for item in items {
        if let Some(part) = included(loader, item, model) {
            for section in SECTIONS {
                whole = join(loader, &whole, &part, section, item.span);
            }
            whole = with_extensions(whole, &part);
        }
    }
    whole
}

fn included(loader: &mut Loader<'_>, item: &Node, model: &Model<'_>) -> Option<Node> {
    let paths: Vec<(&str, Span)> = texts(item.get("path")?);
    let (first, span) = *paths.first()?;
    if let Some((remote, span)) = paths.iter().find(|(path, _)| is_remote(path)) {
        let message = format!("`{}` is not on this machine", shape::shortened(remote));
        loader.report.add(
            Problem::error("unsupported", *span, message)
                .hint("fetch it first, and include the file"),
        );
        return None;
    }
    let home = loader.home.clone();
    let absolute = |path: &str| path::absolute(model.folder, path, home.as_deref());
    let files: Vec<String> = paths.iter().map(|(path, _)| absolute(path)).collect();
    if let Some(at) = files.iter().position(|file| model.chain.contains(file)) {
        let message = format!("`{}` includes itself", loader.shown(&files[at]));
        let problem = Problem::error("include", paths[at].1, message);
        loader
            .report
            .add(problem.hint("take one `include` out of the circle"));
        return None;
    }
    if model.chain.len() >= MAX_DEPTH {
        let message = format!("more than {MAX_DEPTH} files include one another");
        loader.report.add(Problem::error("include", span, message));
        return None;
    }
    if !loader.counted(OVERHEAD, span) {
        return None;
    }
    let folder = match item.get("project_directory").and_then(Node::as_str) {
        Some(folder) => absolute(folder),
        None => path::parent(&absolute(first)).to_owned(),
    };
    let env_files: Vec<_> = item.get("env_file").map(texts).unwrap_or_default();
    let env_files: Vec<_> = env_files
        .iter()
        .map(|(path, span)| (absolute(path), Absence::Error(*span)))
        .collect();
    let values = values(loader, &folder, env_files, model.values);
    let chain = [model.chain, &files].concat();
    let part = Model {
        files: &files,
        folder: &folder,
        values: &values,
        chain: &chain,
        asked_at: Some(span),
    };
    Some(settled(&part.load(loader)))
}

/// The variables of an included project: those around it, and below them its own.
fn values(
    loader: &mut Loader<'_>,
    folder: &str,
    mut env_files: Vec<(String, Absence)>,
    outer: &Variables,
) -> Variables {
    if env_files.is_empty() {
        env_files.push((format!("{folder}/.env"), Absence::Fine));
    }
    let mut values = Variables::new();
    for (path, absence) in env_files {
        let lines = loader.variables(&path, Format::Usual, outer, &absence);
        values.extend(
            lines
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?))),
        );
    }
    values.extend(outer.clone());
    values
}

/// Both trees' entries of one section.
fn join(
    loader: &mut Loader<'_>,
    whole: &Node,
    part: &Node,
    section: &str,
    included_at: Span,
) -> Node {
    let Some(new) = part.get(section).and_then(Node::as_map) else {
        return whole.clone();
    };
    let mut map = Map::clone(
        whole
            .get(section)
            .and_then(Node::as_map)
            .unwrap_or(&Map::default()),
    );
    let known: std::collections::HashMap<Arc<str>, usize> = map
        .entries
        .iter()
        .enumerate()
        .map(|(at, entry)| (Arc::clone(&entry.key), at))
        .collect();
    for entry in &new.entries {
        match known.get(&entry.key).map(|&at| &map.entries[at]) {
            Some(old) if same(&settled(&old.value), &entry.value) => {}
            Some(old) => {
                let message = format!(
                    "`{}` is in `{section}` of this file and of an included one",
                    entry.key
                );
                loader.report.add(
                    Problem::error("include", old.span, message)
                        .note(entry.span, "the included one")
                        .note(included_at, "included here")
                        .hint("rename one of them; or change it in a file that is included with it: `path: [theirs.yml, changes.yml]`"),
                );
            }
            None => map.entries.push(entry.clone()),
        }
    }
    let node = Node::new(Value::Map(Arc::new(map)), part.span);
    with_key(whole, section, node)
}

/// The `x-` keys of an included file, where the file has none of that name: they mean nothing to
/// Compose, so there is nothing that they could contradict.
fn with_extensions(whole: Node, part: &Node) -> Node {
    let entries = part.as_map().into_iter().flat_map(|map| &map.entries);
    let extensions = entries.filter(|entry| entry.key.starts_with("x-"));
    extensions.fold(whole, |whole, entry| match whole.get(&entry.key) {
        Some(_) => whole,
        None => with_key(&whole, &entry.key, entry.value.clone()),
    })
}

/// Whether two trees say the same, wherever they stand.
fn same(one: &Node, other: &Node) -> bool {
    yaml::to_json(one) == yaml::to_json(other)
}

fn texts(list: &Node) -> Vec<(&str, Span)> {
    let items = list.as_list().unwrap_or_default().iter();
    items
        .filter_map(|item| Some((item.as_str()?, item.span)))
        .collect()
}

fn is_remote(path: &str) -> bool {
    path.contains("://") || path.starts_with("git@") || path.starts_with("github.com/")
}
