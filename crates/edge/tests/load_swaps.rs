//! Two hundred swaps, and fifty tries to swap to pools that are no good, under a mixed load of 500
//! requests a second. No request fails, none is answered by a release that it should not see.
//!
//! The mix, in requests a second: 433 small GETs on kept connections, 2 POSTs of 1 MB, 4 answers that
//! take 8 s, 5 chunked uploads and 6 WebSockets that last over several swaps, 50 streams of four
//! HTTP/2 connections. Old targets are killed as soon as the edge says that they are drained.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Bench, Target, free_port, quick};
use edge::{Event, Set, Span};
use testkit::load::ledger::{Ledger, Order};
use testkit::load::{Closing, Kind, Load, Plan};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const SWAPS: u64 = 200;
/// Between two swaps, so that each release takes part of the load.
const PAUSE: Duration = Duration::from_millis(80);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_swaps_good_and_bad_fail_no_request() {
    let ledger = Ledger::new(Order::Everywhere);
    let mut swaps = Swaps::start(Arc::clone(&ledger)).await;
    let plan = Plan {
        rates: vec![
            (Kind::Get, 433.0),
            (Kind::Post, 2.0),
            (Kind::Slow, 4.0),
            (Kind::Upload, 5.0),
            (Kind::Socket, 6.0),
            (Kind::Stream, 50.0),
        ],
        slow: Duration::from_secs(8),
        long: Duration::from_millis(500),
        closing: Closing::Never,
    };
    let load = Load::start(swaps.bench.address, plan, &ledger);
    let started = Instant::now();
    for round in 0..SWAPS {
        if round % 4 == 3 {
            match round / 4 % 6 {
                0 => swaps.refused(Bad::Dead).await,
                1 => swaps.refused(Bad::Silent).await,
                2 => swaps.refused(Bad::HalfDead).await,
                3 => swaps.refused(Bad::Ill).await,
                4 => swaps.taken_back_gone().await,
                _ => swaps.taken_back_ill().await,
            }
        }
        swaps.good().await;
        tokio::time::sleep(PAUSE).await;
        let failures = load.failures();
        assert!(failures.is_empty(), "after {round} swaps: {failures:#?}");
    }
    println!("{SWAPS} swaps and 50 bad ones in {:?}", started.elapsed());
    let report = load.end().await;
    swaps.end().await;
    report.must_be_whole(500.0);
    let repeated = ledger.repeated();
    assert!(repeated.is_empty(), "{repeated:?}");
    let (posts, streams) = (report.count(Kind::Post), report.count(Kind::Stream));
    assert!(ledger.taken() > posts + streams / 3, "the targets count");
}

/// A pool that must not be swapped in.
#[derive(Debug, Clone, Copy)]
enum Bad {
    /// Nobody listens there.
    Dead,
    /// It takes connections and says nothing.
    Silent,
    /// One of two is dead.
    HalfDead,
    /// It answers its health path with 500.
    Ill,
}

struct Swaps {
    bench: Bench,
    ledger: Arc<Ledger>,
    release: u64,
    current: Arc<Target>,
    /// Sets whose old targets are being drained.
    draining: JoinSet<()>,
    /// Targets that were taken back and have requests to the end of the test, maybe.
    doomed: Vec<Target>,
    silent: SocketAddr,
}

impl Swaps {
    async fn start(ledger: Arc<Ledger>) -> Self {
        // Connections rest in the middle of the load, some of them between each two requests.
        let bench = Bench::with(|settings| settings.limits.rest = Span::millis(5)).await;
        let swaps = Self {
            bench,
            ledger,
            release: 1,
            current: Arc::new(Target::start(1).await),
            draining: JoinSet::new(),
            doomed: Vec::new(),
            silent: silent_target().await,
        };
        let first = swaps.set_to(&[swaps.current.address]);
        swaps.bench.edge.set(first, |_| {}).await.unwrap();
        swaps
    }

