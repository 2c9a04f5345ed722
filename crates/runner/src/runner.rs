//! The runner at large: asks its server for jobs as long as it has a slot free, and never gives up.

use std::fs::TryLockError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{Client, ClientError};
use crate::config::{Config, RunnerConfig};
use crate::desk::Desk;
use crate::environment;
use crate::job::{self, Assignment, Workshop};
use crate::leftovers::{self, Leftovers};
use crate::tree::Trees;

/// What an aborted job may still take to tell its server.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The two ways to stop a runner.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// No new jobs; those at work are finished.
    pub drain: CancellationToken,
    /// Jobs at work are stopped.
    pub abort: CancellationToken,
}

/// Why a runner cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// Nothing is configured.
    #[error("no runner is registered: `lotse runner register` does that")]
    NoRunner,
    /// The server's address, or TLS, is not usable.
    #[error("the runner `{name}` cannot speak to its server")]
    Client {
        /// Which runner.
        name: String,
        /// Why.
        source: ClientError,
    },
    /// No shell.
    #[error(
        "the runner `{name}` finds no shell {wanted}: `shell` in its configuration names another"
    )]
    NoShell {
        /// Which runner.
        name: String,
        /// What was looked for.
        wanted: String,
    },
    /// Another process works there.
    #[error(
        "the runner `{name}` is at work already: another process holds {}", lock.display()
    )]
    AtWork {
        /// Which runner.
        name: String,
        /// What tells.
        lock: PathBuf,
    },
    /// No place to work.
    #[error("the runner `{name}` cannot use its folder")]
    Folder {
        /// Which runner.
        name: String,
        /// Why.
        source: std::io::Error,
    },
}

/// All runners of one configuration.
#[derive(Debug)]
pub struct Runner {
    workshops: Vec<Arc<Workshop>>,
    shutdown: Shutdown,
}

impl Runner {
    /// Checks the configuration and makes the folders.
    ///
    /// # Errors
    /// When a runner could not work: each says what to change.
    pub fn new(config: Config, shutdown: Shutdown) -> Result<Self, RunnerError> {
        if config.runners.is_empty() {
            return Err(RunnerError::NoRunner);
        }
        let leftovers = Arc::new(Leftovers::default());
        let workshops = config
            .runners
            .into_iter()
            .map(|runner| workshop(runner, &shutdown, &leftovers).map(Arc::new))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            workshops,
            shutdown,
        })
    }

    /// Works until it is told to stop, and the last job has ended.
    ///
    /// Becomes the reaper of this process's orphans (`PR_SET_CHILD_SUBREAPER`), so as to end what
    /// jobs leave behind.
    pub async fn run(self) {
        let mut loops = JoinSet::new();
        for workshop in self.workshops {
            workshop.leftovers.adopt();
            leftovers::end_processes_of(&workshop.config.system_id);
            loops.spawn(Floor::new(workshop, self.shutdown.clone()).run());
        }
        while loops.join_next().await.is_some() {}
    }
}

fn workshop(
    config: RunnerConfig,
    shutdown: &Shutdown,
    leftovers: &Arc<Leftovers>,
) -> Result<Workshop, RunnerError> {
    let name = || config.name.clone();
    let base = environment::base(&config, std::env::vars());
    let wanted = config.shell.as_deref();
    let shell = environment::shell(wanted, &base["PATH"]).ok_or_else(|| RunnerError::NoShell {
        name: name(),
        wanted: wanted.unwrap_or("bash or sh").to_owned(),
    })?;
    let client = Client::of(&config).map_err(|source| RunnerError::Client {
        name: name(),
        source,
    })?;
    let unusable = |source| RunnerError::Folder {
        name: config.name.clone(),
        source,
    };
    let folder = crate::config::private_folder(&config.directory)
        .and_then(|()| fs_err::canonicalize(&config.directory))
        .map_err(unusable)?;
    let lock = folder.join(format!("{}.lock", config.system_id));
    let file = fs_err::File::create(&lock).map_err(unusable)?.into_file();
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(RunnerError::AtWork { name: name(), lock }),
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    Ok(Workshop {
        config: RunnerConfig {
            directory: folder,
            ..config
        },
        client,
        shell,
        base,
        leftovers: Arc::clone(leftovers),
        trees: Trees::default(),
        lock: file,
        shutdown: shutdown.abort.clone(),
    })
}

