//! `set`: routes get new targets, all in one step or not at all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::table::{Inner, Mode, Route};
use super::{Edge, route};
use crate::error::EdgeError;
use crate::route::{Listen, RouteKey};
use crate::span::Span;
use crate::spec::{Owner, Protocol, RouteSpec};
use crate::target::health;
use crate::target::pool::Pool;

/// New targets for routes; all of them are swapped in one step, or none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The routes.
    pub routes: Vec<RouteSpec>,
    /// Whose they are. With an owner, the routes are all that it has from now on: others of it go
    /// in the same step, those that are as they shall be stay untouched (targets of theirs that are
    /// not well are asked once more), and one that is somebody else's fails the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// How long the new targets may take to become healthy.
    #[serde(default = "half_a_minute")]
    pub deadline: Span,
    /// How long the old targets' requests and connections may take to end.
    #[serde(default = "half_a_minute")]
    pub grace: Span,
    /// How long the old targets stand by, unless they are to be [emptied](Edge::emptied) before:
    /// when the new ones fail within, the old ones serve again and the set has failed.
    #[serde(default = "two_seconds")]
    pub watch: Span,
}

fn half_a_minute() -> Span {
    Span::seconds(30)
}

fn two_seconds() -> Span {
    Span::seconds(2)
}

/// What a change came to, while it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The new targets are being asked for their health.
    Checking {
        /// How many.
        targets: usize,
    },
    /// Certificates are being ordered.
    Certifying {
        /// For these names.
        names: Vec<String>,
    },
    /// From now on requests go to the new targets.
    Swapped {
        /// The number of the swap.
        generation: u64,
        /// How long requests could not be routed, in microseconds.
        micros: u64,
    },
    /// Nothing is left at the old targets.
    Drained {
        /// Requests and connections that were cut at the deadline.
        cut: usize,
    },
}

impl Edge {
    /// Swaps the targets of routes, adding those that are new. Returns when the old targets are
    /// drained; `tell` hears of each step.
    ///
    /// # Errors
    /// The reason, when the old targets serve as before.
    pub async fn set(&self, set: Set, tell: impl Fn(Event)) -> Result<(), EdgeError> {
        check_set(&set)?;
        let set = self.owned(set)?;
        let seen = self.generations(&set);
        let deadline = Instant::now() + set.deadline.get();
        let pools = self.healthy_pools(&set, deadline, &tell).await?;
        self.certify(&set, deadline, &tell).await?;
        let (generation, old) = self.swap(&set, seen, &pools, &tell).await?;
        self.0.shared.acme.look();
        let followed = self.tell_follower(set.grace);
        let dead = match pools.is_empty() {
            true => Vec::new(),
            false => self.stand_by(&pools, generation, set.watch.get()).await?,
        };
        let old = self.retire_standby(generation, old);
        let cut = self.drain_all(old, set.grace.get()).await + followed.await;
        tell(Event::Drained { cut });
        match dead.is_empty() {
            true => Ok(()),
            false => Err(EdgeError::NobodyLeft { routes: dead }),
        }
    }

    /// The set with its owner at each route. A route that was given an owner and is set by hand
    /// stays the owner's.
    fn owned(&self, mut set: Set) -> Result<Set, EdgeError> {
        let table = self.0.shared.table.read();
        for spec in &mut set.routes {
            let known = table.route(&spec.route).map(|route| &route.pool.spec.owner);
            match (&set.owner, known) {
                (Some(owner), Some(known)) if known.as_ref() != Some(owner) => {
                    return Err(EdgeError::Owned {
                        route: spec.route.clone(),
                        owner: known.clone(),
                    });
                }
                (Some(owner), _) => spec.owner = Some(owner.clone()),
                (None, known) => spec.owner = known.cloned().flatten(),
            }
        }
        Ok(set)
    }

    fn generations(&self, set: &Set) -> HashMap<RouteKey, u64> {
        let table = self.0.shared.table.read();
        let named = set
            .routes
            .iter()
            .filter_map(|spec| table.route(&spec.route));
        let owned = table.routes().filter(|route| set.owns(route));
        named
            .chain(owned)
            .map(|route| (route.key.clone(), route.pool.generation))
            .collect()
    }

