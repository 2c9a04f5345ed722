//! Two deploys never mix, and people can keep everybody out.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::project::Said;
use crate::site::{self, Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_at_a_time() {
    let Some(site) = Site::start(1).await else {
        return;
    };
    for version in ["v1", "v2"] {
        site.image(version, site::SERVES).await;
    }
    // No edge is there yet: the lock is the first thing on the host.
    let locked = ["lock", "prod", "--reason", "moving the database"];
    site.lotse("v1", &locked).succeeds();
    let refused = site.lotse("v1", &["deploy", "prod"]).fails();
    assert!(
        refused.contains("operator@") && refused.contains("moving the database"),
        "{refused}"
    );
    site.lotse("v1", &locked).succeeds();
    let other = ["lock", "prod", "--reason", "cleaning up"];
    let refused = site.lotse("v1", &other).fails();
    assert!(refused.contains("moving the database"), "{refused}");
    let status = site.lotse("v1", &["status", "prod"]).fails();
    assert!(status.contains("locked by operator@"), "{status}");
    let unlocked = site.lotse("v1", &["unlock", "prod"]).succeeds();
    assert!(unlocked.contains("moving the database"), "{unlocked}");
    assert!(
        site.lotse("v1", &["unlock", "prod"])
            .succeeds()
            .contains("was not locked")
    );

    site.settings("delay = \"1s\"", "500ms");
    let mut first = site
        .command("v1", &["deploy", "prod", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(first.stdout.take().unwrap()).lines();
    let locked = events.any(|line| line.unwrap().contains("\"planned\""));
    assert!(locked, "the first deploy has a plan when it has the lock");
    let refused = site.lotse("v2", &["deploy", "prod"]).fails();
    let holder = format!("pid {}", first.id());
    assert!(refused.contains(&holder), "{holder} is not in {refused}");
    assert!(
        site.lotse("v2", &["unlock", "prod"])
            .fails()
            .contains("at work")
    );
    let second = site.command("v2", &["deploy", "prod", "--wait"]).output();
    let rest: Vec<String> = events.map_while(Result::ok).collect();
    assert!(first.wait().unwrap().success(), "{rest:#?}");
    let waited = Said::of(&second.unwrap()).succeeds();
    assert!(waited.contains("release 2 (v2) serves"), "{waited}");
}

/// The lock of a deployer that was killed counts until it expires, or until somebody breaks it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_deployer_s_lock_is_broken_by_force_alone() {
    let Some(site) = Site::start(1).await else {
        return;
    };
    site.image("v1", site::SERVES).await;
    site.settings("lease = \"1h\"", "500ms");
    let mut deploy = site
        .command("v1", &["deploy", "prod", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(deploy.stdout.take().unwrap()).lines();
    let started = events.any(|line| site::begins(&line.unwrap(), "start"));
    assert!(started, "the release is started under the lock");
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    let holder = format!("pid {}", deploy.id());

    let refused = site.lotse("v1", &["deploy", "prod"]).fails();
    assert!(refused.contains(&holder), "{holder} is not in {refused}");
    let kept = site.lotse("v1", &["unlock", "prod"]).fails();
    for part in [holder.as_str(), "at work", "--force"] {
        assert!(kept.contains(part), "{part:?} is missing: {kept}");
    }
    let broken = site.lotse("v1", &["unlock", "prod", "--force"]).succeeds();
    assert!(broken.contains(&holder), "{holder} is not in {broken}");
    let again = site.lotse("v1", &["unlock", "prod", "--force"]).succeeds();
    assert!(again.contains("was not locked"), "{again}");
    let said = site.lotse("v1", &["deploy", "prod"]).succeeds();
    assert!(said.contains("release 1 (v1) serves"), "{said}");
}
