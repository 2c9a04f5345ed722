//! The deployer is killed before and after each step: what serves goes on serving, and the next
//! deploy or rollback ends right.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal};

use crate::project::Said;
use crate::site::{self, Site};
use crate::users::Users;

/// Every so many-th event, so that all of it takes a minute; every one where LOTSE_LONG_TESTS is set.
const SHORT: usize = 9;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_step_it_goes_on_from_there() {
    let Some(site) = Site::start(1).await else {
        return;
    };
    site.settings("lease = \"2s\"", "500ms");
    for version in ["v1", "v2"] {
        site.image(version, site::SERVES).await;
    }
    site.lotse("v1", &["deploy", "prod"]).succeeds();
    let users = Users::start(&site.hosts[0]);
    let step = match std::env::var_os("LOTSE_LONG_TESTS") {
        Some(_) => 1,
        None => SHORT,
    };
    let (mut at, mut kills, mut now) = (0, 0, "v1");
    loop {
        let to = if now == "v1" { "v2" } else { "v1" };
        let Some(event) = kill_at(&site, to, at) else {
            break;
        };
        kills += 1;
        // Forth after one kill, back after the next.
        if kills % 2 == 0 {
            site.lotse(now, &["deploy", "prod", "--wait"]).succeeds();
        } else {
            let said = site.lotse(to, &["deploy", "prod", "--wait"]).succeeds();
            eprintln!(
                "killed at {event}: {}",
                said.lines().next().unwrap_or_default()
            );
            now = to;
        }
        let status = site.lotse(now, &["status", "prod"]).succeeds();
        assert!(status.contains(&format!("({now})")), "{now}: {status}");
        at += step;
    }
    let seen = users.stop();
    eprintln!("{kills} kills, {} answers", seen.count);
    assert!(kills > 2, "{kills} kills");
    assert_eq!(seen.failed, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_it_goes_back() {
    let Some(site) = Site::start(1).await else {
        return;
    };
    for version in ["v1", "v2"] {
        site.image(version, site::SERVES).await;
    }
    site.lotse("v1", &["deploy", "prod"]).succeeds();
    let users = Users::start(&site.hosts[0]);
    let mut deploy = site
        .command("v2", &["deploy", "prod", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(deploy.stdout.take().unwrap()).lines();
    let started = lines.any(|line| site::begins(&line.unwrap(), "start"));
    assert!(started, "the new release is started");
    let pid = Pid::from_child(&deploy);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    // Read to the end, so that it never waits for its reader.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let said = Said::of(&deploy.wait_with_output().unwrap()).fails();
    assert!(said.contains("was interrupted"), "{said}");
    assert!(said.contains("release 1 (v1) serves as before"), "{said}");
    let told = rest
        .iter()
        .any(|line| line.contains(r#""event":"interrupted""#));
    assert!(told, "{rest:#?}");
    site.lotse("v1", &["status", "prod"]).succeeds();
    let seen = users.stop();
    assert_eq!((seen.failed, seen.answers), (vec![], vec!["v1".to_owned()]));
}

/// Deploys, and kills the deployer at this event; which one it was. Nothing when it ended before.
fn kill_at(site: &Site, version: &str, at: usize) -> Option<String> {
    let mut deploy = site
        .command(version, &["deploy", "prod", "--json", "--wait"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(deploy.stdout.take().unwrap()).lines();
    let mut steps = lines
        .map_while(Result::ok)
        .filter(|line| line.contains("\"event\":\"begun\"") || line.contains("\"event\":\"done\""));
    let event = steps.nth(at);
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    event.map(|line| line.chars().take(150).collect())
}