    /// The routes of a set that are not yet as they shall be, and the pools of those that are. Whoever sets
    /// all that it has does not want to disturb what stays.
    fn changes<'a>(&self, set: &'a Set) -> (Vec<&'a RouteSpec>, Vec<Arc<Pool>>) {
        let table = self.0.shared.table.read();
        let (mut changes, mut stay) = (Vec::new(), Vec::new());
        for spec in &set.routes {
            match table.route(&spec.route) {
                Some(route) if set.owner.is_some() && *route.pool.spec == *spec => {
                    stay.push(Arc::clone(&route.pool));
                }
                _ => changes.push(spec),
            }
        }
        (changes, stay)
    }

    /// The routes of the set's owner that are not in the set.
    fn unwanted(&self, set: &Set) -> Vec<RouteKey> {
        let table = self.0.shared.table.read();
        let named = |key: &RouteKey| set.routes.iter().any(|spec| spec.route == *key);
        let owned = table.routes().filter(|route| set.owns(route));
        owned
            .map(|route| route.key.clone())
            .filter(|key| !named(key))
            .collect()
    }

    async fn healthy_pools(
        &self,
        set: &Set,
        deadline: Instant,
        tell: &impl Fn(Event),
    ) -> Result<Vec<Arc<Pool>>, EdgeError> {
        let generation = self.0.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let (changes, stay) = self.changes(set);
        let pools = changes
            .into_iter()
            .map(|spec| self.new_pool(spec, generation));
        let pools = pools.collect::<Result<Vec<_>, _>>()?;
        tell(Event::Checking {
            targets: pools.iter().map(|pool| pool.targets.len()).sum(),
        });
        let checks = pools.iter().map(|pool| async move {
            let found = health::all_well(pool, deadline).await;
            found.err().map(|ill| (pool.spec.route.clone(), ill))
        });
        let again = stay.iter().map(|pool| health::look_again(pool, deadline));
        let (found, _) = futures_util::future::join(join_all(checks), join_all(again)).await;
        let ill: Vec<_> = found.into_iter().flatten().collect();
        if ill.is_empty() {
            Ok(pools)
        } else {
            Err(EdgeError::Unhealthy {
                deadline: set.deadline,
                ill,
            })
        }
    }

    fn new_pool(&self, spec: &RouteSpec, generation: u64) -> Result<Arc<Pool>, EdgeError> {
        let counters = {
            let table = self.0.shared.table.read();
            let route = table.route(&spec.route);
            route.map(|route| Arc::clone(&route.pool.counters))
        };
        let pool = Pool::new(
            Arc::new(spec.clone()),
            generation,
            counters.unwrap_or_default(),
        );
        pool.map_err(|source| EdgeError::Certificate {
            route: spec.route.clone(),
            source,
        })
    }

    /// Returns the number of the swap, and the pools that stand by from now on.
    async fn swap(
        &self,
        set: &Set,
        seen: HashMap<RouteKey, u64>,
        pools: &[Arc<Pool>],
        tell: &impl Fn(Event),
    ) -> Result<(u64, Vec<Arc<Pool>>), EdgeError> {
        let _changing = self.change().await?;
        if self.generations(set) != seen {
            return Err(EdgeError::Overtaken);
        }
        let unwanted = self.unwanted(set);
        self.check_against_table(set, &unwanted)?;
        let opened = self.open_all(set).await?;
        if let Err(error) = self.save(pools, &unwanted) {
            self.0.listeners.close_unused().await;
            tracing::debug!(?opened, "closed again");
            return Err(error);
        }
        let generation = pools.first().map_or(0, |pool| pool.generation);
        let started = std::time::Instant::now();
        let (before, old) = {
            let mut table = self.0.shared.table.write();
            let gone = unwanted.iter().filter_map(|key| table.remove(key));
            let gone = gone.flat_map(|route| [Some(route.pool), route.standby]);
            let gone: Vec<Arc<Pool>> = gone.flatten().collect();
            let mut before = swap_in(&mut table, pools);
            before.extend(gone);
            let old = standbys(&table, pools);
            // As long as the table is held, so that nobody finds them in neither place.
            self.0.shared.draining.add(&before);
            self.0.shared.draining.add(&old);
            (before, old)
        };
        let micros = started.elapsed().as_micros() as u64;
        self.0.listeners.close_unused().await;
        for pool in pools {
            health::watch(pool);
        }
        // A set within the trial of another ends that trial: its standby is drained as well.
        self.drain_behind(before, set.grace.get());
        tell(Event::Swapped { generation, micros });
        Ok((generation, old))
    }

    fn check_against_table(&self, set: &Set, unwanted: &[RouteKey]) -> Result<(), EdgeError> {
        let table = self.0.shared.table.read();
        let named = set.routes.iter().map(|spec| &spec.route);
        let own: HashSet<&RouteKey> = named.chain(unwanted).collect();
        let others = table.routes().filter(|route| !own.contains(&route.key));
        let others: Vec<&RouteSpec> = others.map(|route| &*route.pool.spec).collect();
        for spec in &set.routes {
            others.iter().try_for_each(|other| get_along(spec, other))?;
        }
        Ok(())
    }

    async fn open_all(&self, set: &Set) -> Result<Vec<Listen>, EdgeError> {
        let mut opened = Vec::new();
        for spec in &set.routes {
            match self.open(spec.route.listen) {
                Ok(true) => opened.push(spec.route.listen),
                Ok(false) => {}
                Err(error) => {
                    self.0.listeners.close_unused().await;
                    return Err(error);
                }
            }
        }
        Ok(opened)
    }

    /// Waits for the end of the trial. Returns the routes whose new targets fail and cannot give way,
    /// as those before them are ill as well.
    async fn stand_by(
        &self,
        pools: &[Arc<Pool>],
        generation: u64,
        watch: Duration,
    ) -> Result<Vec<RouteKey>, EdgeError> {
        let ended = pools.iter().map(|pool| Box::pin(pool.retired.cancelled()));
        let settled = pools.iter().map(|pool| Box::pin(pool.settled.cancelled()));
        let ended = tokio::select! {
            biased;
            _ = select_all(ended) => true,
            _ = select_all(settled) => false,
            () = tokio::time::sleep(watch) => false,
        };
        let Ok(_changing) = self.change().await else {
            // Handed over: the new edge has the routes and judges their targets.
            return Ok(Vec::new());
        };
        if ended && self.is_superseded(pools, generation) {
            return Ok(Vec::new());
        }
        if !ended {
            let mut dead = pools.iter().filter(|pool| !pool.is_available());
            let Some(first) = dead.next() else {
                return Ok(Vec::new());
            };
            let table = &self.0.shared.table;
            if table.fall_back(first).is_none() {
                let dead = std::iter::once(first).chain(dead);
                let left = dead.filter(|pool| table.is_on_trial(pool));
                return Ok(left.map(|pool| pool.spec.route.clone()).collect());
            }
        }
        self.save(&[], &[])?;
        drop(self.tell_follower(Span::seconds(10)));
        let dead = pools
            .iter()
            .filter(|pool| !pool.is_available() || pool.retired.is_cancelled());
        let routes = dead.map(|pool| pool.spec.route.clone()).collect();
        self.drain_behind(pools.to_vec(), Duration::from_secs(10));
        Err(EdgeError::FellBack { routes })
    }

    /// Whether another set, or a removal, has come after this one.
    fn is_superseded(&self, pools: &[Arc<Pool>], generation: u64) -> bool {
        let table = self.0.shared.table.read();
        pools
            .iter()
            .all(|pool| match table.route(&pool.spec.route) {
                None => true,
                Some(route) => route.pool.generation > generation,
            })
    }

    /// Ends the trial. Returns those of the old pools that do not serve again.
    fn retire_standby(&self, generation: u64, mut old: Vec<Arc<Pool>>) -> Vec<Arc<Pool>> {
        let mut table = self.0.shared.table.write();
        let trial = table
            .routes_mut()
            .filter(|route| route.pool.generation == generation);
        trial.for_each(|route| route.standby = None);
        old.retain(|pool| {
            let route = table.route(&pool.spec.route);
            route.is_none_or(|route| !Arc::ptr_eq(&route.pool, pool))
        });
        old
    }

    fn drain_behind(&self, pools: Vec<Arc<Pool>>, grace: Duration) {
        let edge = self.clone();
        self.0.shared.tasks.spawn(async move {
            edge.drain_all(pools, grace).await;
        });
    }
}

