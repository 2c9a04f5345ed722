//! A newer pipeline of a ref makes older ones superfluous (GitLab, "Auto-cancel redundant pipelines").
//!
//! Which of their jobs are cancelled each pipeline's own file says (`workflow:auto_cancel`, `interruptible`);
//! here it is only decided which pipelines are older. A crash in between is made good at the next start.

use crate::App;
use crate::engine::EngineError;
use crate::store::PipelineRow;
use pipeline::Event;

/// Tells all pipelines that this one supersedes.
pub(crate) async fn older(app: &App, newest: &PipelineRow) -> Result<(), EngineError> {
    let project = app.store.project(newest.project).await?;
    let is_child = newest.source == ci::Source::ParentPipeline.as_str();
    if project.is_some_and(|project| project.auto_cancel) && !is_child {
        for id in app.store.superseded_by(newest).await? {
            match app.engine.apply(id, Event::Superseded).await {
                Ok(()) | Err(EngineError::Refused(_)) => {
                    tracing::info!(pipeline = %id, newer = %newest.id, "superseded");
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(app.store.has_superseded(newest.id).await?)
}

/// Does what a crash has cut off.
pub(crate) async fn catch_up(app: &App) -> Result<(), EngineError> {
    for id in app.store.superseding().await? {
        if let Some(row) = app.store.pipeline(id).await? {
            older(app, &row).await?;
        }
    }
    Ok(())
}
