//! What is known of the files that jobs left behind.

use std::collections::HashSet;

use model::{Digest, JobId, PipelineId, ProjectId};

use super::jobs::{Row as JobsRow, rows};
use super::{During, JobRow, Store, StoreError, now};

/// A file that is on the disk and gets its row.
pub(crate) struct NewArtifact<'a> {
    pub job: JobId,
    /// `archive`, or the kind of a report.
    pub kind: &'a str,
    pub name: &'a str,
    /// In bytes.
    pub size: u64,
    pub digest: &'a Digest,
    /// Milliseconds since 1970; nothing: never.
    pub expires_at: Option<i64>,
}

/// A file as it is kept.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ArtifactRow {
    #[sqlx(rename = "job_id", try_from = "i64")]
    pub job: JobId,
    pub kind: String,
    pub name: String,
    pub size: i64,
    pub digest: String,
    pub expires_at: Option<i64>,
}

impl Store {
    /// Keeps a file in place of the one of the same kind and job.
    pub(crate) async fn keep_artifact(&self, new: NewArtifact<'_>) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT OR REPLACE INTO artifacts (job_id, kind, name, size, digest, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(new.job.0)
        .bind(new.kind)
        .bind(new.name)
        .bind(i64::try_from(new.size).unwrap_or(i64::MAX))
        .bind(new.digest.as_str())
        .bind(now())
        .bind(new.expires_at)
        .execute(&self.write)
        .await
        .during("keeping artifacts")?;
        Ok(())
    }

    /// The file of this kind.
    pub(crate) async fn artifact(
        &self,
        job: JobId,
        kind: &str,
    ) -> Result<Option<ArtifactRow>, StoreError> {
        sqlx::query_as("SELECT * FROM artifacts WHERE job_id = $1 AND kind = $2 AND NOT gone")
            .bind(job.0)
            .bind(kind)
            .fetch_optional(&self.read)
            .await
            .during("reading artifacts")
    }

    /// The job of this name in the ref's latest successful pipeline, if it has an archive.
    pub(crate) async fn latest_archive(
        &self,
        project: ProjectId,
        ref_name: &str,
        job: &str,
    ) -> Result<Option<JobId>, StoreError> {
        let id: Option<i64> = sqlx::query_scalar(
            "SELECT jobs.id FROM jobs JOIN artifacts ON artifacts.job_id = jobs.id
             WHERE jobs.name = $3 AND NOT jobs.retried AND artifacts.kind = 'archive'
                AND NOT artifacts.gone
                AND jobs.pipeline_id = (SELECT max(id) FROM pipelines
                    WHERE project_id = $1 AND ref_name = $2 AND status = 'success'
                        AND source <> 'parent_pipeline')",
        )
        .bind(project.0)
        .bind(ref_name)
        .bind(job)
        .fetch_optional(&self.read)
        .await
        .during("looking for the latest artifacts")?;
        Ok(id.map(JobId))
    }

    /// All files of one job.
    pub(crate) async fn artifacts_of_job(
        &self,
        job: JobId,
    ) -> Result<Vec<ArtifactRow>, StoreError> {
        sqlx::query_as("SELECT * FROM artifacts WHERE job_id = $1 AND NOT gone ORDER BY kind")
            .bind(job.0)
            .fetch_all(&self.read)
            .await
            .during("reading a job's artifacts")
    }

    /// All files of a pipeline's jobs.
    pub(crate) async fn artifacts_of_pipeline(
        &self,
        pipeline: PipelineId,
    ) -> Result<Vec<ArtifactRow>, StoreError> {
        sqlx::query_as(
            "SELECT artifacts.* FROM jobs JOIN artifacts ON artifacts.job_id = jobs.id
             WHERE jobs.pipeline_id = $1 AND NOT artifacts.gone ORDER BY jobs.id, artifacts.kind",
        )
        .bind(pipeline.0)
        .fetch_all(&self.read)
        .await
        .during("reading a pipeline's artifacts")
    }

    /// Files whose time is over. Those of a ref's latest successful pipeline stay, as in GitLab.
    pub(crate) async fn expired_artifacts(&self) -> Result<Vec<ArtifactRow>, StoreError> {
        sqlx::query_as(
            "SELECT artifacts.* FROM artifacts
                JOIN jobs ON jobs.id = artifacts.job_id
                JOIN pipelines AS own ON own.id = jobs.pipeline_id
             WHERE artifacts.expires_at <= $1 AND NOT artifacts.gone AND NOT (own.status = 'success' AND NOT EXISTS (
                SELECT 1 FROM pipelines AS later
                WHERE later.project_id = own.project_id AND later.id > own.id
                    AND later.ref_name = own.ref_name AND later.is_tag = own.is_tag
                    AND later.status = 'success' AND later.source <> 'parent_pipeline'))
             LIMIT 100",
        )
        .bind(now())
        .fetch_all(&self.read)
        .await
        .during("looking for old artifacts")
    }

    /// A job's files stay for ever.
    pub(crate) async fn keep_for_ever(&self, job: JobId) -> Result<(), StoreError> {
        sqlx::query("UPDATE artifacts SET expires_at = NULL WHERE job_id = $1 AND NOT gone")
            .bind(job.0)
            .execute(&self.write)
            .await
            .during("keeping artifacts")?;
        Ok(())
    }

    /// The newest attempts in a pipeline that have left something behind which is gone.
    pub(crate) async fn jobs_with_lost_artifacts(
        &self,
        pipeline: PipelineId,
    ) -> Result<Vec<JobRow>, StoreError> {
        let found: Vec<JobsRow> = sqlx::query_as(
            "SELECT * FROM jobs WHERE pipeline_id = $1 AND NOT retried AND EXISTS
                (SELECT 1 FROM artifacts
                 WHERE job_id = jobs.id AND gone AND kind IN ('archive', 'dotenv'))",
        )
        .bind(pipeline.0)
        .fetch_all(&self.read)
        .await
        .during("looking for lost artifacts")?;
        rows(found)
    }

    /// The file is to go.
    pub(crate) async fn forget_artifact(&self, job: JobId, kind: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE artifacts SET gone = 1 WHERE job_id = $1 AND kind = $2")
            .bind(job.0)
            .bind(kind)
            .execute(&self.write)
            .await
            .during("removing artifacts")?;
        Ok(())
    }

    /// The jobs that have files, by number.
    pub(crate) async fn jobs_with_artifacts(&self) -> Result<HashSet<i64>, StoreError> {
        let ids: Vec<i64> =
            sqlx::query_scalar("SELECT DISTINCT job_id FROM artifacts WHERE NOT gone")
                .fetch_all(&self.read)
                .await
                .during("listing artifacts")?;
        Ok(ids.into_iter().collect())
    }
}