    fn set_to(&self, targets: &[SocketAddr]) -> Set {
        let mut route = self.bench.route(targets);
        route.health.interval = Span::millis(30);
        // A machine that is busy elsewhere must not make good targets look ill.
        route.health.timeout = Span::seconds(10);
        let mut set = quick(vec![route]);
        set.deadline = Span::seconds(10);
        set.grace = Span::seconds(20);
        set
    }

    /// Swaps, and goes on while the old target is drained.
    async fn good(&mut self) {
        self.release += 1;
        let next = Arc::new(Target::start(self.release).await);
        let set = self.set_to(&[next.address]);
        let old = std::mem::replace(&mut self.current, next);
        let (edge, ledger) = (self.bench.edge.clone(), Arc::clone(&self.ledger));
        let (tell, mut told) = mpsc::unbounded_channel();
        self.draining.spawn(async move {
            let tell = move |event| drop(tell.send(event));
            edge.set(set, tell).await.unwrap();
            // Told only now: nobody needs the old target.
            old.kill();
            old.close(&ledger);
        });
        assert_eq!(told.recv().await, Some(Event::Checking { targets: 1 }));
        let swapped = told.recv().await;
        assert!(
            matches!(swapped, Some(Event::Swapped { .. })),
            "{swapped:?}"
        );
        self.draining.spawn(async move {
            assert_eq!(told.recv().await, Some(Event::Drained { cut: 0 }));
        });
    }

    /// A set that fails with its reason before anything was swapped.
    async fn refused(&mut self, bad: Bad) {
        let victim = Target::start(u64::MAX).await;
        victim
            .healthy
            .store(!matches!(bad, Bad::Ill), Ordering::Relaxed);
        let (targets, reason) = match bad {
            Bad::Dead => (vec![free_port()], "Connection refused"),
            Bad::Silent => (vec![self.silent], "no answer within"),
            Bad::HalfDead => (vec![victim.address, free_port()], "Connection refused"),
            Bad::Ill => (vec![victim.address], "with 500"),
        };
        let mut set = self.set_to(&targets);
        set.deadline = Span::millis(350);
        let error = self.refusal(set).await;
        assert!(error.contains(reason), "{bad:?}: {error}");
        assert_eq!(victim.requests.load(Ordering::Relaxed), 0, "{bad:?}");
    }

    async fn refusal(&self, set: Set) -> String {
        let refused = self.bench.edge.set(set, |_| {}).await.unwrap_err();
        refused.to_string()
    }

    /// A pool that dies between its check and its first request.
    async fn taken_back_gone(&mut self) {
        let gone = gone_after_its_check().await;
        self.must_fall_back(gone).await;
    }

    /// A pool that serves, and soon says that it is ill. What it has it brings to an end.
    async fn taken_back_ill(&mut self) {
        self.release += 1;
        let (release, target) = (self.release, Target::start(self.release).await);
        self.ledger.doom(release);
        let healthy = Arc::clone(&target.healthy);
        let requests = Arc::clone(&target.requests);
        let falling_ill = tokio::spawn(async move {
            while requests.load(Ordering::Relaxed) < 10 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            healthy.store(false, Ordering::Relaxed);
        });
        self.must_fall_back(target.address).await;
        self.ledger.taken_back(release);
        falling_ill.await.unwrap();
        self.doomed.push(target);
    }

    async fn must_fall_back(&mut self, target: SocketAddr) {
        let mut set = self.set_to(&[target]);
        set.watch = Span::seconds(20);
        let started = Instant::now();
        let error = self.refusal(set).await;
        assert!(error.contains("failed soon after the swap"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(15));
    }

    async fn end(mut self) {
        while let Some(ended) = self.draining.join_next().await {
            ended.unwrap();
        }
        self.current.close(&self.ledger);
        for target in &self.doomed {
            target.close(&self.ledger);
        }
    }
}

/// Takes connections and says nothing.
async fn silent_target() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    address
}

/// Answers one request, its health check, and is gone before the answer arrives.
async fn gone_after_its_check() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let _ = stream.read(&mut [0; 1024]).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.write_all(answer).await;
    });
    address
}
