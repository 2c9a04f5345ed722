//! Our own cases: `tests/cases/*.txt`, each `input ---------- expected`.
//!
//! An input starts with lines `# key: value` that say what the pipeline is for; `==== path` starts
//! another file, `==== path = group/name@commit` one that was found there. `BLESS=1 cargo test -p ci --test golden` writes what is found as expected.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ci::{
    Changes, Comparison, Compiled, ComponentAddress, Fetched, Input, Job, Location, Missing,
    Origin, Purpose, RepositoryAt, Tree,
};
use model::{GitRef, Variable};
use regex::Regex;
use serde_json::Value;

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    testkit::golden::cases(&folder, 60, check);
}

/// Each code that the compiler gives has a case that shows it.
#[test]
fn every_diagnostic_has_a_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let code = Regex::new(r#"Problem::(?:error|warning|danger)\(\s*"([a-z-]+)""#).unwrap();
    let shown = Regex::new(r"(?m)^(?:error|warning|danger)\[([a-z-]+)\]: ").unwrap();
    let given = found(&code, &[root.join("src"), root.join("../yaml/src")]);
    assert!(given.len() > 30, "{given:?}");
    let shown = found(&shown, &[root.join("tests/cases")]);
    let missing: Vec<_> = given.difference(&shown).collect();
    // Compose files have it: tags mean nothing in GitLab's.
    assert_eq!(missing, ["yaml-tag"]);
}

/// Each keyword that the language's schema knows is used in a case.
#[test]
fn every_keyword_has_a_case() {
    let mut keywords = BTreeSet::new();
    properties(&ci::json_schema(), &mut keywords);
    assert!(keywords.len() > 140, "{keywords:?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let inputs: Vec<_> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| fs_err::read_to_string(entry.unwrap().path()).unwrap())
        .map(|text| text.split("----------\n").next().unwrap().to_owned())
        .collect();
    let inputs = inputs.concat();
    let key = Regex::new(r"([A-Za-z_0-9]+):").unwrap();
    let used: BTreeSet<_> = (key.captures_iter(&inputs))
        .map(|one| one[1].to_owned())
        .collect();
    let missing: Vec<_> = keywords.difference(&used).collect();
    // It is for editors, not of the language.
    assert_eq!(missing, ["$schema"]);
}

/// The names under `properties`, however deep.
fn properties(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                found.extend(properties.keys().cloned());
            }
            map.values().for_each(|inner| properties(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| properties(inner, found)),
        _ => {}
    }
}

/// What the pattern's group is in the files of folders.
fn found(pattern: &Regex, folders: &[PathBuf]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = folders.to_vec();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs_err::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let text = fs_err::read_to_string(path).unwrap();
        found.extend(pattern.captures_iter(&text).map(|one| one[1].to_owned()));
    }
    found
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
    let location = location.to_string();
    let found = format!("{location} = ");
    let elsewhere = files.iter().find_map(|(name, text)| {
        let (project, commit) = name.strip_prefix(&found)?.split_once('@')?;
        let component = location
            .strip_prefix("component:")
            .and_then(|address| address.parse::<ComponentAddress>().ok())
            .map(|address| address.facts("1.2.3"));
        let origin = Origin {
            project: project.to_owned(),
            commit: commit.to_owned(),
            component,
        };
        Some((text.clone(), origin))
    });
    if let Some((text, origin)) = elsewhere {
        return Fetched::Of { text, origin };
    }
    match files.get(&location) {
        Some(text) => Fetched::Text(text.clone()),
        None => Fetched::Failed(Missing::new("there is no such file")),
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
            "other tree" => {
                let (at, files) = value.split_once('=').unwrap();
                let (project, git_ref) = at.split_once('@').unwrap();
                let at = RepositoryAt {
                    project: project.to_owned(),
                    git_ref: Some(git_ref.to_owned()),
                };
                let tree = match files {
                    "none" => Tree::Failed(Missing::new("there is none").hint("make it")),
                    files => Tree::Paths(files.split(", ").map(str::to_owned).collect()),
                };
                input.trees.insert(at, tree);
            }
            "no ref" => {
                input
                    .comparisons
                    .insert(value.to_owned(), Comparison::NoRef);
            }
            "compared" => {
                let (name, files) = value.split_once('=').unwrap();
                let files = files.split(", ").map(str::to_owned).collect();
                let files = Comparison::Files(files);
                input.comparisons.insert(name.to_owned(), files);
            }
            "tree" => input.tree = Some(list()),
            "setting" => input.variables.project.push(variable(value)),
            "masked" => input.variables.project.push(Variable {
                masked: true,
                ..variable(value)
            }),
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
