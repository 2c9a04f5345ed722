//! Pipelines: what was pushed, the graph that came of it, and how it stands.

use model::{CommitId, GitRef, JobId, PipelineId, ProjectId, Secret};
use sqlx::SqliteConnection;

use super::downstream::{check_room, note_cancel};
use super::jobs::{NewJob, insert_attempt, update_job};
use super::numbers::{self, Numbered};
use super::projects::note_ref;
use super::{During, JobUpdate, Store, StoreError, now};

/// A pipeline to be made, with its jobs.
pub(crate) struct NewPipeline<'a> {
    pub project: ProjectId,
    pub git_ref: &'a GitRef,
    /// What the ref points to now: the tag's object for an annotated tag, else the commit.
    pub target: Option<&'a str>,
    pub sha: &'a CommitId,
    pub before_sha: &'a str,
    pub commit_json: String,
    pub source: &'a str,
    pub status: &'a str,
    pub graph: String,
    pub diagnostics: String,
    pub yaml_errors: Option<String>,
    /// The variables given with this pipeline, as JSON.
    pub variables: Option<Secret>,
    pub user_name: &'a str,
    /// What it is made for, unless somebody started it.
    pub above: Option<Above>,
    pub jobs: Vec<NewJob>,
}

/// What a pipeline is made for that another one starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Above {
    /// The attempt of a trigger job.
    pub job: JobId,
    /// The pipeline that started it all.
    pub root: PipelineId,
    /// How many pipelines that one may lead to, with itself.
    pub most: i64,
}

/// A pipeline as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct PipelineRow {
    pub id: PipelineId,
    pub project: ProjectId,
    pub iid: i64,
    pub git_ref: GitRef,
    pub sha: CommitId,
    pub before_sha: String,
    pub commit_json: String,
    pub source: String,
    pub status: String,
    pub graph: String,
    pub yaml_errors: Option<String>,
    pub variables: Option<Secret>,
    pub user_name: String,
    /// The attempt of a trigger job that it was made for.
    pub upstream: Option<JobId>,
    pub created_at: i64,
    pub updated_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
}

/// What one event changed, written in one transaction.
pub(crate) struct PipelineUpdate {
    pub pipeline: PipelineId,
    pub status: String,
    /// The pipeline will not change again by itself.
    pub finished: bool,
    pub jobs: Vec<JobUpdate>,
    pub attempts: Vec<NewJob>,
    /// Trigger jobs whose pipelines are to be cancelled.
    pub cancels: Vec<JobId>,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: i64,
    project_id: i64,
    iid: i64,
    ref_name: String,
    is_tag: bool,
    sha: String,
    before_sha: String,
    commit_json: String,
    source: String,
    status: String,
    graph: String,
    yaml_errors: Option<String>,
    variables: Option<Vec<u8>>,
    user_name: String,
    upstream_job: Option<i64>,
    created_at: i64,
    updated_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
}

impl Store {
    /// Makes a pipeline with its jobs, and notes in the same transaction that the ref's update has
    /// been dealt with. Returns the numbers of the jobs in the order given.
    pub(crate) async fn create_pipeline(
        &self,
        new: NewPipeline<'_>,
    ) -> Result<(PipelineRow, Vec<JobId>), StoreError> {
        let mut transaction = self.write.begin().await.during("making a pipeline")?;
        if let Some(above) = new.above {
            check_room(&mut transaction, above).await?;
        }
        let iid: i64 = sqlx::query_scalar(
            "UPDATE projects SET last_iid = last_iid + 1 WHERE id = $1 RETURNING last_iid",
        )
        .bind(new.project.0)
        .fetch_one(&mut *transaction)
        .await
        .during("numbering a pipeline")?;
        let row = insert_pipeline(&mut transaction, &new, iid, &self.vault).await?;
        let mut jobs = Vec::with_capacity(new.jobs.len());
        for job in &new.jobs {
            jobs.push(insert_attempt(&mut transaction, row.id.into(), new.project, job).await?);
        }
        if let Some(target) = new.target {
            note_ref(
                &mut transaction,
                new.project,
                &new.git_ref.full(),
                Some(target),
            )
            .await?;
        }
        transaction.commit().await.during("making a pipeline")?;
        Ok((self.pipeline_row(row)?, jobs))
    }

