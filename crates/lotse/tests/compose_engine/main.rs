//! `lotse compose` on a real engine, beside `docker-compose`.

#![allow(
    clippy::unwrap_used,
    reason = "the lint knows tests by their attribute only, not their helpers"
)]

mod attached;
mod build;
mod desk;

use std::process::Command;

use testkit::dockerd::text_of;

use desk::Desk;

const FILE: &str = r#"
name: shop
services:
  db:
    image: tools:1
    command: [sh, -c, "mkdir -p /data && date > /data/made; touch /tmp/ready; exec sleep 1000"]
    healthcheck: { test: [CMD, test, -f, /tmp/ready], interval: 10m }
    volumes: ["data:/data"]
    stop_grace_period: 0s
  migrate:
    image: tools:1
    command: [sh, -c, "cat /run/secrets/key; cat /etc/greeting"]
    secrets: [key]
    configs: [{ source: greeting, target: /etc/greeting }]
    depends_on: { db: { condition: service_healthy } }
  web:
    image: tools:1
    command: [sh, -c, "ping -c 1 -w 20 db > /dev/null && echo met the db; exec sleep 1000"]
    init: true
    ports: ["8080"]
    volumes: ["/cache", "empty:/empty"]
    depends_on: { migrate: { condition: service_completed_successfully } }
    deploy: { replicas: 2 }
    stop_grace_period: 0s
volumes: { data: {}, empty: {} }
secrets: { key: { file: ./key } }
configs: { greeting: { content: "hello\n" } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_comes_up_in_order_and_goes_without_its_data() {
    let Some(desk) = Desk::start(FILE).await else {
        return;
    };
    let said = desk.does(&["up", "--detach"]);
    for line in [
        "network shop_default made",
        "volume shop_data made",
        "shop-web-2 started",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(desk.does(&["ps"]).contains("shop-web-1"));
    assert!(!desk.does(&["ps"]).contains("migrate"), "it has ended");
    let all = desk.does(&["ps", "--all", "--format", "json"]);
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 4, "{all}");
    let logs = desk.does(&["logs", "migrate"]);
    assert!(
        logs.contains("migrate-1  | hunter2") && logs.contains("migrate-1  | hello"),
        "{logs}"
    );

    // Nothing has changed, so nothing is made anew; what has changed keeps its nameless volumes.
    let before = desk.mounts("shop-web-1").await;
    assert!(!desk.does(&["up", "-d"]).contains("made"));
    desk.write(&FILE.replace("init: true", "init: false"));
    let said = desk.does(&["up", "-d"]);
    assert!(
        said.contains("shop-web-1 made") && !said.contains("shop-db-1 made"),
        "{said}"
    );
    let mut after = desk.mounts("shop-web-1").await;
    after.sort();
    let mut before = before;
    before.sort();
    assert_eq!(after, before);

    let refused = desk.fails(&["down", "-v"]);
    assert!(
        refused.contains("`shop_data` holds data") && refused.contains("--with-data shop_data"),
        "{refused}"
    );
    assert!(
        desk.does(&["ps"]).contains("shop-web-1"),
        "nothing was done"
    );
    desk.does(&["down"]);
    assert_eq!(desk.does(&["ps", "--all", "--quiet"]), "");
    assert!(desk.has_volume("shop_data").await && desk.has_volume("shop_empty").await);
    desk.does(&["down", "-v", "--with-data", "data"]);
    assert!(!desk.has_volume("shop_data").await && !desk.has_volume("shop_empty").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_told() {
    let Some(desk) = Desk::start(FILE).await else {
        return;
    };
    desk.write(&FILE.replace("touch /tmp/ready", "echo no disk; exit 3"));
    let said = desk.fails(&["up", "-d"]);
    assert!(
        said.contains("shop-db-1 ended with status 3") && said.contains("no disk"),
        "{said}"
    );
    desk.write(&FILE.replace(
        "image: tools:1\n    command: [sh, -c, \"cat",
        "image: gone:1\n    pull_policy: never\n    command: [sh, -c, \"cat",
    ));
    let said = desk.fails(&["up", "-d"]);
    assert!(
        said.contains("service `migrate`") && said.contains("`gone:1` is not there"),
        "{said}"
    );
    let said = desk.fails(&["up", "-d", "nobody"]);
    assert!(said.contains("there is no service `nobody`"), "{said}");
    desk.write(&FILE.replace("data: {}", "data: { external: true }"));
    let said = desk.fails(&["up", "-d"]);
    assert!(
        said.contains("the volume `data` is external, and not there"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_compose_sees_the_same_project() {
    let Some(desk) = Desk::start(FILE).await else {
        return;
    };
    if Command::new("docker-compose")
        .arg("version")
        .output()
        .is_err()
    {
        return testkit::skip("docker-compose is not installed");
    }
    let file = "version: '2.4'\nservices:\n  web:\n    image: tools:1\n    command: sleep 1000\n    stop_grace_period: 0s\n";
    fs_err::remove_file(desk.folder.path().join("compose.yaml")).unwrap();
    fs_err::write(desk.folder.path().join("docker-compose.yml"), file).unwrap();
    let theirs = |arguments: &[&str]| {
        let mut command = desk.daemon.client("docker-compose");
        let output = command
            .args(["-p", "shop"])
            .args(arguments)
            .current_dir(desk.folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text_of(&output));
        text_of(&output)
    };
    desk.does(&["-p", "shop", "up", "-d"]);
    assert!(theirs(&["ps"]).contains("shop-web-1"));
    theirs(&["down"]);
    assert_eq!(desk.does(&["-p", "shop", "ps", "-a", "-q"]), "");

    theirs(&["up", "-d"]);
    assert!(desk.does(&["-p", "shop", "ps"]).contains("shop_web_1"));
    desk.does(&["-p", "shop", "up", "-d"]);
    assert!(desk.does(&["-p", "shop", "ps"]).contains("shop-web-1"));
    desk.does(&["-p", "shop", "down"]);
    assert!(!theirs(&["ps"]).contains("web"));
}
