//! A host has trouble amid a deploy: its network is cut, its engine restarts, its edge is killed, its
//! disk is full. The other hosts serve on, and the next deploy ends right.

use std::process::Command;
use std::time::Duration;

use crate::crowd::{self, Crowd};
use crate::data;
use crate::events::{Deployer, begins};
use crate::project::{self, Settings};
use crate::stage::{Stage, WEB};

const RATE: f64 = 40.0;
/// The host in trouble, and the others.
const TROUBLED: &str = WEB[1];
const OTHERS: [&str; 2] = [WEB[0], WEB[2]];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_in_trouble_fails_no_request_of_the_others() {
    let _alone = crate::alone().await;
    let Some(stage) = Stage::set("trouble").await else {
        return;
    };
    for release in 1..=2 {
        stage.push(release);
    }
    let settings = Settings {
        lease: "10s",
        ..Settings::default()
    };
    project::write(&stage.project(), &settings);
    stage.deploy(1, "").await.succeeds();
    WEB.iter().for_each(|host| data::mark(&stage, host));
    let crowd = Crowd::come_to(&stage, &OTHERS, &crowd::small(RATE), 1);

    disk_full(&stage).await;
    crowd.must_be_well("disk full");
    amid(&stage, &crowd, "network", cut_network, mend_network).await;
    amid(&stage, &crowd, "engine", stop_engine, start_engine).await;
    amid(&stage, &crowd, "edge", kill_edge, |_| ()).await;
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

/// Trouble begins as the new stack starts on the host, and ends after the deploy has. The deploy may
/// fail or not, the next one does not.
async fn amid(stage: &Stage, crowd: &Crowd, what: &str, trouble: fn(&Stage), mend: fn(&Stage)) {
    crowd.expect(2);
    crowd.expect(1);
    let variables = [("RELEASE", "2"), ("FAULT", "")];
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
    trouble(stage);
    let (code, said) = tokio::task::spawn_blocking(|| deployer.end())
        .await
        .unwrap();
    println!("{what}: the deploy ends with {code:?}");
    assert!(matches!(code, Some(0 | 1)), "{what}: {said}");
    mend(stage);
    crowd.must_be_well(what);

    crowd.expect(2);
    let again = ["deploy", "prod", "--wait", "60s"];
    stage.run(&again, &variables).await.succeeds();
    stage.all_serve(2).await;
    crowd.expect(1);
    let back = [("RELEASE", "1"), ("FAULT", "")];
    stage.run(&again, &back).await.succeeds();
    stage.all_serve(1).await;
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
    stage.exec(TROUBLED, &["sh", "-c", "kill $(cat /run/docker.pid)"]);
}

fn start_engine(stage: &Stage) {
    stage.mend_hosts();
}

/// Its container is started again by the engine.
fn kill_edge(stage: &Stage) {
    let script = "kill -KILL $(docker inspect --format '{{.State.Pid}}' lotse-edge)";
    stage.exec(TROUBLED, &["sh", "-c", script]);
    std::thread::sleep(Duration::from_millis(100));
}
