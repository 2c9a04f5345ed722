//! While releases come and go nobody outside notices, and a bad one never gets to serve.

use std::time::Duration;

use super::crowd::{self, Crowd, RATE};
use super::project::{self, Settings};
use super::stage::{Stage, WEB};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_releases_come_and_go() {
    let _alone = crate::alone().await;
    let Some(stage) = Stage::set("serving").await else {
        return;
    };
    for release in 1..=3 {
        stage.push(release);
    }
    project::write(&stage.project(), &at_once());
    let first = stage.deploy(1, "").await.succeeds();
    println!("the first deploy took {:?}", first.took);
    stage.start_balancer();

    come_and_go(&stage).await;
    bad_ones(&stage).await;
    one_dies_at_work(&stage).await;
}

/// Host by host, each watched for a moment.
fn in_turn() -> Settings {
    Settings {
        monitor: "1s",
        ..Settings::default()
    }
}

fn at_once() -> Settings {
    Settings {
        parallelism: 0,
        ..in_turn()
    }
}

/// Host by host a deploy and a rollback, and a deploy to all hosts at once, under the whole mix.
async fn come_and_go(stage: &Stage) {
    let crowd = Crowd::come(stage, &crowd::mix(RATE), 1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    for (release, way, settings) in [
        (2, "deploy", in_turn()),
        (1, "rollback", in_turn()),
        (3, "deploy", at_once()),
    ] {
        project::write(&stage.project(), &settings);
        crowd.expect(release);
        let ran = match way {
            "deploy" => stage.deploy(release, "").await,
            _ => stage.rollback().await,
        };
        let ran = ran.succeeds();
        println!("{way} to {release} took {:?}", ran.took);
        stage.all_serve(release).await;
        crowd.must_be_well(&format!("{way} to {release}"));
    }
    let sent = crowd.leave_content(RATE).await;
    println!("{sent} requests, none failed");
}

/// A release that must never serve: what is wrong with it, and what is said about it.
struct Bad {
    what: &'static str,
    fault: &'static str,
    /// The tag; release 3 serves.
    release: u64,
    settings: fn() -> Settings,
    says: &'static [&'static str],
}

const BAD: [Bad; 6] = [
    Bad {
        what: "the image exits",
        fault: "ui:exits",
        release: 2,
        settings: in_turn,
        says: &["web-ui", "status 1", "the settings are incomplete"],
    },
    Bad {
        what: "it never gets healthy",
        fault: "api:unhealthy",
        release: 2,
        settings: in_turn,
        says: &["web-api", "unhealthy"],
    },
    Bad {
        what: "there is no such tag",
        fault: "",
        release: 99,
        settings: in_turn,
        says: &["shop/site:v99"],
    },
    Bad {
        what: "nobody listens at the port",
        fault: "",
        release: 2,
        settings: || Settings {
            target: 8081,
            deadline: "8s",
            ..in_turn()
        },
        says: &["frontend", "refused"],
    },
    Bad {
        what: "/ping answers 500",
        fault: "ui:ping",
        release: 2,
        settings: || Settings {
            deadline: "8s",
            ..in_turn()
        },
        says: &["frontend", "500"],
    },
    Bad {
        what: "the migration fails",
        fault: "migrate:migration",
        release: 2,
        settings: in_turn,
        says: &["migrate", "status 1", "the column `title` is there already"],
    },
];

/// The old release serves throughout, on all hosts, under the whole mix.
async fn bad_ones(stage: &Stage) {
    let crowd = Crowd::come(stage, &crowd::mix(RATE), 3);
    for bad in BAD {
        project::write(&stage.project(), &(bad.settings)());
        let ran = stage.deploy(bad.release, bad.fault).await;
        let ran = ran.refuses(bad.says);
        println!("{}: refused after {:?}", bad.what, ran.took);
        stage.all_serve(3).await;
        crowd.must_be_well(bad.what);
    }
    project::write(&stage.project(), &in_turn());
    one_host_breaks(stage, &crowd).await;
    project::write(&stage.project(), &Settings::default());
    let sent = crowd.leave_content(RATE).await;
    println!("{sent} requests, none failed");
}

/// The second of three hosts is broken: the first goes back.
async fn one_host_breaks(stage: &Stage, crowd: &Crowd) {
    crowd.expect(2);
    crowd.expect(3);
    stage.exec(WEB[1], &["touch", "/storage/broken"]);
    let words = ["web2", "web-", "the storage of this host is broken"];
    let ran = stage.deploy(2, "").await.refuses(&words);
    println!("host 2 of 3 breaks: back after {:?}", ran.took);
    stage.exec(WEB[1], &["rm", "/storage/broken"]);
    stage.all_serve(3).await;
    crowd.must_be_well("host 2 of 3 breaks");
}

/// It ends five seconds after its first request, when it has all traffic of a host and the next host
/// is being changed: the release before takes over at once, and nothing is left of the new one.
async fn one_dies_at_work(stage: &Stage) {
    let crowd = Crowd::come(stage, &crowd::small(RATE), 3);
    crowd.expect(2);
    crowd.expect(3);
    let ran = stage.deploy(2, "frontend:crash-5").await;
    let ran = ran.refuses(&["frontend", "out of luck"]);
    println!("it ends at work: back after {:?}", ran.took);
    stage.all_serve(3).await;
    crowd.must_be_well("it ends at work");
    let sent = crowd.leave_content(RATE).await;
    println!("{sent} requests, none failed");
}