/// Where one runner's jobs are handed out.
struct Floor {
    workshop: Arc<Workshop>,
    shutdown: Shutdown,
    /// Free slots; the lowest is used first, so that its sources are used again.
    free: Vec<u32>,
    returned: (mpsc::UnboundedSender<u32>, mpsc::UnboundedReceiver<u32>),
    /// Jobs at work, and results on their way.
    tasks: TaskTracker,
}

impl Floor {
    fn new(workshop: Arc<Workshop>, shutdown: Shutdown) -> Self {
        let slots = workshop.config.concurrent.max(1);
        Self {
            workshop,
            shutdown,
            free: (0..slots).rev().collect(),
            returned: mpsc::unbounded_channel(),
            tasks: TaskTracker::new(),
        }
    }

    async fn run(mut self) {
        let name = self.workshop.config.name.clone();
        tracing::info!(
            runner = name,
            url = self.workshop.config.url,
            "waiting for jobs"
        );
        let mut desk = Desk::new(&self.workshop);
        let drain = self.shutdown.drain.clone();
        loop {
            let slot = tokio::select! {
                slot = self.slot() => slot,
                () = drain.cancelled() => break,
            };
            // A job that was given is taken, even when the order to stop comes with it.
            tokio::select! {
                biased;
                job = desk.next_job() => {
                    let slot = self.lowest(slot);
                    self.start(Assignment { job, slot });
                }
                () = drain.cancelled() => break,
            }
        }
        self.tasks.close();
        if !self.tasks.is_empty() {
            tracing::info!(
                runner = name,
                jobs = self.tasks.len(),
                "finishing the jobs at work"
            );
        }
        tokio::select! {
            () = self.tasks.wait() => {}
            () = last_words(&self.shutdown.abort) => {
                tracing::error!(runner = name, "stopped before the server knew of everything");
            }
        }
    }

    /// While a job was waited for, slots with sources in them may have become free.
    fn lowest(&mut self, slot: u32) -> u32 {
        self.give_back(slot);
        while let Ok(slot) = self.returned.1.try_recv() {
            self.give_back(slot);
        }
        self.free.pop().unwrap_or(slot)
    }

    async fn slot(&mut self) -> u32 {
        while let Ok(slot) = self.returned.1.try_recv() {
            self.give_back(slot);
        }
        loop {
            if let Some(slot) = self.free.pop() {
                return slot;
            }
            if let Some(slot) = self.returned.1.recv().await {
                self.give_back(slot);
            }
        }
    }

    fn give_back(&mut self, slot: u32) {
        self.free.push(slot);
        self.free.sort_unstable_by(|a, b| b.cmp(a));
    }

    fn start(&self, assignment: Assignment) {
        let workshop = Arc::clone(&self.workshop);
        let returned = self.returned.0.clone();
        self.tasks.spawn(async move {
            let slot = assignment.slot;
            let upload = job::execute(&workshop, assignment).await;
            // The receiver is gone when the runner is being stopped.
            let _ = returned.send(slot);
            if let Some(Err(error)) = async { Some(upload?.await) }.await {
                tracing::error!(%error, "a job's result may not have reached the server");
            }
        });
    }
}

/// After the order to stop at once, this long.
async fn last_words(abort: &CancellationToken) {
    abort.cancelled().await;
    // The scripts get their grace, then the server hears of it.
    sleep(LAST_WORDS + Duration::from_secs(11)).await;
}
