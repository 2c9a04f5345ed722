//! Twenty take-overs by real processes under a mixed load of 500 requests a second, with a swap at
//! every fourth. No request fails; each connection sees its releases in order.
//!
//! The mix, in requests a second: 437 small GETs on kept connections, 2 POSTs of 1 MB, 3 answers that
//! take 8 s, 4 chunked uploads and 4 WebSockets that last over take-overs, 50 streams of HTTP/2. An
//! old process ends when its last connection has, at the latest after its grace period.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{PATIENCE, Target, free_port, quick, route};
use edge::control::{self, Request};
use edge::{Edge, Event, Set, Settings, Span, Status};
use testkit::load::ledger::{Ledger, Order};
use testkit::load::{Closing, Kind, Load, Plan};
use tokio::task::JoinSet;

const TAKE_OVERS: u64 = 20;
/// How long an old process lets its connections come to their end.
const GRACE: Duration = Duration::from_secs(20);

/// Not a test: an edge in a process of its own, until another has taken over.
#[test]
fn child() {
    let Ok(folder) = std::env::var("EDGE_CHILD") else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut settings = Settings::new(folder);
        settings.limits.rest = Span::millis(5);
        let edge = Edge::take_over(settings).await.unwrap();
        edge.handed_over().await;
        edge.stop(GRACE).await;
    });
}

/// An edge's process; killed when it is forgotten.
struct Process(Child);

impl Process {
    /// Returns when the new process answers on the control socket.
    async fn start(folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]);
        command.env("EDGE_CHILD", folder).stdout(Stdio::null());
        let child = Self(command.spawn().unwrap());
        let started = Instant::now();
        while process_of(folder).await != Some(child.0.id()) {
            assert!(started.elapsed() < PATIENCE, "the edge does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child
    }

    async fn ended(mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < GRACE + PATIENCE, "it never ends");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The number of the process that answers on the control socket, if one does.
async fn process_of(folder: &Path) -> Option<u32> {
    let socket = folder.join("edge.sock");
    let status = control::ask(&socket, &Request::Status, |_| {}).await.ok()?;
    let status: Status = serde_json::from_value(status).unwrap();
    Some(status.pid)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_processes_take_over_and_no_request_fails() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_port();
    let mut process = Process::start(folder.path()).await;
    let mut target = Target::start(1).await;
    let first = Request::Set(set_to(address, &target));
    let socket = folder.path().join("edge.sock");
    control::ask(&socket, &first, |_| {}).await.unwrap();

    let ledger = Ledger::new(Order::PerConnection);
    let plan = Plan {
        rates: vec![
            (Kind::Get, 437.0),
            (Kind::Post, 2.0),
            (Kind::Slow, 3.0),
            (Kind::Upload, 4.0),
            (Kind::Socket, 4.0),
            (Kind::Stream, 50.0),
        ],
        slow: Duration::from_secs(8),
        long: Duration::from_millis(1500),
        closing: Closing::Announced,
    };
    let load = Load::start(address, plan, &ledger);
    let (mut ending, mut draining) = (JoinSet::new(), JoinSet::new());
    for round in 0..TAKE_OVERS {
        let old = std::mem::replace(&mut process, Process::start(folder.path()).await);
        ending.spawn(old.ended());
        if round % 4 == 0 {
            let next = Target::start(round + 2).await;
            let old = std::mem::replace(&mut target, next);
            draining.spawn(swap_away(
                folder.path().to_owned(),
                address,
                &target,
                old,
                &ledger,
            ));
        }
        tokio::time::sleep(Duration::from_millis(800)).await;
        let failures = load.failures();
        assert!(failures.is_empty(), "take-over {round}: {failures:#?}");
    }
    let report = load.end().await;
    while let Some(drained) = draining.join_next().await {
        drained.unwrap();
    }
    while let Some(ended) = ending.join_next().await {
        assert!(ended.unwrap().success(), "an old process fails at its end");
    }
    target.close(&ledger);
    report.must_be_whole(500.0);
    assert_eq!(ledger.repeated(), Vec::<String>::new());
}

fn set_to(address: SocketAddr, target: &Target) -> Set {
    let mut route = route(address, &[target.address]);
    // A machine that is busy elsewhere must not make good targets look ill.
    route.health.timeout = Span::seconds(10);
    let mut set = quick(vec![route]);
    set.deadline = Span::seconds(10);
    set.grace = Span::seconds(20);
    set
}

/// Swaps, and kills the old target when every process that had requests there is done with them.
fn swap_away(
    folder: PathBuf,
    address: SocketAddr,
    next: &Target,
    old: Target,
    ledger: &Arc<Ledger>,
) -> impl Future<Output = ()> + use<> {
    let (set, ledger) = (set_to(address, next), Arc::clone(ledger));
    async move {
        let socket = folder.join("edge.sock");
        let mut cut = None;
        let tell = |event| {
            if let Event::Drained { cut: count } = event {
                cut = Some(count);
            }
        };
        control::ask(&socket, &Request::Set(set), tell)
            .await
            .unwrap();
        old.kill();
        assert_eq!(cut, Some(0), "requests were cut");
        old.close(&ledger);
    }
}
