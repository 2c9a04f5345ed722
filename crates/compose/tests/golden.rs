//! Our own cases: `tests/cases/*.txt`, each `input ---------- expected`.
//!
//! An input may start with lines `# key: value` that say what is asked for; `==== path` starts
//! another file. What is expected are the diagnostics, and below them the printed file, or with
//! `# show: project` the typed project without what is empty. `BLESS=1 cargo test -p compose --test
//! golden` writes what is found as expected.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::Path;

use compose::{Loaded, Request};
use serde_json::Value;

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    testkit::golden::cases(&folder, 40, check);
}

fn check(text: &str) -> String {
    let mut parts = text.split("==== ");
    let main = parts.next().unwrap_or_default();
    let mut files: BTreeMap<String, String> = parts
        .map(|file| file.split_once('\n').unwrap())
        .map(|(name, text)| (format!("/p/{name}"), text.to_owned()))
        .collect();
    files.insert("/p/compose.yml".to_owned(), main.to_owned());
    let mut request = Request {
        directory: "/p".to_owned(),
        ..Request::default()
    };
    let mut show_project = false;
    for line in main.lines() {
        let Some((key, value)) = line
            .strip_prefix("# ")
            .and_then(|line| line.split_once(": "))
        else {
            break;
        };
        match key {
            "env" => {
                let (name, value) = value.split_once('=').unwrap();
                request
                    .environment
                    .insert(name.to_owned(), value.to_owned());
            }
            "file" => request.files.push(value.to_owned()),
            "env_file" => request.env_files.push(value.to_owned()),
            "profile" => request.profiles.push(value.to_owned()),
            "name" => request.project_name = Some(value.to_owned()),
            "directory" => value.clone_into(&mut request.directory),
            "project_directory" => request.project_directory = Some(value.to_owned()),
            "show" => show_project = true,
            other => panic!("{other}"),
        }
    }
    show(&compose::load(&request, &files), show_project)
}

fn show(loaded: &Loaded, show_project: bool) -> String {
    let mut out = String::new();
    if !loaded.diagnostics.is_empty() {
        out.push_str(&loaded.render());
        out.push('\n');
    }
    match &loaded.project {
        None => {}
        Some(project) if show_project => {
            let value = without_nothing(serde_json::to_value(project).unwrap()).unwrap();
            out.push_str(&serde_json::to_string_pretty(&value).unwrap());
            out.push('\n');
        }
        Some(_) => out.push_str(&loaded.config()),
    }
    out
}

/// The value without nulls, `false`, and empty lists and mappings.
fn without_nothing(value: Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Object(map) => {
            let kept: serde_json::Map<_, _> = map
                .into_iter()
                .filter_map(|(key, value)| Some((key, without_nothing(value)?)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept = items.into_iter();
            Some(Value::Array(
                kept.map(|item| without_nothing(item).unwrap_or(Value::Null))
                    .collect(),
            ))
        }
        other => Some(other),
    }
}