    /// Writes what an event changed. Returns the numbers of the new attempts.
    pub(crate) async fn update_pipeline(
        &self,
        update: &PipelineUpdate,
    ) -> Result<Vec<JobId>, StoreError> {
        let mut transaction = self.write.begin().await.during("changing a pipeline")?;
        let project: i64 = sqlx::query_scalar(
            "UPDATE pipelines SET status = $2, updated_at = $3,
                started_at = CASE WHEN $2 IN ('running', 'success', 'failed') THEN coalesce(started_at, $3) ELSE started_at END,
                finished_at = CASE WHEN $4 THEN $3 ELSE NULL END
             WHERE id = $1 RETURNING project_id",
        )
        .bind(update.pipeline.0)
        .bind(&update.status)
        .bind(now())
        .bind(update.finished)
        .fetch_one(&mut *transaction)
        .await
        .during("changing a pipeline")?;
        for job in &update.jobs {
            update_job(&mut transaction, job).await?;
        }
        for job in &update.cancels {
            note_cancel(&mut transaction, *job, true).await?;
        }
        let mut attempts = Vec::with_capacity(update.attempts.len());
        for job in &update.attempts {
            attempts.push(
                insert_attempt(&mut transaction, update.pipeline, project.into(), job).await?,
            );
        }
        transaction.commit().await.during("changing a pipeline")?;
        Ok(attempts)
    }

    /// The pipeline with this number.
    pub(crate) async fn pipeline(&self, id: PipelineId) -> Result<Option<PipelineRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM pipelines WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&self.read)
            .await
            .during("reading a pipeline")?;
        row.map(|row| self.pipeline_row(row)).transpose()
    }

    /// A project's pipelines, the newest first: those of this source, or else all but children, which
    /// are shown with the pipeline above them.
    pub(crate) async fn pipelines(
        &self,
        project: ProjectId,
        source: Option<&str>,
        page: super::Page,
    ) -> Result<Vec<PipelineRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM pipelines WHERE project_id = $1
                AND CASE WHEN $4 IS NULL THEN source <> 'parent_pipeline' ELSE source = $4 END
             ORDER BY id DESC LIMIT $2 OFFSET $3",
        )
        .bind(project.0)
        .bind(page.size)
        .bind(page.offset())
        .bind(source)
        .fetch_all(&self.read)
        .await
        .during("listing pipelines")?;
        rows.into_iter().map(|row| self.pipeline_row(row)).collect()
    }

    pub(super) fn pipeline_row(&self, row: Row) -> Result<PipelineRow, StoreError> {
        let damaged = |what: &str| StoreError::Damaged {
            what: format!("{what} of pipeline {}", row.id),
        };
        let git_ref = if row.is_tag {
            GitRef::tag(&row.ref_name)
        } else {
            GitRef::branch(&row.ref_name)
        };
        let variables = row
            .variables
            .as_deref()
            .map(|sealed| self.vault.unseal(sealed, "a pipeline's variables"))
            .transpose()?;
        Ok(PipelineRow {
            id: row.id.into(),
            project: row.project_id.into(),
            iid: row.iid,
            git_ref: git_ref.map_err(|_| damaged("the ref"))?,
            sha: row.sha.parse().map_err(|_| damaged("the commit"))?,
            before_sha: row.before_sha,
            commit_json: row.commit_json,
            source: row.source,
            status: row.status,
            graph: row.graph,
            yaml_errors: row.yaml_errors,
            variables,
            user_name: row.user_name,
            upstream: row.upstream_job.map(JobId),
            created_at: row.created_at,
            updated_at: row.updated_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

async fn insert_pipeline(
    connection: &mut SqliteConnection,
    new: &NewPipeline<'_>,
    iid: i64,
    vault: &super::Vault,
) -> Result<Row, StoreError> {
    let id = numbers::next(connection, Numbered::Pipelines).await?;
    sqlx::query_as(
        "INSERT INTO pipelines (project_id, iid, ref_name, is_tag, sha, before_sha, commit_json,
            source, status, graph, diagnostics, yaml_errors, variables, user_name, created_at,
            updated_at, finished_at, upstream_job, id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15, $16, $17, $18)
         RETURNING *",
    )
    .bind(new.project.0)
    .bind(iid)
    .bind(new.git_ref.name())
    .bind(new.git_ref.is_tag())
    .bind(new.sha.as_str())
    .bind(new.before_sha)
    .bind(&new.commit_json)
    .bind(new.source)
    .bind(new.status)
    .bind(&new.graph)
    .bind(&new.diagnostics)
    .bind(&new.yaml_errors)
    .bind(new.variables.as_ref().map(|secret| vault.seal(secret)))
    .bind(new.user_name)
    .bind(now())
    .bind((new.status == "failed").then(now))
    .bind(new.above.map(|above| above.job.0))
    .bind(id)
    .fetch_one(connection)
    .await
    .during("making a pipeline")
}
