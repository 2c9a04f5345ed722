//! A host has trouble amid a deploy: its network is cut, its engine restarts, its edge is killed, its
//! disk is full. The other hosts serve on, and the next deploy ends right.

use std::process::Command;
use std::time::Duration;

use super::crowd::{self, Crowd};
use super::data;
use super::events::{Deployer, begins};
use super::project::{self, Settings};
use super::stage::{Stage, WEB};

const RATE: f64 = 40.0;
/// The host in trouble, and the others.
const TROUBLED: &str = WEB[1];
const OTHERS: [&str; 2] = [WEB[0], WEB[2]];

/// One host after the other, as the story wants it: the first has the new release when the second is in
/// trouble.
const IN_TURN: Settings = Settings {
    monitor: "500ms",
    deadline: "90s",
    parallelism: 1,
    target: 8080,
    away: "5s",
    lease: "4s",
    hosts: &WEB,
};
/// Without trouble: nobody is away, though a busy one may be slow.
const AT_ONCE: Settings = Settings {
    parallelism: 0,
    away: "30s",
    ..IN_TURN
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_in_trouble_fails_no_request_of_the_others() {
    let _beside = crate::beside_others().await;
    let Some(stage) = Stage::set("trouble").await else {
        return;
    };
    for release in 1..=2 {
        stage.push(release);
    }
    project::write(&stage.project(), &AT_ONCE);
    stage.deploy(1, "").await.succeeds();
    WEB.iter().for_each(|host| data::mark(&stage, host));
    let crowd = Crowd::come_to(&stage, &OTHERS, &crowd::small(RATE), 1);

    disk_full(&stage).await;
    crowd.must_be_well("disk full");
    let network = Trouble {
        what: "network",
        begin: cut_network,
        mend: mend_network,
    };
    amid(&stage, &crowd, &network, [1, 2], Then::Again).await;
    let engine = Trouble {
        what: "engine",
        begin: stop_engine,
        mend: start_engine,
    };
    amid(&stage, &crowd, &engine, [2, 1], Then::Back).await;
    let edge = Trouble {
        what: "edge",
        begin: kill_edge,
        mend: |_| (),
    };
    amid(&stage, &crowd, &edge, [2, 1], Then::Again).await;
    crowd.leave_content(RATE).await;
}

/// The image does not fit: nothing has changed for users.
async fn disk_full(stage: &Stage) {
    let folder = "/var/lib/docker/tmp";
    stage.exec(
        TROUBLED,
        &["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder],
    );
    let ran = stage
        .deploy(2, "")
        .await
        .refuses(&[TROUBLED, "no space left"]);
    println!("disk full: refused after {:?}", ran.took);
    stage.exec(TROUBLED, &["umount", folder]);
    stage.all_serve(1).await;
}

/// What happens to a host, and how it ends.
struct Trouble {
    what: &'static str,
    begin: fn(&Stage),
    mend: fn(&Stage),
}

/// What is done when it is over. A deploy that stood it is taken back.
enum Then {
    /// The same deploy.
    Again,
    /// A rollback: it ends what was begun.
    Back,
}

/// Trouble begins as the new stack starts on the host, and ends after the deploy has. The deploy may
/// fail or not, what is done next does not.
async fn amid(stage: &Stage, crowd: &Crowd, trouble: &Trouble, [from, to]: [u64; 2], then: Then) {
    let what = trouble.what;
    crowd.expect(to);
    crowd.expect(from);
    project::write(&stage.project(), &IN_TURN);
    let release = to.to_string();
    let variables = [("RELEASE", release.as_str()), ("FAULT", "")];
    let command = stage.command(&["deploy", "prod", "--json"], &variables);
    let (deployer, begun) = tokio::task::spawn_blocking(|| {
        let mut deployer = Deployer::start(command);
        let begun = deployer.follow(|event| begins(event, "start", TROUBLED));
        (deployer, begun)
    })
    .await
    .unwrap();
    if begun.is_none() {
        panic!("{what}: the stack was never started: {:?}", deployer.end());
    }
    (trouble.begin)(stage);
    let (code, said) = tokio::task::spawn_blocking(|| deployer.end())
        .await
        .unwrap();
    println!("{what}: the deploy ends with {code:?}");
    assert!(matches!(code, Some(0 | 1)), "{what}: {said}");
    (trouble.mend)(stage);
    crowd.must_be_well(what);

    project::write(&stage.project(), &AT_ONCE);
    let (verb, serves) = match (then, code) {
        (Then::Again, Some(1)) => ("deploy", to),
        _ => ("rollback", from),
    };
    crowd.expect(serves);
    let mended = stage
        .run(&[verb, "prod", "--wait", "60s"], &variables)
        .await;
    mended.succeeds();
    stage.all_serve(serves).await;
    data::must_be_there(stage, &WEB, what);
    crowd.must_be_well(what);
}

fn cut_network(stage: &Stage) {
    set_link(stage, "down");
}

fn mend_network(stage: &Stage) {
    set_link(stage, "up");
}

/// The machine's end of the host's link, which carries the two last numbers of its address.
fn set_link(stage: &Stage, state: &str) {
    let [.., net, seat] = stage.host(TROUBLED).address().octets();
    let link = format!("lotse-{net}-{seat}");
    let set = ["link", "set", &link, state];
    let status = Command::new("ip").args(set).status().unwrap();
    assert!(status.success(), "ip {set:?}");
}

fn stop_engine(stage: &Stage) {
    let script = "cp /run/docker.pid /run/ending && kill $(cat /run/ending)";
    stage.exec(TROUBLED, &["sh", "-c", script]);
}

/// When the engine before has ended, for which it takes its time.
fn start_engine(stage: &Stage) {
    let script = "for turn in $(seq 1800); do \
        grep -qs '^State:[[:space:]]*[A-Y]' /proc/$(cat /run/ending)/status || exit 0; sleep 0.1; \
        done; exit 1";
    stage.exec(TROUBLED, &["sh", "-c", script]);
    stage.mend_hosts();
}

/// Its container is started again by the engine.
fn kill_edge(stage: &Stage) {
    let script = "kill -KILL $(docker inspect --format '{{.State.Pid}}' lotse-edge)";
    stage.exec(TROUBLED, &["sh", "-c", script]);
    std::thread::sleep(Duration::from_millis(100));
}
