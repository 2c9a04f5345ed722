//! What is refused before anything changes: a second deploy beside the first, a host whose key has
//! changed, compose files with mistakes.

use std::net::TcpListener;

use super::events::{Deployer, begins};
use super::project::{self, Settings};
use super::stage::{LOTSE, Stage, WEB};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_deploys_and_changed_host_keys_are_refused() {
    let _beside = crate::beside_others().await;
    let Some(stage) = Stage::set("refused").await else {
        return;
    };
    for release in 1..=2 {
        stage.push(release);
    }
    let settings = Settings {
        monitor: "500ms",
        parallelism: 0,
        ..Settings::default()
    };
    project::write(&stage.project(), &settings);
    stage.deploy(1, "").await.succeeds();
    two_at_once(&stage).await;
    changed_key(&stage).await;
}

/// The second is told who holds the lock; the first ends as if it were alone.
async fn two_at_once(stage: &Stage) {
    let variables = [("RELEASE", "2"), ("FAULT", "")];
    let command = stage.command(&["deploy", "prod", "--json"], &variables);
    let first = tokio::task::spawn_blocking(|| {
        let mut first = Deployer::start(command);
        let begun = first.follow(|event| begins(event, "start", WEB[0]));
        assert!(begun.is_some(), "the first deploys");
        first
    });
    let first = first.await.unwrap();
    let holder = first.pid().to_string();
    stage.deploy(1, "").await.refuses(&["lock", &holder]);
    let (code, said) = tokio::task::spawn_blocking(|| first.end()).await.unwrap();
    assert_eq!(code, Some(0), "{said}");
    stage.all_serve(2).await;
}

/// Somebody else answers in the place of a host.
async fn changed_key(stage: &Stage) {
    let known = stage.home().join(".ssh/known_hosts");
    let right = fs_err::read_to_string(&known).unwrap();
    let key = |host: &str| {
        let line = right.lines().find(|line| line.starts_with(host)).unwrap();
        line.split(' ').next_back().unwrap().to_owned()
    };
    let wrong: String = right
        .lines()
        .map(|line| match line.starts_with(WEB[1]) {
            true => line.replace(&key(WEB[1]), &key(WEB[2])) + "\n",
            false => format!("{line}\n"),
        })
        .collect();
    fs_err::write(&known, wrong).unwrap();
    let ran = stage.deploy(1, "").await;
    ran.refuses(&[WEB[1], "changed", "known_hosts"]);
    fs_err::write(&known, right).unwrap();
    stage.all_serve(2).await;
    stage.deploy(1, "").await.succeeds();
}

const MISTAKES: &str = "\
services:
  web:
    image: registry.lotse.lab/shop/site:v1
    comand: [frontend]
    ports: [\"eighty:80\"]
    depends_on: [nobody]
    volumes: [\"nowhere:/data\"]
";

/// All mistakes are told, and no host has been called meanwhile.
#[test]
fn mistakes_are_told_before_any_host_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    project::write(folder.path(), &Settings::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let host = format!("ssh://root@{}", listener.local_addr().unwrap());
    let settings = fs_err::read_to_string(folder.path().join("lotse.toml")).unwrap();
    let settings = settings.replace("ssh://root@web1", &host);
    fs_err::write(folder.path().join("lotse.toml"), settings).unwrap();
    fs_err::write(folder.path().join("docker-compose.yml"), MISTAKES).unwrap();
    for command in ["plan", "deploy"] {
        let output = std::process::Command::new(LOTSE)
            .args([command, "prod"])
            .current_dir(folder.path())
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("RELEASE", "1"), ("FAULT", "")])
            .env("HOME", folder.path())
            .output()
            .unwrap();
        let said = testkit::dockerd::text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for mistake in ["comand", "eighty", "nobody", "nowhere"] {
            assert!(said.contains(mistake), "{mistake} is missing: {said}");
        }
    }
    let called = listener.accept();
    assert!(called.is_err(), "a host was called: {called:?}");
}
