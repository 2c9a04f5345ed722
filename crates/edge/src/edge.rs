//! The edge as a whole: what can be asked of it while it runs.
//!
//! Every change follows one order: check, listen, write down, swap. Whatever fails leaves
//! everything as it was; the swap itself cannot fail.

pub(crate) mod draining;
mod follow;
mod keep;
mod operate;
pub(crate) mod set;
pub(crate) mod shared;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod table;
mod takeover;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::Instant;

use crate::acme;
use crate::client::listener::Listeners;
use crate::client::tls;
use crate::client::workers::Workers;
use crate::edge::shared::Shared;
use crate::edge::state::State;
use crate::edge::table::{Mode, Route};
use crate::edge::takeover::Follower;
use crate::error::EdgeError;
use crate::log;
use crate::route::Listen;
use crate::settings::Settings;
use crate::target::health;
use crate::target::pool::Pool;
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
        edge.keep_certificates();
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
        let workers = Workers::start().map_err(EdgeError::Workers)?;
        let running = Running {
            listeners: Listeners::new(Arc::clone(&shared), workers),
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

    /// From now on this edge, and no other with the same folder, renews certificates.
    pub(crate) fn keep_certificates(&self) {
        tokio::spawn(acme::keep(Arc::clone(&self.0.shared)));
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
        drop(table);
        let wanted = self.0.shared.table.wanted_certificates().into_iter();
        self.0.shared.acme.load(wanted.map(|wanted| wanted.name));
        Ok(())
    }

    fn open(&self, listen: Listen) -> Result<bool, EdgeError> {
        let opened = self.0.listeners.open(listen);
        opened.map_err(|source| EdgeError::Listen { listen, source })
    }

    /// The right to change routes, as long as it is held.
    pub(crate) async fn change(&self) -> Result<MutexGuard<'_, ()>, EdgeError> {
        let changing = self.0.changing.lock().await;
        match self.0.shared.leaving.is_cancelled() {
            true => Err(EdgeError::HandedOver),
            false => Ok(changing),
        }
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

    /// Lets pools that get no more requests come to their end. Says how many requests were cut.
    async fn drain_all(&self, pools: Vec<Arc<Pool>>, grace: Duration) -> usize {
        self.0.shared.draining.add(&pools);
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
}

fn route(pool: Arc<Pool>, mode: Mode) -> Route {
    Route {
        key: pool.spec.route.clone(),
        pool,
        standby: None,
        fell_back: None,
        mode: Arc::new(watch::Sender::new(mode)),
    }
}
