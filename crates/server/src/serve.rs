//! Starting and stopping.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt as _;
use fs_err as fs;
use git::Repositories;
use model::Secret;
use registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::artifacts::Artifacts;
use crate::config::Addresses;
use crate::dispatch::Runners;
use crate::downstream::{self, Work};
use crate::engine::Engine;
use crate::http::{chain, router};
use crate::live::{Live, Queue};
use crate::store::{NewToken, Store, StoreError, Vault};
use crate::traces::Traces;
use crate::{App, Config, watch};

/// The first user's name.
const FIRST_USER: &str = "root";

/// Who has pushed what is made good after a crash: not known any more. No user can have this name, so
/// that nobody's rights are lent to it.
const NOBODY: &str = "(unknown)";

/// The file with the first user's token, below the data folder.
const FIRST_TOKEN_FILE: &str = "first-token";

/// Why the server cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No address to listen on.
    #[error("no address to listen on is given")]
    NoAddress,
    /// An address is in use, or not one of this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error("cannot use the data folder {folder}")]
    Data {
        /// The folder.
        folder: PathBuf,
        /// What went wrong; it names the file.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another server works with the same data folder.
    #[error("another `lotse serve` uses the data folder {folder}")]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// Serving ended by itself.
    #[error("serving ended")]
    Serve(#[source] io::Error),
}

/// A server that listens but does not answer yet.
pub struct Server {
    app: Arc<App>,
    listeners: Vec<TcpListener>,
    first_token: Option<PathBuf>,
    downstream: UnboundedReceiver<Work>,
    /// Keeps other servers off the data folder while this one lives.
    _lock: fs::File,
}

impl Server {
    /// Opens the data folder, makes the first user if there is none, listens.
    ///
    /// # Errors
    /// When an address or the data folder cannot be used.
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        let folder = config.data.clone();
        let data = |source: Box<dyn std::error::Error + Send + Sync>| ServeError::Data {
            folder: folder.clone(),
            source,
        };
        fs::create_dir_all(&folder).map_err(|error| data(error.into()))?;
        let lock = lock(&config.data).await?;
        let listeners = listen(&config.listen).await?;
        let first = listeners.first().ok_or(ServeError::NoAddress)?;
        let addresses = config.addresses(first.local_addr().map_err(ServeError::Serve)?);
        let (work, downstream) = mpsc::unbounded_channel();
        let engine = |store: &Store, queue: &Arc<Queue>, live: &Arc<Live>| {
            Engine::new(store.clone(), Arc::clone(queue), Arc::clone(live), work)
        };
        let (app, first_token) = open(&config, addresses, engine).await.map_err(data)?;
        Ok(Self {
            app,
            listeners,
            first_token,
            downstream,
            _lock: lock,
        })
    }

    /// The address under which the server is reached.
    pub fn url(&self) -> &str {
        &self.app.addresses.url
    }

    /// The host in the names of images.
    pub fn registry(&self) -> &str {
        &self.app.addresses.registry
    }

    /// The addresses listened on.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// At the very first start: the file that holds the token of the first user, `root`.
    pub fn first_token(&self) -> Option<&std::path::Path> {
        self.first_token.as_deref()
    }

    /// Answers until `stop` is cancelled. Open requests get ten seconds to end.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServeError> {
        let watch = tokio::spawn(watch::run(Arc::clone(&self.app)));
        let catch_up = tokio::spawn(catch_up(Arc::clone(&self.app)));
        let downstream = tokio::spawn(downstream::run(Arc::clone(&self.app), self.downstream));
        let routes = router(Arc::clone(&self.app));
        let mut serving = JoinSet::new();
        for listener in self.listeners {
            let stop = stop.clone();
            let listener = listener.tap_io(send_at_once);
            let serve = axum::serve(listener, routes.clone())
                .with_graceful_shutdown(async move { stop.cancelled().await });
            serving.spawn(async move { serve.await });
        }
        let all = async {
            while let Some(ended) = serving.join_next().await {
                ended
                    .unwrap_or_else(|error| Err(io::Error::other(error)))
                    .map_err(ServeError::Serve)?;
            }
            Ok(())
        };
        let hurry = async {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(10)).await;
        };
        let result = tokio::select! {
            result = all => result,
            () = hurry => Ok(()),
        };
        watch.abort();
        catch_up.abort();
        downstream.abort();
        result
    }
}

