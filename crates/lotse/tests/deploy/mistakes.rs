//! What is wrong is told at once, before any host is touched.

use crate::project::{Project, Said};

const COMPOSE: &str = "services:
  web:
    image: shop:${TAG}
    ports: ['eighty']
  api:
    imagee: shop
";

/// A host that must not be asked: what tries to says so.
const SETTINGS: &str = "[environment.prod]
compose = [\"compose.yml\"]
hosts = [\"unix:///nowhere/docker.sock\"]
[environment.prod.variables]
TAG = \"${CI_COMMIT_TAG}\"
MODE = \"${MODE:?prod or test}\"
";

fn check(project: &Project, arguments: &[&str], code: i32, parts: &[&str], never: &[&str]) {
    let output = project.lotse(None, arguments).output().unwrap();
    let text = Said::of(&output).ends_with(code);
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
    for part in never {
        assert!(!text.contains(part), "{part:?} is there: {text}");
    }
}

#[test]
fn files_with_mistakes_touch_no_host() {
    let project = Project::new(&[("compose.yml", COMPOSE), ("lotse.toml", SETTINGS)]);
    let parts = [
        "compose.yml:4:",
        "compose.yml:6:",
        "`TAG` in `[environment.prod.variables]`: `CI_COMMIT_TAG` is not set",
        "`MODE` in `[environment.prod.variables]`: `MODE` is not set: prod or test",
    ];
    for command in ["deploy", "plan"] {
        check(&project, &[command, "prod"], 1, &parts, &["nowhere"]);
    }
    let set = ["deploy", "prod", "--set", "TAG=v1", "--set", "MODE=prod"];
    check(
        &project,
        &set,
        1,
        &["compose.yml:4:"],
        &["nowhere", "CI_COMMIT_TAG"],
    );
}

#[test]
fn each_way_to_err_has_its_mend() {
    let project = Project::new(&[]);
    check(
        &project,
        &["status", "prod"],
        1,
        &["there is no lotse.toml", "hint:"],
        &[],
    );
    project.write("lotse.toml", "[environment.prod]\nhost = []\n");
    check(
        &project,
        &["status", "prod"],
        1,
        &["unknown field `host`", "line 2"],
        &[],
    );
    project.write("lotse.toml", SETTINGS);
    let unknown = ["no environment `test`", "hint: it has prod"];
    check(&project, &["status", "test"], 1, &unknown, &[]);
    check(&project, &["status"], 2, &["ENV"], &[]);
    check(
        &project,
        &["deploy", "prod", "--set", "x"],
        2,
        &["NAME=VALUE"],
        &[],
    );
    let none = ["there is no compose file", "compose.yml"];
    project.write("lotse.toml", "[environment.prod]\nhosts = []\n");
    check(&project, &["status", "prod"], 1, &none, &[]);
}

#[test]
fn hosts_that_are_away_are_all_told() {
    let project = Project::new(&[("compose.yml", "services:\n  web:\n    image: shop:1\n")]);
    let hosts = "\"unix:///nowhere/one.sock\", \"unix:///nowhere/two.sock\"";
    let settings = format!("[environment.prod]\nhosts = [{hosts}]\n");
    project.write("lotse.toml", &settings);
    let away = [
        "/nowhere/one.sock",
        "/nowhere/two.sock",
        "cannot be reached",
    ];
    for arguments in [
        &["deploy", "prod"][..],
        &["rollback", "prod"],
        &["plan", "prod"],
        &["status", "prod"],
        &["releases", "prod"],
        &["lock", "prod", "--reason", "x"],
        &["unlock", "prod"],
    ] {
        check(&project, arguments, 1, &away, &[]);
    }
}
