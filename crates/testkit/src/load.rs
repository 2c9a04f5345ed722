//! A load of many kinds, sent at given rates whatever comes back (open loop), which writes down
//! each request that failed: against the edge's test targets, and against the application that tests
//! deploy ([`crate::application`]).
//!
//! Connections are kept and used in turn, as browsers and proxies do. A client that was told that a
//! connection closes opens another; everything else that does not end in the right answer counts.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by a panic"
)]

mod connection;
mod elsewhere;
mod kinds;
pub mod ledger;
pub mod site;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use connection::{Kept1, Kept2};
use ledger::{Entry, Ledger};
use site::{APPLICATION, Site};

pub use elsewhere::Elsewhere;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A small GET on a kept connection.
    Get,
    /// The same of the part of the site that another service answers.
    Api,
    /// A small GET on a connection of its own.
    Fresh,
    /// A page and what belongs to it ([`Site::page`]): all of one release, unless it changes in
    /// between.
    Page,
    /// A POST of 1 MB on a kept connection.
    Post,
    /// A GET whose answer takes [`Plan::slow`] to begin.
    Slow,
    /// A chunked PUT that is sent over [`Plan::long`].
    Upload,
    /// A WebSocket that echoes over [`Plan::long`].
    Socket,
    /// A stream of a shared HTTP/2 connection; every other one has a body.
    Stream,
}

/// Whether the edge may close a kept connection after it has said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// It may not.
    Never,
    /// It may.
    Announced,
}

/// What a load is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Requests a second of each kind.
    pub rates: Vec<(Kind, f64)>,
    /// How long an answer of [`Kind::Slow`] takes.
    pub slow: Duration,
    /// How long an upload or a WebSocket lasts.
    pub long: Duration,
    /// What the edge may do with connections.
    pub closing: Closing,
}

/// More requests than these at once are not sent, and count as failed.
const MOST: usize = 3000;
/// No request may take longer than it has to by this.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A request that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Its kind.
    pub kind: Kind,
    /// Its number; 0 where none was sent.
    pub number: u64,
    /// When it was to be sent.
    pub sent: Instant,
    /// When it failed.
    pub failed: Instant,
    /// In which way, in words.
    pub what: String,
}

/// What a load came to.
#[derive(Debug)]
pub struct Report {
    /// How many were answered well.
    pub answered: Vec<(Kind, usize)>,
    /// All others.
    pub failures: Vec<Failure>,
    /// How long requests were sent.
    pub lasted: Duration,
    /// How long small GETs took, in order.
    pub gets: Vec<Duration>,
    /// How many connections were opened.
    pub connections: usize,
}

/// A load that goes on until it is ended.
pub struct Load {
    shared: Arc<Shared>,
    started: Instant,
    pacing: TaskTracker,
}

struct Shared {
    site: Site,
    address: SocketAddr,
    plan: Plan,
    ledger: Arc<Ledger>,
    kept1: Mutex<VecDeque<Kept1>>,
    kept2: tokio::sync::Mutex<VecDeque<Kept2>>,
    connections: AtomicUsize,
    answered: Mutex<Vec<(Kind, Duration)>>,
    failures: Mutex<Vec<Failure>>,
    under_way: AtomicUsize,
    stop: CancellationToken,
    asking: TaskTracker,
}

impl Load {
    /// Begins to send to the application that tests deploy, on the runtime that it is called on.
    pub fn start(address: SocketAddr, plan: Plan, ledger: &Arc<Ledger>) -> Self {
        Self::start_at(APPLICATION, address, plan, ledger)
    }

    /// [`Load::start`] at another site.
    pub fn start_at(site: Site, address: SocketAddr, plan: Plan, ledger: &Arc<Ledger>) -> Self {
        let shared = Arc::new(Shared {
            site,
            address,
            ledger: Arc::clone(ledger),
            kept1: Mutex::default(),
            kept2: tokio::sync::Mutex::default(),
            connections: AtomicUsize::new(0),
            answered: Mutex::default(),
            failures: Mutex::default(),
            under_way: AtomicUsize::new(0),
            stop: CancellationToken::new(),
            asking: TaskTracker::new(),
            plan,
        });
        let pacing = TaskTracker::new();
        for (kind, rate) in shared.plan.rates.clone() {
            pacing.spawn(pace(Arc::clone(&shared), kind, rate));
        }
        Self {
            shared,
            started: Instant::now(),
            pacing,
        }
    }

