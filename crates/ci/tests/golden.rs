//! Our own cases: `tests/cases/*.txt`, each `input ---------- expected`.
//!
//! An input starts with lines `# key: value` that say what the pipeline is for; `==== path` starts
//! another file. `BLESS=1 cargo test -p ci --test golden` writes what is found as expected.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use ci::{Changes, Compiled, Fetched, Input, Job, Location, Purpose};
use model::{GitRef, Variable};
use serde_json::Value;

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    testkit::golden::cases(&folder, 60, check);
}

fn check(text: &str) -> String {
    let mut files = text.split("==== ");
    let main = files.next().unwrap_or_default();
    let others: BTreeMap<String, String> = files
        .map(|file| file.split_once('\n').unwrap())
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    let input = input(main, &others);
    show(&ci::compile_with(input, |location| {
        fetch(location, &others)
    }))
}

fn fetch(location: &Location, files: &BTreeMap<String, String>) -> Fetched {
    match files.get(&location.to_string()) {
        Some(text) => Fetched::Text(text.clone()),
        None => Fetched::Failed("there is no such file".to_owned()),
    }
}

fn input(main: &str, others: &BTreeMap<String, String>) -> Input {
    let mut input = Input::new("ci.yml", main, GitRef::branch("main").unwrap());
    input.project = "group/project".to_owned();
    input.tree = Some(others.keys().cloned().collect());
    for line in main.lines() {
        let Some((key, value)) = line
            .strip_prefix("# ")
            .and_then(|line| line.split_once(": "))
        else {
            break;
        };
        let list = || value.split(", ").map(str::to_owned).collect::<Vec<_>>();
        match key {
            "branch" => input.git_ref = GitRef::branch(value).unwrap(),
            "tag" => input.git_ref = GitRef::tag(value).unwrap(),
            "source" => input.source = value.parse().unwrap(),
            "purpose" => input.purpose = Purpose::Check,
            "changes" => input.changes = Changes::Files(list()),
            "tree" => input.tree = Some(list()),
            "setting" => input.variables.project.push(variable(value)),
            "input" => {
                let (name, value) = value.split_once('=').unwrap();
                input.inputs.insert(name.to_owned(), value.to_owned());
            }
            other => panic!("{other}"),
        }
    }
    let name = input.git_ref.name().to_owned();
    let predefined = &mut input.variables.predefined;
    predefined.push(Variable::public("CI_COMMIT_REF_NAME", &*name));
    predefined.push(Variable::public("CI_DEFAULT_BRANCH", "main"));
    predefined.push(Variable::public(
        "CI_PIPELINE_SOURCE",
        input.source.as_str(),
    ));
    let key = match input.git_ref.is_tag() {
        true => "CI_COMMIT_TAG",
        false => "CI_COMMIT_BRANCH",
    };
    predefined.push(Variable::public(key, name));
    input
}

fn variable(text: &str) -> Variable {
    let (key, value) = text.split_once('=').unwrap();
    Variable::public(key, value)
}

fn show(compiled: &Compiled) -> String {
    let mut out = String::new();
    if !compiled.diagnostics.is_empty() {
        writeln!(out, "{}", compiled.render()).unwrap();
    }
    let Some(graph) = &compiled.graph else {
        return out;
    };
    if let Some(name) = &graph.name {
        writeln!(out, "name {name}").unwrap();
    }
    if graph.auto_cancel != ci::AutoCancel::default() {
        writeln!(
            out,
            "{}",
            serde_json::to_string(&graph.auto_cancel).unwrap()
        )
        .unwrap();
    }
    for (at, stage) in graph.stages.iter().enumerate() {
        writeln!(out, "{stage}").unwrap();
        for job in graph.jobs.iter().filter(|job| job.stage == at) {
            writeln!(out, "  {}{}", job.name, fields(job)).unwrap();
        }
    }
    if graph.is_empty() {
        writeln!(out, "nothing runs").unwrap();
    }
    for left in &compiled.left_out {
        let name = if left.job.is_empty() {
            "pipeline"
        } else {
            &left.job
        };
        writeln!(out, "not {}: {} ({})", name, left.reason, left.place).unwrap();
    }
    out
}

/// What of a job differs from a job with one line of script.
fn fields(job: &Job) -> String {
    let Value::Object(mut map) = serde_json::to_value(job).unwrap() else {
        panic!("a job is an object");
    };
    for key in ["name", "stage"] {
        map.remove(key);
    }
    if job.group == job.name {
        map.remove("group");
    }
    let variables: serde_json::Map<_, _> = job
        .variables
        .iter()
        .map(|one| {
            let raw = if one.raw { " (raw)" } else { "" };
            (
                one.key.clone(),
                Value::String(format!("{}{raw}", one.value.expose())),
            )
        })
        .collect();
    map.insert("variables".to_owned(), Value::Object(variables));
    let mut out = String::new();
    for (key, value) in &mut map {
        let empty = match &*value {
            Value::Object(inner) => inner.values().all(|value| {
                value.is_null()
                    || value.as_i64() == Some(0)
                    || value.as_array().is_some_and(Vec::is_empty)
            }),
            _ => false,
        };
        prune(value);
        let dull = empty
            || matches!(value, Value::Null | Value::Bool(false))
            || *value == "on_success"
            || *value == "no"
            || (value.as_array().is_some_and(Vec::is_empty)
                && key != "needs"
                && key != "dependencies")
            || value.as_object().is_some_and(serde_json::Map::is_empty)
            || (key == "script" && *value == serde_json::json!(["true"]));
        if !dull {
            write!(out, " {key}={value}").unwrap();
        }
    }
    out
}

fn prune(value: &mut Value) {
    if let Value::Object(map) = value {
        map.values_mut().for_each(prune);
        map.retain(|_, value| {
            !matches!(value, Value::Null | Value::Bool(false))
                && !value.as_array().is_some_and(Vec::is_empty)
                && !value.as_object().is_some_and(serde_json::Map::is_empty)
        });
    }
    if let Value::Array(items) = value {
        items.iter_mut().for_each(prune);
    }
}
