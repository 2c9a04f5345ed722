//! What `docker-compose up` has started is taken over, with its ports and data.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::kills;
use crate::project::Said;
use crate::site::{self, Site, is_well};
use crate::users::Users;

/// A database that writes down each of its starts, beside what serves.
const COMPOSE: &str = "
services:
  web:
    image: shop:${TAG:?}
    pull_policy: never
    stop_signal: SIGKILL
    restart: always
    ports: ['8080:8080']
    healthcheck: {test: [CMD, 'true'], interval: 1s}
  db:
    image: shop:v1
    pull_policy: never
    stop_signal: SIGKILL
    command: [sh, -c, 'echo up >> /rows/log; exec sleep 100000']
    volumes: ['rows:/rows']
    healthcheck: {test: [CMD, 'true'], interval: 1s}
volumes:
  rows: {}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_project_is_taken_over_with_one_gap() {
    let Some(site) = composed().await else {
        return;
    };

    let refused = site.lotse("v2", &["deploy", "prod"]).fails();
    for part in ["port 8080", "lotse adopt"] {
        assert!(refused.contains(part), "{part:?} is missing: {refused}");
    }
    let users = Users::start(&site.hosts[0]);
    let asked = site.lotse("v2", &["adopt", "prod"]).ends_with(2);
    for part in ["the ports are closed once", "at most 10s", "--yes"] {
        assert!(asked.contains(part), "{part:?} is missing: {asked}");
    }
    // It breaks before the ports are touched.
    site.lotse("v3", &["adopt", "prod", "--yes"]).fails();
    let seen = users.stop();
    assert_eq!(seen.failed, Vec::<String>::new());
    assert_eq!(seen.answers, ["v1"]);
    assert_eq!(running(&site), ["shop_db_1", "shop_web_1"]);

    breaks_after_the_switch(&site);
    assert_eq!(running(&site), ["shop_db_1", "shop_web_1"]);

    let users = Users::start(&site.hosts[0]);
    site.lotse("v2", &["adopt", "prod", "--yes"]).succeeds();
    site.lotse("v2", &["status", "prod"]).succeeds();
    let seen = users.stop();
    eprintln!("the ports were closed for {:?}", seen.gap);
    assert_eq!(seen.answers, ["v1", "v2"]);
    assert_eq!(running(&site), ["shop-r2-web-1", "shop-standing-db-1"]);
    let nothing = site.lotse("v2", &["adopt", "prod", "--yes"]).fails();
    assert!(nothing.contains("lotse deploy"), "{nothing}");

    site.lotse("v1", &["deploy", "prod"]).succeeds();
    let log = ["exec", "prod", "db", "--", "cat", "/rows/log"];
    let starts = site.lotse("v1", &log).succeeds().lines().count();
    // Compose, three attempts with the way back of two of them: always on the same volume.
    assert_eq!(starts, 6);
}

/// The lines of docs/from-gitlab.md give the project back to Docker Compose, with its data; it can be taken
/// over again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_is_given_back_by_the_lines_of_the_guide() {
    let Some(site) = composed().await else {
        return;
    };
    attempt(&site, "v2").succeeds();
    is_taken_over(&site);
    let rows = starts(&site, "shop-standing-db-1");

    let mut shell = site.hosts[0].client("sh");
    is_well(&shell.args(["-euc", &way_back()]).output().unwrap());
    assert_eq!(running(&site), ["shop_db_1", "shop_web_1"]);
    assert_eq!(starts(&site, "shop_db_1"), rows + 1);
    up(&site);
    assert_eq!(running(&site), ["shop_db_1", "shop_web_1"]);

    attempt(&site, "v2").succeeds();
    is_taken_over(&site);
    assert_eq!(starts(&site, "shop-standing-db-1"), rows + 2);
}

/// The block of the guide, for this project.
fn way_back() -> String {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/from-gitlab.md");
    let guide = fs_err::read_to_string(guide).unwrap();
    let (_, block) = guide.split_once("the way back from `lotse adopt`").unwrap();
    let (_, block) = block.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    assert!(block.contains("project=repository"), "{block}");
    block.replace("project=repository", "project=shop")
}

