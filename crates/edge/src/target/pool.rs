//! The targets that one `set` gave to a route, alive: who is healthy, who has how many requests.
//!
//! A pool is never changed into another: a swap puts a new one in its place, and the old one ends
//! when its last request has. It knows who may be sent a request, not how one is sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::client::tls::{Certificate, CertificateError};
use crate::request::record::Counters;
use crate::spec::{RouteSpec, TargetSpec};
use crate::target::connect::Idle;

/// The targets of a route between two swaps.
pub(crate) struct Pool {
    pub(crate) spec: Arc<RouteSpec>,
    /// Grows with every swap of the edge.
    pub(crate) generation: u64,
    pub(crate) counters: Arc<Counters>,
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) targets: Vec<Arc<Target>>,
    turn: AtomicUsize,
    in_flight: AtomicUsize,
    empty: Notify,
    /// No new request comes here: the health checks end.
    pub(crate) retired: CancellationToken,
    /// Its trial is over before its time.
    pub(crate) settled: CancellationToken,
    /// What is still at work here ends now.
    pub(crate) cut: CancellationToken,
}

/// One address of a pool.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    weight: u32,
    fall: u32,
    healthy: AtomicBool,
    drained: AtomicBool,
    failures: AtomicU32,
    in_flight: AtomicUsize,
    empty: Notify,
    /// Wakes the health check when requests have failed.
    pub(crate) doubted: Notify,
    pub(crate) idle: Idle,
    pub(crate) requests: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// What the last check found wrong.
    illness: Mutex<Option<String>>,
    /// How often it was found well out of turn.
    found_well: AtomicU64,
}

/// Counts a request for its pool, as long as it is held.
pub(crate) struct Lease(Arc<Pool>);

/// Counts a request for its target, as long as it is held.
pub(crate) struct TargetLease(Arc<Target>);

impl Pool {
    /// A pool whose targets all count as healthy: they were checked.
    ///
    /// # Errors
    /// When the route's certificate cannot be used.
    pub(crate) fn new(
        spec: Arc<RouteSpec>,
        generation: u64,
        counters: Arc<Counters>,
    ) -> Result<Arc<Self>, CertificateError> {
        let certificate = Certificate::load(&spec)?;
        Ok(Self::build(spec, generation, counters, certificate))
    }

    /// A pool that was good once, here or in another process.
    pub(crate) fn restore(
        spec: Arc<RouteSpec>,
        generation: u64,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        let certificate = Certificate::restore(&spec);
        Self::build(spec, generation, counters, certificate)
    }

    fn build(
        spec: Arc<RouteSpec>,
        generation: u64,
        counters: Arc<Counters>,
        certificate: Option<Certificate>,
    ) -> Arc<Self> {
        let targets = spec.targets.iter();
        let targets = targets.map(|target| Arc::new(Target::new(*target, spec.health.fall)));
        Arc::new(Self {
            generation,
            counters,
            certificate: certificate.map(Arc::new),
            targets: targets.collect(),
            turn: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            empty: Notify::new(),
            retired: CancellationToken::new(),
            settled: CancellationToken::new(),
            cut: CancellationToken::new(),
            spec,
        })
    }

    pub(crate) fn lease(self: &Arc<Self>) -> Lease {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Lease(Arc::clone(self))
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Whether a target can be sent requests, or none is needed.
    pub(crate) fn is_available(&self) -> bool {
        self.targets.is_empty() || self.targets.iter().any(|target| target.is_available())
    }

    /// The target with the fewest requests for its weight, among those not tried; equals take turns.
    pub(crate) fn pick(&self, tried: &[SocketAddr]) -> Option<TargetLease> {
        let count = self.targets.len();
        let start = match count {
            0 | 1 => 0,
            _ => self.turn.fetch_add(1, Ordering::Relaxed) % count,
        };
        let (late, early) = self.targets.split_at(start);
        let fit = |target: &&Arc<Target>| target.is_available() && !tried.contains(&target.address);
        let best = early
            .iter()
            .chain(late)
            .filter(fit)
            .min_by(|a, b| a.load_against(b))?;
        Some(best.lease())
    }

    /// The target of this address, when it can be sent requests.
    pub(crate) fn pick_address(&self, address: SocketAddr) -> Option<TargetLease> {
        let target = self.target(address)?;
        target.is_available().then(|| target.lease())
    }

    pub(crate) fn target(&self, address: SocketAddr) -> Option<&Arc<Target>> {
        self.targets.iter().find(|target| target.address == address)
    }

    /// Whether a target has one of these addresses, whatever the port.
    pub(crate) fn is_at(&self, addresses: &[IpAddr]) -> bool {
        let mut targets = self.targets.iter();
        targets.any(|target| addresses.contains(&target.address.ip()))
    }

    /// Waits until no request is left, at most so long; then ends those that are. Says how many.
    pub(crate) async fn drain(&self, grace: Duration) -> usize {
        let _ = tokio::time::timeout(grace, until_zero(&self.in_flight, &self.empty)).await;
        let cut = self.in_flight();
        self.cut.cancel();
        cut
    }
}

impl Target {
    fn new(spec: TargetSpec, fall: u32) -> Self {
        Self {
            address: spec.address,
            weight: spec.weight,
            fall,
            healthy: AtomicBool::new(true),
            drained: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            in_flight: AtomicUsize::new(0),
            empty: Notify::new(),
            doubted: Notify::new(),
            idle: Idle::default(),
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            illness: Mutex::default(),
            found_well: AtomicU64::new(0),
        }
    }

    fn lease(self: &Arc<Self>) -> TargetLease {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        TargetLease(Arc::clone(self))
    }

