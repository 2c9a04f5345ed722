//! The deployer is killed before and after each step: what serves goes on serving, and the next
//! deploy or rollback ends right.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal};

use crate::project::Said;
use crate::site::{self, Site};
use crate::users::Users;

/// Every so many-th event, so that all of it takes a minute; every one where LOTSE_LONG_TESTS is set.
pub(crate) fn apart() -> usize {
    match std::env::var_os("LOTSE_LONG_TESTS") {
        Some(_) => 1,
        None => 9,
    }
}

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
    let (mut at, mut kills, mut now) = (0, 0, "v1");
    loop {
        let to = if now == "v1" { "v2" } else { "v1" };
        let told = kill_at(&site, to, &["deploy", "prod"], at);
        if !told.killed {
            break;
        }
        kills += 1;
        // Forth after one kill, back after the next.
        if kills % 2 == 0 {
            site.lotse(now, &["deploy", "prod", "--wait"]).succeeds();
        } else {
            let said = site.lotse(to, &["deploy", "prod", "--wait"]).succeeds();
            eprintln!(
                "killed at {}: {}",
                told.last(),
                said.lines().next().unwrap_or_default()
            );
            now = to;
        }
        let status = site.lotse(now, &["status", "prod"]).succeeds();
        assert!(status.contains(&format!("({now})")), "{now}: {status}");
        at += apart();
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

/// What a deployer told, until it was killed or came to its end.
pub(crate) struct Told {
    /// Beginnings and ends of steps.
    pub(crate) events: Vec<String>,
    pub(crate) killed: bool,
}

impl Told {
    pub(crate) fn last(&self) -> &str {
        self.events.last().map_or("", String::as_str)
    }
}

/// Runs a rollout, and kills the deployer when a step that is meant begins or ends.
pub(crate) fn kill_when(
    site: &Site,
    version: &str,
    arguments: &[&str],
    mut is_meant: impl FnMut(&str) -> bool,
) -> Told {
    let mut deploy = site
        .command(version, arguments)
        .args(["--json", "--wait"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(deploy.stdout.take().unwrap()).lines();
    let mut told = Told {
        events: Vec::new(),
        killed: false,
    };
    for line in lines.map_while(Result::ok) {
        if !line.contains("\"event\":\"begun\"") && !line.contains("\"event\":\"done\"") {
            continue;
        }
        told.killed = is_meant(&line);
        told.events.push(line.chars().take(150).collect());
        if told.killed {
            break;
        }
    }
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    told
}

/// [`kill_when`], at this beginning or end of a step; the first is 0.
pub(crate) fn kill_at(site: &Site, version: &str, arguments: &[&str], at: usize) -> Told {
    let mut events = 0..;
    kill_when(site, version, arguments, |_| events.next() == Some(at))
}