impl Set {
    fn owns(&self, route: &Route) -> bool {
        self.owner.is_some() && route.pool.spec.owner == self.owner
    }
}

fn check_set(set: &Set) -> Result<(), EdgeError> {
    if set.routes.is_empty() && set.owner.is_none() {
        return Err(EdgeError::NoRoutes);
    }
    for (place, spec) in set.routes.iter().enumerate() {
        spec.check().map_err(EdgeError::Spec)?;
        let before = &set.routes[..place];
        if before.iter().any(|other| other.route == spec.route) {
            return Err(EdgeError::Twice(spec.route.clone()));
        }
        before.iter().try_for_each(|other| get_along(spec, other))?;
    }
    Ok(())
}

/// Whether two routes can share a port, if they do.
fn get_along(one: &RouteSpec, other: &RouteSpec) -> Result<(), EdgeError> {
    let listen = one.route.listen;
    if listen != other.route.listen {
        return Ok(());
    }
    if one.protocol == Protocol::Tcp || other.protocol == Protocol::Tcp {
        return Err(EdgeError::Protocols(listen));
    }
    if one.tls.is_some() != other.tls.is_some() {
        return Err(EdgeError::TlsAndPlain(listen));
    }
    Ok(())
}

/// The step itself. Returns pools that stood by for the replaced ones: nobody needs them now.
pub(super) fn swap_in(table: &mut Inner, pools: &[Arc<Pool>]) -> Vec<Arc<Pool>> {
    let mut unneeded = Vec::new();
    for pool in pools {
        match table.route_mut(&pool.spec.route) {
            Some(route) => {
                route.fell_back = None;
                let old = std::mem::replace(&mut route.pool, Arc::clone(pool));
                unneeded.extend(route.standby.replace(old));
            }
            None => table.add(route(Arc::clone(pool), Mode::Serving)),
        }
    }
    unneeded
}

fn standbys(table: &Inner, pools: &[Arc<Pool>]) -> Vec<Arc<Pool>> {
    let routes = pools
        .iter()
        .filter_map(|pool| table.route(&pool.spec.route));
    routes.filter_map(|route| route.standby.clone()).collect()
}
