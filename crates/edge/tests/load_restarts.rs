//! Three targets of one release, one of which is always being restarted, under a mixed load.
//!
//! What must hold, exactly:
//! - When a target stops gracefully (it first says that it is ill, serves on until the edge sends it
//!   nothing more, and then closes), no request of any kind fails.
//! - When a target is killed, no request that is safe to repeat fails: GETs, also on HTTP/2, whose
//!   answer had not begun and that met fewer kills than there are targets (answers take less time
//!   than there is between two kills, so none meets three). A request that may not be repeated, or whose body has been sent, can be
//!   lost with the target: it may fail only when a kill falls between its start and its end, and no
//!   target is ever sent it a second time.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Bench, PATIENCE, Target, quick};
use edge::Span;
use testkit::load::ledger::{Ledger, Order};
use testkit::load::{Closing, Failure, Kind, Load, Plan, Report};

/// In requests a second; 500 in all.
const RATES: [(Kind, f64); 6] = [
    (Kind::Get, 433.0),
    (Kind::Post, 2.0),
    (Kind::Slow, 4.0),
    (Kind::Upload, 5.0),
    (Kind::Socket, 6.0),
    (Kind::Stream, 50.0),
];
const RESTARTS: usize = 24;
const TARGETS: usize = 3;

/// Restarts targets one after the other under the load, each in the given way.
async fn restarts(graceful: bool) -> (Report, Vec<Instant>, Arc<Ledger>) {
    let bench = Bench::with(|settings| settings.limits.rest = Span::millis(5)).await;
    let mut targets = Vec::new();
    for _ in 0..TARGETS {
        targets.push(Target::start(1).await);
    }
    let addresses: Vec<_> = targets.iter().map(|target| target.address).collect();
    let mut route = bench.route(&addresses);
    route.health.interval = Span::millis(50);
    // A machine that is busy elsewhere must not make good targets look ill.
    route.health.timeout = Span::seconds(10);
    let mut set = quick(vec![route]);
    set.deadline = Span::seconds(30);
    bench.edge.set(set, |_| {}).await.unwrap();
    let ledger = Ledger::new(Order::Everywhere);
    let plan = Plan {
        rates: RATES.to_vec(),
        slow: Duration::from_millis(150),
        long: Duration::from_millis(500),
        closing: Closing::Never,
    };
    let load = Load::start(bench.address, plan, &ledger);
    let mut kills = Vec::new();
    for chosen in choices() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let target = &mut targets[chosen];
        if graceful {
            target.healthy.store(false, Ordering::Relaxed);
            until(&bench, chosen, |target| {
                !target.healthy && target.in_flight == 0
            })
            .await;
        } else {
            kills.push(Instant::now());
        }
        target.kill();
        target.close(&ledger);
        tokio::time::sleep(Duration::from_millis(100)).await;
        *target = Target::start_on(target.address, 1, false).await;
        until(&bench, chosen, |target| target.healthy).await;
    }
    let report = load.end().await;
    targets.iter().for_each(|target| target.close(&ledger));
    println!("{RESTARTS} restarts: {}", report.line());
    report.must_be_full(500.0);
    assert_eq!(ledger.repeated(), Vec::<String>::new());
    (report, kills, ledger)
}

/// Which target is restarted next: without order, and the same in each run.
fn choices() -> impl Iterator<Item = usize> {
    let mut state = 7_u32;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % TARGETS
    })
    .take(RESTARTS)
}

async fn until(bench: &Bench, chosen: usize, done: impl Fn(&edge::TargetStatus) -> bool) {
    let started = Instant::now();
    while !done(&bench.edge.status().routes[0].targets[chosen]) {
        let late = started.elapsed() > PATIENCE;
        assert!(!late, "not noticed: {chosen} of {:#?}", bench.edge.status());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One after the other, so that the load is what it says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarted_targets_fail_no_request_that_can_be_saved() {
    let (graceful, ..) = restarts(true).await;
    graceful.must_be_whole(500.0);

    let (killed, kills, _) = restarts(false).await;
    let lost = |failure: &Failure| {
        let of_kill = |kill: &Instant| failure.sent <= *kill && *kill <= failure.failed;
        !is_safe(failure) && kills.iter().any(of_kill)
    };
    let inexcusable: Vec<_> = killed.failures.iter().filter(|f| !lost(f)).collect();
    assert!(inexcusable.is_empty(), "{inexcusable:#?}");
}

/// Streams are GETs by their even numbers.
fn is_safe(failure: &Failure) -> bool {
    match failure.kind {
        Kind::Get | Kind::Api | Kind::Fresh | Kind::Page | Kind::Slow => true,
        Kind::Stream => failure.number.is_multiple_of(2),
        Kind::Post | Kind::Upload | Kind::Socket => false,
    }
}
