//! GitLab's own cases of what a runner is handed, when they are there.

use std::path::Path;

use ci::Input;
use model::GitRef;
use serde_json::Value;

use super::words;

#[test]
fn runner_payload() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/runner_payload");
    if !folder.exists() {
        eprintln!("skipped: {} is absent", folder.display());
        return;
    }
    let mut cases: Vec<_> = (folder.read_dir().unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 10, "only {} cases", cases.len());
    let failures: Vec<String> = cases.iter().flat_map(|case| check(case)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    eprintln!("runner_payload: {} passed, 0 skipped", cases.len());
}

/// What of the expected answer is missing in ours.
fn check(path: &Path) -> Vec<String> {
    let text = fs_err::read_to_string(path).unwrap();
    let case = testkit::yaml_text::value(&text);
    let config = testkit::yaml_text::below("gitlab_ci", &text);
    let input = Input::new(".gitlab-ci.yml", config, GitRef::branch("main").unwrap());
    let compiled = ci::compile(&input);
    let graph = (compiled.graph.as_ref())
        .unwrap_or_else(|| panic!("{}: {}", path.display(), compiled.render()));
    let found = serde_json::to_value(words::of_job(&graph.jobs[0])).unwrap();
    let mut missing = Vec::new();
    compare("", &case["request_response"], &found, &mut missing);
    let name = path.file_stem().unwrap().to_string_lossy();
    (missing.into_iter())
        .map(|what| format!("{name}{what}"))
        .collect()
}

/// `expected` is contained in `found`: what is null or empty there may be absent here.
fn compare(at: &str, expected: &Value, found: &Value, missing: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), _) => {
            for (key, value) in expected {
                let known = found.get(key).unwrap_or(&Value::Null);
                compare(&format!("{at}.{key}"), value, known, missing);
            }
        }
        (Value::Array(wanted), Value::Array(known)) if wanted.len() == known.len() => {
            for (at_item, (wanted, known)) in wanted.iter().zip(known).enumerate() {
                compare(&format!("{at}[{at_item}]"), wanted, known, missing);
            }
        }
        (Value::Array(wanted), Value::Null) if wanted.is_empty() => {}
        (Value::String(wanted), Value::String(known)) if at == ".run" => {
            // JSON in a text: the order of its keys says nothing
            let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            compare("run", &parsed(wanted), &parsed(known), missing);
        }
        _ if expected == found => {}
        _ => missing.push(format!("{at}: expected {expected}, found {found}")),
    }
}