/// How long the data folder may still be held by what a server that was killed had just forked: until it
/// has become another program.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Holds the data folder for this process; the system lets go of it however the process ends.
async fn lock(folder: &std::path::Path) -> Result<fs::File, ServeError> {
    let data = |source: io::Error| ServeError::Data {
        folder: folder.to_owned(),
        source: source.into(),
    };
    let file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("lock"))
        .map_err(data)?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.file().try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(ServeError::InUse {
                    folder: folder.to_owned(),
                });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(data(error)),
        }
    }
}

/// Otherwise the second half of an answer waits 40 ms for the client to acknowledge the first.
fn send_at_once(connection: &mut TcpStream) {
    if let Err(error) = connection.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
}

async fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ServeError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for &address in addresses {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServeError::Listen { address, source })?;
        listeners.push(listener);
    }
    Ok(listeners)
}

async fn open(
    config: &Config,
    addresses: Addresses,
    engine: impl FnOnce(&Store, &Arc<Queue>, &Arc<Live>) -> Engine,
) -> Result<(Arc<App>, Option<PathBuf>), Box<dyn std::error::Error + Send + Sync>> {
    let folder = &config.data;
    let vault = Vault::open(&folder.join("secret.key"))?;
    let store = Store::open(&folder.join("lotse.sqlite"), vault).await?;
    let repositories = Repositories::open(folder.join("repositories")).await?;
    let artifacts = Artifacts::new(folder.join("artifacts"));
    artifacts.sweep(&store).await?;
    let first_token = first_user(&store, folder).await?;
    let queue = Arc::new(Queue::new());
    let live = Arc::new(Live::new());
    let app = Arc::new(App {
        addresses,
        engine: engine(&store, &queue, &live),
        store,
        repositories,
        traces: Traces::new(folder.join("logs")),
        artifacts,
        images: Registry::open(folder.join("registry"))?,
        queue,
        live,
        runners: Runners::default(),
        elsewhere: config.elsewhere.clone(),
        turns: std::sync::Mutex::default(),
    });
    Ok((app, first_token))
}

/// Makes the first user with a token, written to a file that only the owner reads: a log or a
/// terminal's history must not keep it.
async fn first_user(
    store: &Store,
    folder: &std::path::Path,
) -> Result<Option<PathBuf>, Box<dyn std::error::Error + Send + Sync>> {
    let path = folder.join(FIRST_TOKEN_FILE);
    if store.has_tokens().await? {
        return Ok(None);
    }
    let token = Secret::random(crate::http::TOKEN_PREFIX);
    write_private(&path, token.expose())?;
    let user = match store.user_by_name(FIRST_USER).await? {
        Some(user) => user.id,
        None => store.create_user(FIRST_USER, true).await?,
    };
    store
        .create_token(NewToken {
            user,
            kind: "personal",
            name: "made at the first start",
            scopes: "api",
            expires_at: None,
            text: &token,
        })
        .await?;
    Ok(Some(path))
}

fn write_private(path: &std::path::Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;

    use fs_err::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

/// Makes good what an earlier end cut off: pushes without their pipelines, resource groups without
/// their next job; logs of projects that are gone.
async fn catch_up(app: Arc<App>) {
    if let Err(error) = try_catch_up(&app).await {
        tracing::error!(error = %chain(&error), "catching up after the start failed");
    }
}

async fn try_catch_up(app: &Arc<App>) -> Result<(), StoreError> {
    for project in app.store.projects().await? {
        for line in crate::push::take_in(app, &project, NOBODY, &[]).await {
            if !line.is_empty() {
                tracing::info!(project = %project.path, "{line}");
            }
        }
    }
    if let Err(error) = crate::supersede::catch_up(app).await {
        tracing::error!(error = %chain(&error), "older pipelines of a ref are not cancelled");
    }
    if let Err(error) = app.traces.sweep(&app.store).await {
        tracing::error!(error = %chain(&error), "old logs are not removed");
    }
    for job in app
        .store
        .jobs_with_status(pipeline::Status::WaitingForResource)
        .await?
    {
        if let Some(group) = job.resource_group
            && let Err(error) = app.engine.grant(job.project, &group).await
        {
            tracing::error!(error = %chain(&error), group, "a resource group stands still");
        }
    }
    Ok(())
}
