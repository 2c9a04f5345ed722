//! Pipelines that newer ones of their ref make superfluous.

use model::{PipelineId, ProjectId};

use super::{During, PipelineRow, Store, StoreError, now};

/// Older pipelines than this stay (GitLab's limit), in milliseconds.
const LONG_AGO: i64 = 3 * 24 * 60 * 60 * 1000;

impl Store {
    /// Whether newer pipelines of a project cancel older ones.
    pub(crate) async fn set_auto_cancel(
        &self,
        project: ProjectId,
        on: bool,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE projects SET auto_cancel = $2 WHERE id = $1")
            .bind(project.0)
            .bind(on)
            .execute(&self.write)
            .await
            .during("changing a project")?;
        Ok(())
    }

    /// Pipelines whose older ones are still to be looked at, by number.
    pub(crate) async fn superseding(&self) -> Result<Vec<PipelineId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM pipelines WHERE supersedes AND yaml_errors IS NULL ORDER BY id",
        )
        .fetch_all(&self.read)
        .await
        .during("looking for pipelines that supersede")?;
        Ok(ids.into_iter().map(PipelineId).collect())
    }

    /// Pipelines of the same ref that are older, of another commit, and at work or waiting, by number. Those
    /// of a web IDE are nobody's concern; a child is as old as what is above it.
    pub(crate) async fn superseded_by(
        &self,
        newest: &PipelineRow,
    ) -> Result<Vec<PipelineId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM pipelines
             WHERE project_id = $1 AND ref_name = $2 AND is_tag = $3 AND id < $4 AND sha <> $5
               AND source <> 'webide' AND created_at > $6
               AND status IN ('created', 'waiting_for_resource', 'preparing', 'pending', 'running', 'scheduled')
             ORDER BY id",
        )
        .bind(newest.project.0)
        .bind(newest.git_ref.name())
        .bind(newest.git_ref.is_tag())
        .bind(newest.id.0)
        .bind(newest.sha.as_str())
        .bind(now() - LONG_AGO)
        .fetch_all(&self.read)
        .await
        .during("looking for superseded pipelines")?;
        Ok(ids.into_iter().map(PipelineId).collect())
    }

    /// Notes that the older ones have been looked at.
    pub(crate) async fn has_superseded(&self, newest: PipelineId) -> Result<(), StoreError> {
        sqlx::query("UPDATE pipelines SET supersedes = 0 WHERE id = $1")
            .bind(newest.0)
            .execute(&self.write)
            .await
            .during("noting what a pipeline has superseded")?;
        Ok(())
    }
}
