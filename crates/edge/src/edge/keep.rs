//! The table and the state file: what is written down of it, and how it becomes what a state says.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::Edge;
use super::set::swap_in;
use super::state::{KeptRoute, State};
use super::table::{Inner, Mode};
use crate::error::EdgeError;
use crate::route::RouteKey;
use crate::target::health;
use crate::target::pool::Pool;

impl Edge {
    /// Writes the table down as it will be with new pools and without removed routes.
    pub(super) fn save(&self, new: &[Arc<Pool>], removed: &[RouteKey]) -> Result<(), EdgeError> {
        let path = self.0.shared.settings.state_file();
        let saved = self.state(new, removed).save(&path);
        saved.map_err(EdgeError::State)
    }

    pub(super) fn state(&self, new: &[Arc<Pool>], removed: &[RouteKey]) -> State {
        let routes = kept(&self.0.shared.table.read(), new, removed);
        State::new(self.0.generation.load(Ordering::Relaxed), routes)
    }
}

/// Makes the table what the state says. Returns the pools that are not needed any more.
pub(super) fn apply(table: &mut Inner, state: &State) -> Vec<Arc<Pool>> {
    let mut unneeded = Vec::new();
    let wanted: HashSet<&RouteKey> = state.routes.iter().map(|kept| &kept.spec.route).collect();
    let gone: Vec<RouteKey> = table.routes().map(|route| route.key.clone()).collect();
    for key in gone.iter().filter(|key| !wanted.contains(key)) {
        let route = table.remove(key).into_iter();
        unneeded.extend(
            route
                .flat_map(|route| [Some(route.pool), route.standby])
                .flatten(),
        );
    }
    for kept in &state.routes {
        let current = table
            .route(&kept.spec.route)
            .map(|route| Arc::clone(&route.pool));
        let counters = current.as_ref().map(|pool| Arc::clone(&pool.counters));
        let pool = match current.filter(|pool| pool.generation == kept.generation) {
            Some(pool) => pool,
            None => {
                let spec = Arc::new(kept.spec.clone());
                let pool = Pool::restore(spec, kept.generation, counters.unwrap_or_default());
                health::watch(&pool);
                unneeded.extend(swap_in(table, std::slice::from_ref(&pool)));
                pool
            }
        };
        for target in &pool.targets {
            target.set_drained(kept.drained.contains(&target.address));
        }
        if let Some(route) = table.route_mut(&kept.spec.route) {
            unneeded.extend(route.standby.take());
            route.mode.send_replace(kept.mode());
        }
    }
    unneeded
}

fn kept(table: &Inner, new: &[Arc<Pool>], removed: &[RouteKey]) -> Vec<KeptRoute> {
    let replaced: HashSet<&RouteKey> = new
        .iter()
        .map(|pool| &pool.spec.route)
        .chain(removed)
        .collect();
    let stay = table
        .routes()
        .filter(|route| !replaced.contains(&route.key));
    let stay = stay.map(|route| keep(&route.pool, Some(&route.mode.borrow())));
    let come = new.iter().map(|pool| {
        let mode = table
            .route(&pool.spec.route)
            .map(|route| route.mode.borrow().clone());
        keep(pool, mode.as_ref())
    });
    let mut routes: Vec<KeptRoute> = stay.chain(come).collect();
    routes.sort_by(|a, b| a.spec.route.cmp(&b.spec.route));
    routes
}

fn keep(pool: &Pool, mode: Option<&Mode>) -> KeptRoute {
    let drained = pool.targets.iter().filter(|target| target.is_drained());
    KeptRoute {
        generation: pool.generation,
        spec: (*pool.spec).clone(),
        drained: drained
            .map(|target| target.address)
            .collect::<BTreeSet<_>>(),
        maintenance: match mode {
            Some(Mode::Maintenance(page)) => Some(page.to_string()),
            _ => None,
        },
        paused_until: match mode {
            Some(Mode::Paused(until)) => Timestamp::now()
                .checked_add(until.saturating_duration_since(std::time::Instant::now()))
                .ok(),
            _ => None,
        },
    }
}
