//! The edge as a whole: what can be asked of it while it runs.
//!
//! Every change follows one order: check, listen, write down, swap. Whatever fails leaves
//! everything as it was; the swap itself cannot fail.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::Instant;

use crate::error::EdgeError;
use crate::health;
use crate::listener::Listeners;
use crate::log;
use crate::pool::Pool;
use crate::route::{Listen, RouteKey};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::span::Span;
use crate::spec::{Protocol, RouteSpec};
use crate::state::{KeptRoute, State};
use crate::table::{Inner, Mode, Route};
use crate::takeover::Follower;
use crate::tls;

/// Lets this process open as many files as the system allows it: a connection needs two.
///
/// # Errors
/// When the system refuses; the limit is then what it was.
pub fn raise_file_limit() -> std::io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// How long the targets of the state file may take to show their health at the start.
const FIRST_CHECK: Duration = Duration::from_millis(300);

/// A running edge. Clones are the same edge.
#[derive(Clone)]
pub struct Edge(Arc<Running>);

pub(crate) struct Running {
    pub(crate) shared: Arc<Shared>,
    pub(crate) listeners: Listeners,
    generation: AtomicU64,
    /// Held by whoever changes routes.
    changing: Mutex<()>,
    /// An edge before this one that still has connections.
    follower: std::sync::Mutex<Option<Follower>>,
}

