//! `lotse compose config`, as a user calls it.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;
use std::process::{Command, Output};

const SITE: &str = "services:\n  web:\n    image: example.org/web:${TAG:?say which}\n    ports: ['80:8080']\n    \
    volumes: ['data:/data']\n  debug:\n    image: busybox\n    profiles: [debug]\nvolumes:\n  data: {}\n";

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs_err::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn compose(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lotse"))
        .arg("compose")
        .args(arguments)
        .current_dir(folder)
        .env_remove("TAG")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn config_prints_one_file_with_every_variable_in_its_place() {
    let folder = project(&[
        ("docker-compose.yml", SITE),
        (".env", "TAG=v1.2.0\n"),
        ("more.yml", "services:\n  web:\n    restart: always\n"),
    ]);
    let output = compose(folder.path(), &["config"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        said(&output).contains("image: example.org/web:v1.2.0"),
        "{}",
        said(&output)
    );
    assert!(output.stderr.is_empty(), "{output:?}");

    let several = [
        "-f",
        "docker-compose.yml",
        "-f",
        "more.yml",
        "-p",
        "site",
        "--profile",
        "debug",
    ];
    let json = compose(
        folder.path(),
        &[&several[..], &["config", "--format", "json"]].concat(),
    );
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["services"]["web"]["restart"], "always");
    assert_eq!(json["services"]["debug"]["image"], "busybox");

    assert_eq!(
        said(&compose(folder.path(), &["config", "--services"])),
        "web\n"
    );
    assert_eq!(
        said(&compose(folder.path(), &["config", "--volumes"])),
        "data\n"
    );
    let images = compose(folder.path(), &["config", "--images"]);
    assert_eq!(said(&images), "example.org/web:v1.2.0\n");
    assert_eq!(said(&compose(folder.path(), &["config", "--quiet"])), "");
}

#[test]
fn config_says_everything_that_is_wrong_and_where() {
    let wrong = SITE
        .replace("ports:", "port:")
        .replace("data: {}", "data: {drivr: local}");
    let folder = project(&[("docker-compose.yml", &wrong)]);
    let output = compose(folder.path(), &["config"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(
        said(&output),
        "",
        "nothing that another program could take for the project"
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    for part in [
        "docker-compose.yml:3:",
        "say which",
        "`port`",
        "`ports`",
        "`drivr`",
        "`driver`",
    ] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
}
