//! `lotse ci` from the outside: files and standard input in, text, JSON and exit codes out.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const GOOD: &str = "build:\n  stage: build\n  script: make\ntest:\n  script: make test\n  rules:\n    - if: $CI_COMMIT_TAG\n";
const BROKEN: &str = "build:\n  stage: biuld\n  script: make\n  retry: 9\n";

/// Runs `lotse ci` in a folder with this text as standard input.
fn lotse(folder: &Path, arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lotse"))
        .arg("ci")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn lint_says_where_and_how_to_mend_it() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join(".gitlab-ci.yml"), BROKEN).unwrap();
    let output = lotse(folder.path(), &["lint"], "");
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        ".gitlab-ci.yml:2:10",
        "stage: biuld",
        "did you mean `build`?",
        "2 errors",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    let output = lotse(folder.path(), &["lint", "--format", "json"], "");
    let first = &parsed(&output)[0];
    let expected = json!({
        "level": "error", "code": "unknown-stage", "message": "stage `biuld` does not exist",
        "file": ".gitlab-ci.yml", "line": 2, "column": 10, "hint": "did you mean `build`?",
    });
    assert_eq!(*first, expected);
    let sarif = parsed(&lotse(folder.path(), &["lint", "--format", "sarif"], ""));
    assert_eq!(sarif["runs"][0]["results"][1]["ruleId"], "out-of-range");
}

#[test]
fn lint_of_standard_input_and_of_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let good = lotse(folder.path(), &["lint", "-"], GOOD);
    assert_eq!(good.status.code(), Some(0));
    let absent = lotse(folder.path(), &["lint"], "");
    assert_eq!(absent.status.code(), Some(1));
    assert!(
        text(&absent.stderr).contains(".gitlab-ci.yml"),
        "{absent:?}"
    );
}

/// The example's files have the form that the site had; so have the seed's, which are not always
/// there.
#[test]
fn lint_names_the_dangers_of_the_old_form() {
    let service = [("eval-over-ssh", 2), ("moving-tag", 1)];
    let site = [("deploy-after-failure", 1), ("prune-volumes", 2)];
    let echoed = ("password-argument", 2);
    let on_the_command_line = ("password-argument", 3);
    for (file, expected) in [
        ("examples/tugraz/cache", service.to_vec()),
        ("examples/tugraz/rabbitmq", service.to_vec()),
        ("examples/tugraz/postgresql", service.to_vec()),
        ("examples/tugraz/elasticsearch", service.to_vec()),
        ("examples/tugraz/exim4", [&service[..], &[echoed]].concat()),
        ("examples/tugraz/nginx", vec![("moving-tag", 1)]),
        ("examples/tugraz/repository", site.to_vec()),
        (
            "../shared/seed/exim4",
            [&service[..], &[on_the_command_line]].concat(),
        ),
        ("../shared/seed/repository", site.to_vec()),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(file);
        if file.starts_with("../shared") && !folder.exists() {
            eprintln!("skipped: {file} is not there");
            continue;
        }
        let output = lotse(&folder, &["lint", "--format", "json"], "");
        assert_eq!(output.status.code(), Some(0), "{file}: {output:?}");
        let expected = expected
            .into_iter()
            .map(|(code, count)| (code.to_owned(), count));
        assert_eq!(dangers(&output), expected.collect(), "{file}");
    }
}

/// How often each is named. Without the project's variables, all of them are undefined.
fn dangers(output: &Output) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for problem in parsed(output).as_array().unwrap() {
        let code = problem["code"].as_str().unwrap();
        if code != "undefined-variable" {
            *found.entry(code.to_owned()).or_default() += 1;
        }
    }
    found
}

#[test]
fn local_files_are_included() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(folder.path().join("ci")).unwrap();
    fs_err::write(folder.path().join("ci/a.yml"), ".base: {script: make}\n").unwrap();
    let main = "include: [ci/*.yml, {template: X.yml}]\na: {extends: .base}\n";
    fs_err::write(folder.path().join("main.yml"), main).unwrap();
    let output = lotse(folder.path(), &["lint", "main.yml"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).contains("`template:X.yml` was not looked at"));
    let outside = lotse(
        folder.path(),
        &["lint", "-"],
        "include: ../../etc/secret.yml\n",
    );
    assert!(
        text(&outside.stdout).contains("outside of the repository"),
        "{outside:?}"
    );
}

#[test]
fn show_explains_what_runs() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = |tag: &[&str]| {
        let arguments = [&["show", "-", "--jobs"], tag].concat();
        text(&lotse(folder.path(), &arguments, GOOD).stdout)
    };
    assert_eq!(jobs(&["--tag", "v1"]), "build\n  build\ntest\n  test\n");
    assert!(jobs(&["--ref", "main"]).contains("test: none of its `rules` fits  <stdin>:7:5"));
    let yaml = lotse(folder.path(), &["show", "-"], GOOD);
    assert!(
        text(&yaml.stdout).contains("  rules:\n    - if: $CI_COMMIT_TAG\n"),
        "{yaml:?}"
    );
}

#[test]
fn simulate_plays_events() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "simulate",
        "-",
        "--tag",
        "v1",
        "--format",
        "json",
        "--event",
        "success:build",
        "--event",
        "drop:test",
    ];
    let all = parsed(&lotse(folder.path(), &arguments, GOOD));
    assert_eq!(all.as_array().unwrap().len(), 3);
    let last = json!({
        "pipeline": "failed",
        "stages": { "build": "success", "test": "failed" },
        "jobs": { "build": "success", "test": "failed" },
    });
    assert_eq!(all[2], last);
    let wrong = lotse(
        folder.path(),
        &["simulate", "-", "--event", "success:nothing"],
        GOOD,
    );
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        text(&wrong.stderr).contains("there is no job `nothing`"),
        "{wrong:?}"
    );
    let usage = lotse(
        folder.path(),
        &["simulate", "-", "--event", "explode:build"],
        GOOD,
    );
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn schema_is_json() {
    let folder = tempfile::tempdir().unwrap();
    let schema = parsed(&lotse(folder.path(), &["schema"], ""));
    assert!(schema["definitions"]["job"]["properties"]["script"].is_object());
}