/// New targets for routes; all of them are swapped in one step, or none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The routes.
    pub routes: Vec<RouteSpec>,
    /// How long the new targets may take to become healthy.
    #[serde(default = "half_a_minute")]
    pub deadline: Span,
    /// How long the old targets' requests and connections may take to end.
    #[serde(default = "half_a_minute")]
    pub grace: Span,
    /// How long the old targets stand by: when the new ones fail within, the old ones serve again
    /// and the set has failed.
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
    /// Starts an edge with the routes of its state file.
    ///
    /// # Errors
    /// When the file makes no sense, or an address cannot be listened on.
    pub async fn start(settings: Settings) -> Result<Self, EdgeError> {
        let edge = Self::prepare(settings).await?;
        let listens: Vec<Listen> = edge.0.shared.table.read().listens().collect();
        for listen in listens {
            edge.open(listen)?;
        }
        edge.open_metrics().await?;
        Ok(edge)
    }

    /// An edge with its routes, checked, that does not listen yet.
    pub(crate) async fn prepare(settings: Settings) -> Result<Self, EdgeError> {
        fs_err::create_dir_all(&settings.folder).map_err(EdgeError::Folder)?;
        let state = State::load(&settings.state_file())?;
        let log = settings
            .access_log
            .as_ref()
            .map(log::open)
            .transpose()
            .map_err(EdgeError::Log)?;
        let shared = Arc::new(Shared::new(settings, log).map_err(EdgeError::Random)?);
        let running = Running {
            listeners: Listeners::new(Arc::clone(&shared)),
            generation: AtomicU64::new(state.generation),
            changing: Mutex::new(()),
            follower: std::sync::Mutex::new(None),
            shared,
        };
        let edge = Self(Arc::new(running));
        edge.restore(state).await?;
        let shared = Arc::clone(&edge.0.shared);
        tokio::spawn(tls::watch(shared));
        Ok(edge)
    }

    async fn restore(&self, state: State) -> Result<(), EdgeError> {
        let mut pools = Vec::new();
        for kept in state.routes {
            kept.spec.check().map_err(EdgeError::Spec)?;
            let mode = kept.mode();
            let pool = Pool::restore(Arc::new(kept.spec), kept.generation, Arc::default());
            for target in &pool.targets {
                target.set_drained(kept.drained.contains(&target.address));
            }
            pools.push((pool, mode));
        }
        let deadline = Instant::now() + FIRST_CHECK;
        let checks = pools
            .iter()
            .map(|(pool, _)| health::first_look(pool, deadline));
        futures_util::future::join_all(checks).await;
        let mut table = self.0.shared.table.write();
        for (pool, mode) in pools {
            health::watch(&pool);
            table.add(route(pool, mode));
        }
        Ok(())
    }

    fn open(&self, listen: Listen) -> Result<bool, EdgeError> {
        let opened = self.0.listeners.open(listen);
        opened.map_err(|source| EdgeError::Listen { listen, source })
    }

    /// Swaps the targets of routes, adding those that are new. Returns when the old targets are
    /// drained; `tell` hears of each step.
    ///
    /// # Errors
    /// The reason, when the old targets serve as before.
    pub async fn set(&self, set: Set, tell: impl Fn(Event)) -> Result<(), EdgeError> {
        check_set(&set)?;
        let seen = self.generations(&set);
        let pools = self.healthy_pools(&set, &tell).await?;
        let generation = self.swap(&set, seen, &pools, &tell).await?;
        let followed = self.tell_follower(set.grace);
        self.stand_by(&pools, generation, set.watch.get()).await?;
        let old = self.retire_standby(generation);
        let cut = drain_all(old, set.grace.get()).await + followed.await;
        tell(Event::Drained { cut });
        Ok(())
    }

    /// The right to change routes, as long as it is held.
    pub(crate) async fn change(&self) -> Result<MutexGuard<'_, ()>, EdgeError> {
        let changing = self.0.changing.lock().await;
        match self.0.shared.leaving.is_cancelled() {
            true => Err(EdgeError::HandedOver),
            false => Ok(changing),
        }
    }

    pub(crate) fn add_follower(&self, follower: Follower) {
        *self.follower() = Some(follower);
    }

    fn follower(&self) -> std::sync::MutexGuard<'_, Option<Follower>> {
        let follower = self.0.follower.lock();
        follower.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Has the edge before this one, if there is one, do the same. The future says how many
    /// requests it cut.
    fn tell_follower(&self, grace: Span) -> impl Future<Output = usize> + use<> {
        let mut follower = self.follower();
        let state = self.state(&[], &[]);
        let told = follower
            .as_ref()
            .and_then(|follower| follower.tell(state, grace));
        if told.is_none() {
            *follower = None;
        }
        async move {
            match told {
                Some(drained) => drained.await.unwrap_or(0),
                None => 0,
            }
        }
    }

    /// Makes the routes what they are elsewhere. Returns how many requests were cut.
    pub(crate) async fn apply(&self, state: State, grace: Span) -> usize {
        let old = {
            let mut table = self.0.shared.table.write();
            apply(&mut table, &state)
        };
        let followed = self.tell_follower(grace);
        drain_all(old, grace.get()).await + followed.await
    }

    fn generations(&self, set: &Set) -> HashMap<RouteKey, u64> {
        let table = self.0.shared.table.read();
        let known = set
            .routes
            .iter()
            .filter_map(|spec| table.route(&spec.route));
        known
            .map(|route| (route.key.clone(), route.pool.generation))
            .collect()
    }

    async fn healthy_pools(
        &self,
        set: &Set,
        tell: &impl Fn(Event),
    ) -> Result<Vec<Arc<Pool>>, EdgeError> {
        let generation = self.0.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let pools = set
            .routes
            .iter()
            .map(|spec| self.new_pool(spec, generation));
        let pools = pools.collect::<Result<Vec<_>, _>>()?;
        tell(Event::Checking {
            targets: pools.iter().map(|pool| pool.targets.len()).sum(),
        });
        let deadline = Instant::now() + set.deadline.get();
        let checks = pools.iter().map(|pool| async move {
            let found = health::all_well(pool, deadline).await;
            found.err().map(|ill| (pool.spec.route.clone(), ill))
        });
        let ill: Vec<_> = futures_util::future::join_all(checks)
            .await
            .into_iter()
            .flatten()
            .collect();
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

    async fn swap(
        &self,
        set: &Set,
        seen: HashMap<RouteKey, u64>,
        pools: &[Arc<Pool>],
        tell: &impl Fn(Event),
    ) -> Result<u64, EdgeError> {
        let _changing = self.change().await?;
        if self.generations(set) != seen {
            return Err(EdgeError::Overtaken);
        }
        self.check_against_table(set)?;
        let opened = self.open_all(set)?;
        if let Err(error) = self.save(pools, &[]) {
            self.0.listeners.close_unused();
            tracing::debug!(?opened, "closed again");
            return Err(error);
        }
        let generation = pools.first().map_or(0, |pool| pool.generation);
        let started = std::time::Instant::now();
        let before = swap_in(&mut self.0.shared.table.write(), pools);
        let micros = started.elapsed().as_micros() as u64;
        for pool in pools {
            health::watch(pool);
        }
        // A set within the trial of another ends that trial: its standby is drained as well.
        self.drain_behind(before, set.grace.get());
        tell(Event::Swapped { generation, micros });
        Ok(generation)
    }

    fn check_against_table(&self, set: &Set) -> Result<(), EdgeError> {
        let table = self.0.shared.table.read();
        let own: HashSet<&RouteKey> = set.routes.iter().map(|spec| &spec.route).collect();
        let others = table.routes().filter(|route| !own.contains(&route.key));
        let others: Vec<&RouteSpec> = others.map(|route| &*route.pool.spec).collect();
        for spec in &set.routes {
            others.iter().try_for_each(|other| get_along(spec, other))?;
        }
        Ok(())
    }

    fn open_all(&self, set: &Set) -> Result<Vec<Listen>, EdgeError> {
        let mut opened = Vec::new();
        for spec in &set.routes {
            match self.open(spec.route.listen) {
                Ok(true) => opened.push(spec.route.listen),
                Ok(false) => {}
                Err(error) => {
                    self.0.listeners.close_unused();
                    return Err(error);
                }
            }
        }
        Ok(opened)
    }

    /// Waits for the end of the trial.
    async fn stand_by(
        &self,
        pools: &[Arc<Pool>],
        generation: u64,
        watch: Duration,
    ) -> Result<(), EdgeError> {
        let ended = pools.iter().map(|pool| Box::pin(pool.retired.cancelled()));
        let ended = futures_util::future::select_all(ended);
        let ended = tokio::time::timeout(watch, ended).await.is_ok();
        let Ok(_changing) = self.change().await else {
            // Handed over: the new edge has the routes and judges their targets.
            return Ok(());
        };
        if ended && self.is_superseded(pools, generation) {
            return Ok(());
        }
        if !ended {
            match pools.iter().find(|pool| !pool.is_available()) {
                None => return Ok(()),
                Some(dead) if self.0.shared.table.fall_back(dead).is_none() => return Ok(()),
                Some(_) => {}
            }
        }
        self.save(&[], &[])?;
        drop(self.tell_follower(Span::seconds(10)));
        let dead = pools
            .iter()
            .filter(|pool| !pool.is_available() || pool.retired.is_cancelled());
        let routes = dead.map(|pool| pool.spec.route.clone()).collect();
        let pools = pools.to_vec();
        self.0.shared.tasks.spawn(async move {
            drain_all(pools, Duration::from_secs(10)).await;
        });
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

    fn retire_standby(&self, generation: u64) -> Vec<Arc<Pool>> {
        let mut table = self.0.shared.table.write();
        let trial = table
            .routes_mut()
            .filter(|route| route.pool.generation == generation);
        trial.filter_map(|route| route.standby.take()).collect()
    }

    fn drain_behind(&self, pools: Vec<Arc<Pool>>, grace: Duration) {
        self.0.shared.tasks.spawn(async move {
            drain_all(pools, grace).await;
        });
    }

    /// Takes routes away. Returns how many requests and connections were cut at the end of the
    /// grace period.
    ///
    /// # Errors
    /// When there is no such route, or the state cannot be written.
    pub async fn remove(&self, key: &RouteKey, grace: Span) -> Result<usize, EdgeError> {
        let (gone, followed) = {
            let _changing = self.change().await?;
            if self.0.shared.table.read().route(key).is_none() {
                return Err(EdgeError::NoRoute(key.clone()));
            }
            self.save(&[], std::slice::from_ref(key))?;
            let gone = self.0.shared.table.write().remove(key);
            self.0.listeners.close_unused();
            (gone, self.tell_follower(grace))
        };
        let pools = gone
            .into_iter()
            .flat_map(|route| [Some(route.pool), route.standby]);
        let cut = drain_all(pools.flatten().collect(), grace.get()).await;
        Ok(cut + followed.await)
    }

    /// Takes one address out of every route, or puts it back in. Returns how many of its requests
    /// are left at the end of the grace period; they are not cut.
    ///
    /// # Errors
    /// When no route has the address, or the state cannot be written.
    pub async fn drain(
        &self,
        target: SocketAddr,
        drained: bool,
        grace: Span,
    ) -> Result<usize, EdgeError> {
        let targets: Vec<_> = {
            let _changing = self.change().await?;
            let targets: Vec<_> = {
                let table = self.0.shared.table.read();
                table
                    .routes()
                    .filter_map(|route| route.pool.target(target).cloned())
                    .collect()
            };
            if targets.is_empty() {
                return Err(EdgeError::NoTarget(target));
            }
            targets
                .iter()
                .for_each(|target| target.set_drained(drained));
            self.save(&[], &[])?;
            drop(self.tell_follower(grace));
            targets
        };
        if !drained {
            return Ok(0);
        }
        let emptied = targets.iter().map(|target| target.emptied(grace.get()));
        futures_util::future::join_all(emptied).await;
        Ok(targets.iter().map(|target| target.in_flight()).sum())
    }

    /// Holds requests of a route, or of all, until [`Edge::resume`], at most so long; then they
    /// are answered 503.
    ///
    /// # Errors
    /// When there is no such route.
    pub async fn pause(&self, key: Option<&RouteKey>, limit: Span) -> Result<usize, EdgeError> {
        let until = std::time::Instant::now() + limit.get();
        self.change_mode(key, || Mode::Paused(until)).await
    }

    /// Answers requests of a route, or of all, with a page.
    ///
    /// # Errors
    /// When there is no such route, or the state cannot be written.
    pub async fn maintenance(
        &self,
        key: Option<&RouteKey>,
        page: &str,
    ) -> Result<usize, EdgeError> {
        let page: Arc<str> = page.into();
        self.change_mode(key, || Mode::Maintenance(Arc::clone(&page)))
            .await
    }

    /// Ends a pause or a maintenance.
    ///
    /// # Errors
    /// When there is no such route, or the state cannot be written.
    pub async fn resume(&self, key: Option<&RouteKey>) -> Result<usize, EdgeError> {
        self.change_mode(key, || Mode::Serving).await
    }

    async fn change_mode(
        &self,
        key: Option<&RouteKey>,
        mode: impl Fn() -> Mode,
    ) -> Result<usize, EdgeError> {
        let _changing = self.change().await?;
        let changed = {
            let table = self.0.shared.table.read();
            let chosen = table
                .routes()
                .filter(|route| key.is_none_or(|key| route.key == *key));
            let changed = chosen.map(|route| drop(route.mode.send_replace(mode())));
            changed.fold(0, |count, ()| count + 1)
        };
        match (changed, key) {
            (0, Some(key)) => Err(EdgeError::NoRoute(key.clone())),
            (changed, _) => {
                self.save(&[], &[])?;
                drop(self.tell_follower(Span::seconds(0)));
                Ok(changed)
            }
        }
    }

    /// Writes the table down as it will be with new pools and without removed routes.
    fn save(&self, new: &[Arc<Pool>], removed: &[RouteKey]) -> Result<(), EdgeError> {
        let path = self.0.shared.settings.state_file();
        let saved = self.state(new, removed).save(&path);
        saved.map_err(EdgeError::State)
    }

    fn state(&self, new: &[Arc<Pool>], removed: &[RouteKey]) -> State {
        let routes = kept(&self.0.shared.table.read(), new, removed);
        State::new(self.0.generation.load(Ordering::Relaxed), routes)
    }

    /// Takes no more connections, lets those there are come to their end, and cuts what is left
    /// when the time is up.
    pub async fn stop(&self, grace: Duration) {
        self.0.listeners.close_all();
        self.0.shared.leaving.cancel();
        self.0.shared.tasks.close();
        let _ = tokio::time::timeout(grace, self.0.shared.tasks.wait()).await;
        self.0.shared.over.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.0.shared.tasks.wait()).await;
    }

    pub(crate) fn running(&self) -> &Running {
        &self.0
    }
}