    fn load_against(&self, other: &Self) -> std::cmp::Ordering {
        let load = |target: &Self| target.in_flight.load(Ordering::Relaxed) as u64 + 1;
        (load(self) * u64::from(other.weight)).cmp(&(load(other) * u64::from(self.weight)))
    }

    pub(crate) fn is_available(&self) -> bool {
        self.is_healthy() && !self.is_drained()
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// What a check found, after `rise` and `fall` were heeded.
    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.failures.store(0, Ordering::Relaxed);
        self.healthy.store(healthy, Ordering::Relaxed);
    }

    /// It is well, whatever a check finds that is under way.
    pub(crate) fn set_well(&self) {
        self.found_well.fetch_add(1, Ordering::AcqRel);
        self.set_illness(None);
        self.set_healthy(true);
    }

    /// Changes when [`Self::set_well`] is called.
    pub(crate) fn found_well(&self) -> u64 {
        self.found_well.load(Ordering::Acquire)
    }

    /// What the last check found wrong, if it did.
    pub(crate) fn illness(&self) -> Option<String> {
        let illness = self.illness.lock();
        illness.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_illness(&self, illness: Option<String>) {
        *self.illness.lock().unwrap_or_else(PoisonError::into_inner) = illness;
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed)
    }

    pub(crate) fn set_drained(&self, drained: bool) {
        self.drained.store(drained, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// A request was answered.
    pub(crate) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A request was not answered, and the target is to blame. After `fall` of them in a row it
    /// gets no more, until a check finds it healthy.
    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= self.fall && self.healthy.swap(false, Ordering::Relaxed) {
            tracing::warn!(target = %self.address, failures, "requests fail: the target gets no more until a check finds it healthy");
        }
        self.doubted.notify_one();
    }

    /// Waits until the target has no request left; false when time was up first.
    pub(crate) async fn emptied(&self, grace: Duration) -> bool {
        let empty = until_zero(&self.in_flight, &self.empty);
        tokio::time::timeout(grace, empty).await.is_ok()
    }
}

async fn until_zero(count: &AtomicUsize, empty: &Notify) {
    loop {
        let mut notified = std::pin::pin!(empty.notified());
        notified.as_mut().enable();
        if count.load(Ordering::Acquire) == 0 {
            return;
        }
        notified.await;
    }
}

impl std::ops::Deref for Lease {
    type Target = Arc<Pool>;

    fn deref(&self) -> &Arc<Pool> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 && self.0.retired.is_cancelled() {
            self.0.empty.notify_waiters();
        }
    }
}

impl std::ops::Deref for TargetLease {
    type Target = Arc<Target>;

    fn deref(&self) -> &Arc<Target> {
        &self.0
    }
}

impl Drop for TargetLease {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 && self.0.is_drained() {
            self.0.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::RouteKey;

    fn pool(targets: &[&str]) -> Arc<Pool> {
        let route = RouteKey {
            listen: "127.0.0.1:80".parse().unwrap(),
            host: Default::default(),
            path: Default::default(),
        };
        let targets = targets.iter().map(|t| t.parse().unwrap()).collect();
        Pool::new(Arc::new(RouteSpec::new(route, targets)), 1, Arc::default()).unwrap()
    }

    fn shares(pool: &Pool, requests: usize) -> Vec<usize> {
        let held: Vec<_> = (0..requests).map(|_| pool.pick(&[]).unwrap()).collect();
        let shares = pool.targets.iter().map(|t| t.in_flight()).collect();
        drop(held);
        shares
    }

    #[test]
    fn requests_go_where_the_fewest_are_for_the_weight() {
        assert_eq!(shares(&pool(&["1.1.1.1:1", "1.1.1.2:1"]), 10), [5, 5]);
        assert_eq!(shares(&pool(&["1.1.1.1:1*3", "1.1.1.2:1"]), 40), [30, 10]);
    }

    #[test]
    fn targets_that_wait_for_nothing_take_turns() {
        let pool = pool(&["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1"]);
        for _ in 0..30 {
            drop(pool.pick(&[]));
        }
        let counts = pool
            .targets
            .iter()
            .map(|t| t.requests.load(Ordering::Relaxed));
        assert_eq!(counts.collect::<Vec<_>>(), [10, 10, 10]);
    }

    #[test]
    fn the_unhealthy_the_drained_and_the_tried_are_left_out() {
        let pool = pool(&["1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1"]);
        pool.targets[0].set_drained(true);
        for _ in 0..3 {
            pool.targets[1].failed();
        }
        assert!(!pool.targets[1].is_healthy());
        assert_eq!(pool.pick(&[]).unwrap().address, pool.targets[2].address);
        assert!(pool.pick(&[pool.targets[2].address]).is_none());
        pool.targets[1].set_healthy(true);
        assert!(pool.pick(&[pool.targets[2].address]).is_some());
    }

    #[test]
    fn an_answer_forgives_failures() {
        let pool = pool(&["1.1.1.1:1"]);
        for _ in 0..10 {
            pool.targets[0].failed();
            pool.targets[0].failed();
            pool.targets[0].succeeded();
        }
        assert!(pool.is_available());
    }

    #[tokio::test]
    async fn draining_waits_for_the_last_lease_and_cuts_at_the_deadline() {
        let pool = pool(&["1.1.1.1:1"]);
        let (one, two) = (pool.lease(), pool.lease());
        pool.retired.cancel();
        assert_eq!(pool.drain(Duration::from_millis(10)).await, 2);
        assert!(pool.cut.is_cancelled());

        let drain = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.drain(Duration::from_secs(60)).await }
        });
        drop(one);
        tokio::task::yield_now().await;
        assert!(!drain.is_finished());
        drop(two);
        assert_eq!(drain.await.unwrap(), 0);
    }
}