    /// The failures so far.
    pub fn failures(&self) -> Vec<Failure> {
        self.shared.failures.lock().unwrap().clone()
    }

    /// Sends no more, and waits for the answers to what was sent.
    pub async fn end(self) -> Report {
        self.shared.stop.cancel();
        let lasted = self.started.elapsed();
        self.pacing.close();
        self.pacing.wait().await;
        self.shared.asking.close();
        self.shared.asking.wait().await;
        let answered = self.shared.answered.lock().unwrap().clone();
        let of = |kind| answered.iter().filter(move |(other, _)| *other == kind);
        let mut gets: Vec<Duration> = of(Kind::Get).map(|(_, took)| *took).collect();
        gets.sort();
        let kinds = self.shared.plan.rates.iter();
        Report {
            answered: kinds.map(|(kind, _)| (*kind, of(*kind).count())).collect(),
            failures: self.shared.failures.lock().unwrap().clone(),
            lasted,
            gets,
            connections: self.shared.connections.load(Ordering::Relaxed),
        }
    }
}

/// Sends at a rate, whatever comes back; when it was held up it sends what it owes at once.
async fn pace(shared: Arc<Shared>, kind: Kind, rate: f64) {
    let started = tokio::time::Instant::now();
    for sent in 1_u64.. {
        let due = started + Duration::from_secs_f64(sent as f64 / rate);
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = shared.stop.cancelled() => return,
        }
        shared.asking.spawn(one(Arc::clone(&shared), kind));
    }
}

async fn one(shared: Arc<Shared>, kind: Kind) {
    let sent = Instant::now();
    let mut entry = None;
    let told = if shared.under_way.fetch_add(1, Ordering::Relaxed) < MOST {
        let patience = PATIENCE + shared.plan.slow.max(shared.plan.long);
        let asking = kinds::ask(&shared, kind, &mut entry);
        let told = tokio::time::timeout(patience, asking).await;
        told.unwrap_or_else(|_| Err(format!("no end after {patience:?}")))
    } else {
        Err(format!("more than {MOST} requests at once"))
    };
    shared.under_way.fetch_sub(1, Ordering::Relaxed);
    match told {
        Ok(()) => shared.answered.lock().unwrap().push((kind, sent.elapsed())),
        Err(what) => shared.failures.lock().unwrap().push(Failure {
            kind,
            number: entry.map_or(0, |entry: Entry| entry.number),
            sent,
            failed: Instant::now(),
            what,
        }),
    }
}

impl Report {
    /// All requests that were sent.
    pub fn total(&self) -> usize {
        self.answered.iter().map(|(_, count)| count).sum::<usize>() + self.failures.len()
    }

    /// How many of a kind were answered well.
    pub fn count(&self, kind: Kind) -> usize {
        let found = self.answered.iter().find(|(other, _)| *other == kind);
        found.map_or(0, |(_, count)| *count)
    }

    /// One line of figures.
    pub fn line(&self) -> String {
        let at = |share: f64| {
            let place = (self.gets.len() as f64 * share) as usize;
            self.gets.get(place).copied().unwrap_or_default()
        };
        format!(
            "{} requests in {:.1} s ({:.0}/s): {:?}; {} failed; {} connections; small GETs: p50 {:?}, p99 {:?}, most {:?}",
            self.total(),
            self.lasted.as_secs_f64(),
            self.total() as f64 / self.lasted.as_secs_f64(),
            self.answered,
            self.failures.len(),
            self.connections,
            at(0.5),
            at(0.99),
            self.gets.last().copied().unwrap_or_default(),
        )
    }

    /// Says what it came to.
    ///
    /// # Panics
    /// When a request failed, or when so few were sent that it tells nothing.
    pub fn must_be_whole(&self, rate: f64) {
        println!("{}", self.line());
        self.must_be_full(rate);
        let shown: Vec<_> = self.failures.iter().take(10).collect();
        assert!(shown.is_empty(), "{}\n{shown:#?}", self.line());
    }

    /// A check that it tells something.
    ///
    /// # Panics
    /// When too few requests were sent.
    pub fn must_be_full(&self, rate: f64) {
        let sent = self.total() as f64 / self.lasted.as_secs_f64();
        assert!(sent > rate * 0.95, "only {sent:.0} requests a second");
        for (kind, count) in &self.answered {
            assert!(*count > 0, "no answer to any {kind:?}");
        }
    }
}
