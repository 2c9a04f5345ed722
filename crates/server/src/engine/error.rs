//! What can go wrong between an event and its effects.

use model::PipelineId;

use crate::store::StoreError;

/// Why an event had no effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The pipeline's state does not allow it; the text says why.
    #[error("{0}")]
    Refused(String),
    /// There is no such pipeline.
    #[error("there is no pipeline {0}")]
    NoSuchPipeline(PipelineId),
    /// The database failed.
    #[error("the event could not be kept")]
    Store(#[source] StoreError),
    /// A graph could not be written as JSON.
    #[error("the pipeline's graph cannot be stored")]
    Graph,
    /// The task that handles the event ended early: the server is stopping, or has a bug.
    #[error("handling the event ended early")]
    Crashed,
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