/// Whoever adopts is killed at any moment: an attempt with a bad release gives the project back, one
/// with a good release takes it over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_amid_it_the_next_attempt_ends_right() {
    let Some(site) = composed().await else {
        return;
    };
    site.settings("lease = \"2s\"", "500ms");
    let (mut kills, mut rows) = (0, starts(&site, "shop_db_1"));
    for at in (0..).step_by(kills::apart()) {
        let users = Users::start(&site.hosts[0]);
        let told = kills::kill_at(&site, "v2", &ADOPT, at);
        let seen = users.stop();
        let when = told.last();
        let has_stopped = !running(&site).contains(&"shop_web_1".to_owned());
        assert!(has_stopped || seen.failed.is_empty(), "{when}: {seen:?}");
        if !told.killed || is_in_force(&site, "v2") {
            break;
        }
        kills += 1;
        eprintln!("killed at {when}");
        let said = attempt(&site, "v3").fails();
        assert!(said.contains("no such module"), "{when}: {said}");
        assert_eq!(running(&site), ["shop_db_1", "shop_web_1"], "{when}");
        serves(&site, "v1");
        let now = starts(&site, "shop_db_1");
        assert!(now >= rows, "{when}: {now} starts after {rows}");
        rows = now;
    }
    eprintln!("{kills} kills");
    assert!(kills > 2, "{kills} kills");
    site.lotse("v2", &["deploy", "prod", "--wait"]).succeeds();
    is_taken_over(&site);
    assert!(starts(&site, "shop-standing-db-1") > rows);
}

/// The ports are closed, and nobody is there to open them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_gap_the_next_attempt_closes_it() {
    let Some(site) = composed().await else {
        return;
    };
    site.settings("lease = \"2s\"", "500ms");
    let told = kills::kill_when(&site, "v2", &ADOPT, |event| site::begins(event, "switch"));
    assert!(told.killed, "a switch begins");
    attempt(&site, "v2").succeeds();
    is_taken_over(&site);
}

/// Users get v2, and nothing of Docker Compose runs.
fn is_taken_over(site: &Site) {
    let running = running(site);
    let ours = |name: &String| name.starts_with("shop-");
    assert!(
        running.len() == 2 && running.iter().all(ours),
        "{running:?}"
    );
    serves(site, "v2");
}

const ADOPT: [&str; 3] = ["adopt", "prod", "--yes"];

fn attempt(site: &Site, version: &str) -> Said {
    site.lotse(version, &["adopt", "prod", "--yes", "--wait"])
}

/// A host where Docker Compose runs v1; v2 is good, v3 is not.
async fn composed() -> Option<Site> {
    let site = Site::start(1).await?;
    let found = Command::new("docker-compose").arg("version").output();
    if found.is_err() {
        testkit::skip("`docker-compose` is not installed");
        return None;
    }
    site.image("v1", site::SERVES).await;
    site.image("v2", site::SERVES).await;
    site.image("v3", site::BREAKS).await;
    site.project.write("compose.yml", COMPOSE);
    up(&site);
    Some(site)
}

fn up(site: &Site) {
    let mut up = site.hosts[0].client("docker-compose");
    let up = up
        .args(["-p", "shop", "-f", "compose.yml", "up", "-d"])
        .current_dir(site.project.path())
        .env("TAG", "v1");
    is_well(&up.output().unwrap());
}

/// The new release gets the traffic, and is killed while it is watched.
fn breaks_after_the_switch(site: &Site) {
    site.settings("", "1h");
    let mut adopt = site
        .command("v2", &["adopt", "prod", "--yes", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(adopt.stdout.take().unwrap()).lines();
    let watched = events.any(|line| site::begins(&line.unwrap(), "watch"));
    assert!(watched, "the release is watched after the switch");
    let mut kill = site.hosts[0].client("docker");
    is_well(&kill.args(["kill", "shop-r2-web-1"]).output().unwrap());
    let rest: Vec<String> = events.map_while(Result::ok).collect();
    assert_eq!(adopt.wait().unwrap().code(), Some(1), "{rest:#?}");
    site.settings("", "500ms");
    let users = Users::start(&site.hosts[0]);
    site.lotse("v2", &["status", "prod"]).fails();
    let seen = users.stop();
    assert_eq!((seen.failed, seen.answers), (vec![], vec!["v1".to_owned()]));
}

/// The containers of the project that run, but for the edge.
fn running(site: &Site) -> Vec<String> {
    let mut list = site.hosts[0].client("docker");
    let list = list
        .args(["ps", "--format", "{{.Names}}"])
        .output()
        .unwrap();
    let text = String::from_utf8(list.stdout).unwrap();
    let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
    names.retain(|name| name.starts_with("shop"));
    names.sort();
    names
}

/// Users get this version's page.
fn serves(site: &Site, version: &str) {
    let users = Users::start(&site.hosts[0]);
    site.lotse_without_tag(&["releases", "prod"]).succeeds();
    let seen = users.stop();
    assert_eq!(
        (seen.failed, seen.answers),
        (vec![], vec![version.to_owned()])
    );
}

fn is_in_force(site: &Site, version: &str) -> bool {
    let releases = site.lotse(version, &["releases", "prod"]).succeeds();
    let mut lines = releases.lines();
    lines.any(|line| line.contains(version) && line.contains("in force"))
}

/// How often the database has started on its volume.
fn starts(site: &Site, container: &str) -> usize {
    let mut log = site.hosts[0].client("docker");
    let log = log.args(["exec", container, "cat", "/rows/log"]).output();
    let log = log.unwrap();
    is_well(&log);
    log.stdout.split(|byte| *byte == b'\n').count() - 1
}
