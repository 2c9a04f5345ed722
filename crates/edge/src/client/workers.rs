//! The threads that serve connections, one a core, each with a runtime of its own.
//!
//! A connection stays on its thread, with its requests and the connections to targets that they use:
//! nothing is handed from core to core, and tasks take turns in the order in which they became ready,
//! however many there are. (A runtime that shares its tasks among threads has short queues of
//! its own and one for what does not fit; with a thousand busy connections those in the second wait long.)
//! Everything that is not a connection runs where the edge was started.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// The threads. They end, and what still runs on them, when this is dropped.
pub(crate) struct Workers {
    handles: Vec<Handle>,
    end: CancellationToken,
}

/// Which thread something belongs to, counted from 0.
pub(crate) type Worker = usize;

impl Workers {
    /// One thread for each core that this process may use.
    ///
    /// # Errors
    /// When the system has no thread or no file for a runtime left.
    pub(crate) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let mut workers = Self {
            handles: Vec::with_capacity(count),
            end: CancellationToken::new(),
        };
        for worker in 0..count {
            let handle = workers.start_one(worker)?;
            workers.handles.push(handle);
        }
        Ok(workers)
    }

    fn start_one(&self, worker: Worker) -> io::Result<Handle> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let end = self.end.clone();
        thread::Builder::new()
            .name(format!("edge-{worker}"))
            .spawn(move || runtime.block_on(end.cancelled()))?;
        Ok(handle)
    }

    /// The threads, each with the handle to its runtime.
    pub(crate) fn each(&self) -> impl Iterator<Item = (Worker, &Handle)> {
        self.handles.iter().enumerate()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.end.cancel();
    }
}
