//! GitLab's own cases of pipeline processing, when they are there.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::Path;

use ci::{Graph, Input};
use model::GitRef;
use pipeline::{Simulation, Snapshot, Status, Step};
use serde_json::Value;

#[test]
fn pipeline_processing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/conformance/pipeline_processing");
    if !folder.exists() {
        eprintln!("skipped: {} is absent", folder.display());
        return;
    }
    let mut cases: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() > 40, "only {} cases", cases.len());
    let failures: Vec<_> = cases
        .iter()
        .flat_map(|path| check(path.as_path()))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    eprintln!("pipeline_processing: {} passed, 0 skipped", cases.len());
}

fn check(path: &Path) -> Vec<String> {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let text = fs_err::read_to_string(path).unwrap();
    let case = testkit::yaml_text::value(&text);
    let graph = compile(&testkit::yaml_text::below("config", &text));
    let mut simulation = Simulation::new(&graph);
    let mut failures = Vec::new();
    let mut compare = |when: &str, expect: &Value, found: &Snapshot| {
        let expected = snapshot(expect);
        if *found != expected {
            failures.push(format!(
                "{name} {when}:\n  expected {expected:?}\n  found    {found:?}"
            ));
        }
    };
    compare("init", &case["init"]["expect"], &simulation.snapshot());
    let transitions = case["transitions"].as_array().cloned().unwrap_or_default();
    for (number, transition) in transitions.iter().enumerate() {
        let jobs = transition["jobs"].as_array().cloned().unwrap_or_default();
        let step = Step {
            action: transition["event"].as_str().unwrap().parse().unwrap(),
            jobs: jobs
                .iter()
                .map(|job| job.as_str().unwrap().to_owned())
                .collect(),
        };
        let when = format!("after {number} {step:?}");
        match simulation.step(&step) {
            Ok(()) => compare(&when, &transition["expect"], &simulation.snapshot()),
            Err(error) => panic!("{name} {when}: {error:?}"),
        }
    }
    failures
}

fn compile(config: &str) -> Graph {
    let input = Input::new(".gitlab-ci.yml", config, GitRef::branch("main").unwrap());
    let compiled = ci::compile(&input);
    compiled
        .graph
        .clone()
        .unwrap_or_else(|| panic!("{}\n{config}", compiled.render()))
}

fn snapshot(expect: &Value) -> Snapshot {
    let status = |value: &Value| -> Status { value.as_str().unwrap().parse().unwrap() };
    let statuses = |value: &Value| -> BTreeMap<String, Status> {
        let map = value.as_object().unwrap();
        map.iter()
            .map(|(name, value)| (name.clone(), status(value)))
            .collect()
    };
    Snapshot {
        pipeline: status(&expect["pipeline"]),
        stages: statuses(&expect["stages"]),
        jobs: statuses(&expect["jobs"]),
    }
}
