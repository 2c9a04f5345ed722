//! GitLab's own valid and invalid files, and the files of the first user, when they are there.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::{Path, PathBuf};

use ci::{Compiled, Input, Purpose};
use model::GitRef;

fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared")
        .join(folder);
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
    found.sort();
}

fn check(path: &Path) -> Compiled {
    let text = fs_err::read_to_string(path).unwrap();
    let mut input = Input::new("ci.yml", text, GitRef::branch("main").unwrap());
    input.purpose = Purpose::Check;
    ci::compile_with(input, |_| ci::Fetched::Text(String::from(".hidden: {}\n")))
}

#[test]
fn schema_positive() {
    let Some(folder) = shared("conformance/schema/positive") else {
        return;
    };
    let mut cases = Vec::new();
    files(&folder, &mut cases);
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    let mut failures = Vec::new();
    for case in &cases {
        let compiled = check(case);
        let about_includes = |one: &&ci::Diagnostic| one.is_error() && one.code != "input";
        for error in compiled.diagnostics.iter().filter(about_includes) {
            failures.push(format!("{}: {error}", case.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    eprintln!("schema/positive: {} passed, 0 skipped", cases.len());
}

#[test]
fn schema_negative() {
    let Some(folder) = shared("conformance/schema/negative") else {
        return;
    };
    let mut cases = Vec::new();
    files(&folder, &mut cases);
    assert!(cases.len() >= 30, "only {} cases", cases.len());
    let mut failures = Vec::new();
    for case in &cases {
        let compiled = check(case);
        let errors: Vec<_> = compiled
            .diagnostics
            .iter()
            .filter(|one| one.is_error())
            .collect();
        let name = case.display().to_string();
        if std::env::var_os("SHOW").is_some() {
            println!("== {name}");
            errors.iter().for_each(|error| println!("{error}"));
        }
        let text = fs_err::read_to_string(case).unwrap();
        let blank = |error: &&&ci::Diagnostic| {
            let line = text.lines().nth(error.place.line - 1).unwrap_or("");
            line.trim().is_empty() || line.trim_start().starts_with('#')
        };
        if errors.is_empty() {
            failures.push(format!("{name}: no error"));
        }
        failures.extend(
            errors
                .iter()
                .filter(blank)
                .map(|error| format!("{name}: nothing is at {error}")),
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    eprintln!("schema/negative: {} passed, 0 skipped", cases.len());
}

#[test]
fn seed() {
    let Some(folder) = shared("seed") else {
        return;
    };
    let text = fs_err::read_to_string(folder.join("repository/.gitlab-ci.yml")).unwrap();
    let compile = |git_ref| ci::compile(&Input::new(".gitlab-ci.yml", text.as_str(), git_ref));
    let tag = compile(GitRef::tag("v1.0.0").unwrap());
    assert!(!tag.has_errors(), "{}", tag.render());
    let graph = tag.graph.unwrap();
    assert_eq!(graph.stages, ["build_prod", "prod_one", "prod_two"]);
    let names: Vec<_> = graph.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["build_prod", "prod_one-deploy", "prod_two-deploy"]);
    assert_eq!(graph.jobs[1].tags, ["prod01"]);
    assert_eq!(graph.jobs[0].before_script.len(), 6);
    assert!(graph.jobs[0].script[1].starts_with("docker build --no-cache"));
    assert_eq!(
        graph.jobs[2].after_script[1],
        "docker logout ${CI_REGISTRY}"
    );
    let branch = compile(GitRef::branch("main").unwrap());
    assert!(branch.graph.unwrap().is_empty());

    let text = fs_err::read_to_string(folder.join("exim4/.gitlab-ci.yml")).unwrap();
    let input = Input::new(".gitlab-ci.yml", text, GitRef::branch("master").unwrap());
    let graph = ci::compile(&input).graph.unwrap();
    let names: Vec<_> = graph.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["build", "test", "prod"]);
    assert_eq!(graph.jobs[1].before_script.len(), 9);
}
