//! Pools that get no more requests and still have some: who asks when an address is free of them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Edge;
use super::table::Inner;
use crate::span::Span;
use crate::target::pool::Pool;

/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Default)]
pub(crate) struct Draining(Mutex<Vec<Weak<Pool>>>);

impl Draining {
    pub(super) fn add(&self, pools: &[Arc<Pool>]) {
        let mut known = self.lock();
        known.retain(|pool| pool.strong_count() > 0);
        known.extend(pools.iter().map(Arc::downgrade));
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        self.lock().iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Pool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Edge {
    /// Waits until no request and no connection is left at these addresses, whatever the port, at
    /// most so long. Returns how many are. Nothing is cut. Who asks means to end what is there, so
    /// it stands by no more for targets on trial.
    pub async fn emptied(&self, addresses: &[IpAddr], limit: Span) -> usize {
        self.0.shared.table.settle(addresses);
        let deadline = Instant::now() + limit.get();
        loop {
            let left = self.at_work(addresses);
            if left == 0 || Instant::now() >= deadline {
                return left;
            }
            sleep(PAUSE).await;
        }
    }

    fn at_work(&self, addresses: &[IpAddr]) -> usize {
        // A pool is among the draining before it leaves the table: looked at in this order, none
        // is missed.
        let mut pools = of_table(&self.0.shared.table.read());
        pools.extend(self.0.shared.draining.pools());
        pools.sort_by_key(|pool| Arc::as_ptr(pool) as usize);
        pools.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let there = pools.iter().filter(|pool| pool.is_at(addresses));
        there.map(|pool| pool.in_flight()).sum()
    }
}

fn of_table(table: &Inner) -> Vec<Arc<Pool>> {
    let pools = table
        .routes()
        .flat_map(|route| [Some(&route.pool), route.standby.as_ref()]);
    pools.flatten().map(Arc::clone).collect()
}
