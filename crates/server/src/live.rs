//! Who waits for what: runners for jobs, followers for changes.

use model::PipelineId;
use tokio::sync::{broadcast, watch};

/// Tells runners that wait that the queue has changed.
pub(crate) struct Queue {
    version: watch::Sender<u64>,
    /// Makes the version differ from that of an earlier start.
    started: i64,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            version: watch::Sender::new(0),
            started: crate::store::now(),
        }
    }

    /// Wakes all that wait.
    pub(crate) fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Is told of every change from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// A text that is another after each change.
    pub(crate) fn version(&self) -> String {
        format!("{:x}-{:x}", self.started, *self.version.borrow())
    }
}

/// Tells followers which pipeline has changed; they look for themselves what.
pub(crate) struct Live {
    pipelines: broadcast::Sender<PipelineId>,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            pipelines: broadcast::Sender::new(256),
        }
    }

    /// This pipeline or one of its jobs is no longer what it was.
    pub(crate) fn changed(&self, pipeline: PipelineId) {
        // nobody listening is no error
        let _ = self.pipelines.send(pipeline);
    }

    /// Is told of every change from now on. Who falls behind hears of it as an error and looks.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<PipelineId> {
        self.pipelines.subscribe()
    }
}