fn check_set(set: &Set) -> Result<(), EdgeError> {
    if set.routes.is_empty() {
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

fn route(pool: Arc<Pool>, mode: Mode) -> Route {
    Route {
        key: pool.spec.route.clone(),
        pool,
        standby: None,
        mode: Arc::new(watch::Sender::new(mode)),
    }
}

/// The step itself. Returns pools that stood by for the replaced ones: nobody needs them now.
fn swap_in(table: &mut Inner, pools: &[Arc<Pool>]) -> Vec<Arc<Pool>> {
    let mut unneeded = Vec::new();
    for pool in pools {
        match table.route_mut(&pool.spec.route) {
            Some(route) => {
                let old = std::mem::replace(&mut route.pool, Arc::clone(pool));
                unneeded.extend(route.standby.replace(old));
            }
            None => table.add(route(Arc::clone(pool), Mode::Serving)),
        }
    }
    unneeded
}

/// Makes the table what the state says. Returns the pools that are not needed any more.
fn apply(table: &mut Inner, state: &State) -> Vec<Arc<Pool>> {
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

/// Lets pools that get no more requests come to their end. Says how many requests were cut.
async fn drain_all(pools: Vec<Arc<Pool>>, grace: Duration) -> usize {
    let drains = pools.iter().map(|pool| async {
        pool.retired.cancel();
        pool.targets.iter().for_each(|target| target.idle.clear());
        pool.drain(grace).await
    });
    futures_util::future::join_all(drains)
        .await
        .into_iter()
        .sum()
}
