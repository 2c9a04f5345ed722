//! The edge in a container, as a host has it: put there by `lotse edge up` through the Engine API,
//! commanded by `exec`, updated under load, killed. Needs root and Docker; without them it is
//! skipped, aloud.

#![allow(
    clippy::unwrap_used,
    reason = "a story that cannot go on shall stop there"
)]

mod host;
mod load;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use docker::container::State;
use docker::{Filter, if_found};
use host::Host;
use load::Target;
use testkit::load::ledger::{Ledger, Order};
use testkit::load::{Closing, Elsewhere, Kind, Plan};
use testkit::sshd::{Sshd, me};

const PORT: u16 = 8080;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_under_load_loses_nothing() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.up(&["--reset"]).says("is up");
    host.up(&[]).says("is up already");
    let target = Target::start(&host.daemon);
    host.set(PORT, target.address).await.unwrap();

    let plan = Plan {
        rates: vec![(Kind::Get, 50.0), (Kind::Fresh, 50.0)],
        slow: Duration::ZERO,
        long: Duration::ZERO,
        closing: Closing::Announced,
    };
    let address = SocketAddr::from(([127, 0, 0, 1], PORT));
    let ledger = Ledger::new(Order::Everywhere);
    let load = Elsewhere::start(host.daemon.network(), address, plan, &ledger);
    for idle in ["70s", "71s", "72s"] {
        let begin = Instant::now();
        host.up(&["--", "--idle", idle])
            .says("in the place of the one before");
        eprintln!("an update took {:?}", begin.elapsed());
    }
    host.up(&[]).says("is up already");

    let refused = host.up_fails(&["--", "--access-log", "/nowhere/log"]);
    assert!(
        refused.contains("did not start") && refused.contains("/nowhere"),
        "{refused}"
    );
    host.cut_off_after("starting", &["--", "--idle", "73s"]);
    host.up(&["--", "--idle", "73s"]).says("is up");
    host.cut_off_after("taken over", &["--", "--idle", "74s"]);
    host.up(&["--", "--idle", "74s"]).says("is up");

    load.end().must_be_whole(100.0);
    let left = host.engine.list_containers(Filter::all()).await.unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].name, host.name());
    assert!(host.routes().await.contains(&PORT.to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_edge_is_back_within_a_second() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.up(&[]).says("is up");
    let target = Target::start(&host.daemon);
    host.set(PORT, target.address).await.unwrap();
    // A busy machine may need longer once; not each time.
    let mut gaps = vec![kill(&host, target.address).await];
    while gaps.len() < 4 && gaps.iter().all(|gap| *gap >= Duration::from_secs(1)) {
        // The engine waits longer with each start of a container that does not run for ten seconds.
        tokio::time::sleep(Duration::from_secs(11)).await;
        gaps.push(kill(&host, target.address).await);
    }
    eprintln!("killed: nobody answered for {gaps:?}");
    assert!(
        gaps.iter().any(|gap| *gap < Duration::from_secs(1)),
        "{gaps:?}"
    );
    let routes = host.routes().await;
    assert!(
        routes.contains(&PORT.to_string()) && routes.contains("healthy"),
        "{routes}"
    );
}

/// Kills the edge, asks it for a change until it takes one, and returns how long nobody answered.
async fn kill(host: &Host, target: SocketAddr) -> Duration {
    let before = host.edge().await;
    let State::Running { pid, .. } = before.state else {
        panic!("{before:?}");
    };
    let watch = load::watch(host.daemon.network(), PORT);
    let begin = Instant::now();
    host.daemon.kill(pid);
    let mut refusals = Vec::new();
    while let Err(reason) = host.set(PORT, target).await {
        refusals.push(reason);
        assert!(begin.elapsed() < Duration::from_secs(10), "{refusals:?}");
    }
    eprintln!("meanwhile `set` failed so: {refusals:#?}");
    assert!(!refusals.is_empty());
    assert!(refusals.iter().all(|reason| !reason.trim().is_empty()));
    assert_eq!(host.edge().await.restarts, before.restarts + 1);
    watch.join().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_down_comes_up_with_its_routes() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.up(&["--", "--idle", "70s"]).says("is up");
    let target = Target::start(&host.daemon);
    host.set(PORT, target.address).await.unwrap();
    host.run(&["down"]).says("keeps its routes");
    host.run(&["down"]).says("there is no");
    assert!(
        if_found(host.engine.inspect_container(&host.name()).await)
            .unwrap()
            .is_none()
    );
    host.up(&[]).says("is up");
    assert!(host.routes().await.contains(&PORT.to_string()));

    host.make_foreign("other").await;
    let refused = host.fails(&["up", "--name", "other"]);
    assert!(refused.contains("no edge of Lotse"), "{refused}");
    let refused = host.fails(&["down", "--name", "other"]);
    assert!(refused.contains("no edge of Lotse"), "{refused}");
}

#[test]
fn without_an_engine_it_says_what_to_do() {
    let missing = ["edge", "up", "--host", "unix:///nowhere/docker.sock"];
    let output = host::lotse(&missing).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("unix:///nowhere/docker.sock"), "{error}");
    assert!(error.contains("hint: is Docker installed"), "{error}");
    let wrong = ["edge", "up", "--", "--folder", "/elsewhere"];
    let output = host::lotse(&wrong).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_to_a_host_over_ssh() {
    let Some(host) = Host::start().await else {
        return;
    };
    let Some(sshd) = Sshd::start(&[]) else {
        return;
    };
    let key = sshd.user_key("ed25519", "", "key");
    let key = fs_err::read_to_string(key).unwrap().replace('\n', "\r\n");
    let socket = host.daemon.socket();
    let address = format!(
        "ssh://{}@127.0.0.1:{}{}",
        me(),
        sshd.port(),
        socket.display()
    );
    let lotse = |verb: &str, pinned: &str| {
        let output = host::lotse(&["edge", verb, "--host", &address])
            .env("HOME", sshd.path("home"))
            .env_remove("SSH_AUTH_SOCK")
            .env("LOTSE_SSH_KEY", &key)
            .env("SSH_SERVER_HOSTKEYS", pinned)
            .output()
            .unwrap();
        (output.status.code(), testkit::dockerd::text_of(&output))
    };
    let (status, said) = lotse("up", "");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("nobody has pinned a host key"), "{said}");
    assert!(said.contains(sshd.pin("host_ed25519").trim()), "{said}");

    let pinned = sshd.pin("host_ed25519");
    let (status, said) = lotse("up", &pinned);
    assert_eq!(status, Some(0), "{said}");
    assert!(host.edge().await.state.is_running());
    let (status, said) = lotse("down", &pinned);
    assert_eq!(status, Some(0), "{said}");
    assert!(!said.contains("PRIVATE KEY"));
}
