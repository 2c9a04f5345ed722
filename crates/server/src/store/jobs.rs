//! Jobs: one row an attempt.

use std::collections::HashSet;

use model::{JobId, PipelineId, ProjectId, RunnerId, Secret};
use pipeline::Status;
use sqlx::SqliteConnection;

use super::error::{from_json, to_json};
use super::numbers::{self, Numbered};
use super::resource_groups::note_group;
use super::{During, Page, Store, StoreError, now};

/// The first or a further attempt at a job of the graph.
#[derive(Debug, Clone)]
pub(crate) struct NewJob {
    pub node: usize,
    pub attempt: i64,
    pub name: String,
    pub stage: String,
    pub tags: Vec<String>,
    pub allow_failure: bool,
    /// Jobs of one group run one after the other.
    pub resource_group: Option<String>,
    /// Carried out by the server itself: it starts another pipeline.
    pub is_trigger: bool,
    pub status: Status,
    /// What `pipeline` remembers of the job, as JSON.
    pub state: String,
}

/// What changed about an attempt.
#[derive(Debug, Clone)]
pub(crate) struct JobUpdate {
    pub job: JobId,
    pub status: Status,
    pub state: String,
    pub failure_reason: Option<String>,
    pub exit_code: Option<i64>,
    pub assignment: Option<Assignment>,
    pub allow_failure: bool,
    /// A newer attempt takes its place.
    pub retried: bool,
}

/// A job handed to a runner.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub runner: RunnerId,
    pub token: Secret,
}

/// An attempt as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct JobRow {
    pub id: JobId,
    pub pipeline: PipelineId,
    pub project: ProjectId,
    pub node: usize,
    pub attempt: i64,
    pub retried: bool,
    pub name: String,
    pub stage: String,
    pub tags: Vec<String>,
    pub status: Status,
    pub allow_failure: bool,
    pub state: String,
    pub resource_group: Option<String>,
    pub is_trigger: bool,
    /// The pipelines that it started are still to be cancelled.
    pub cancels: bool,
    pub runner: Option<RunnerId>,
    pub failure_reason: Option<String>,
    pub exit_code: Option<i64>,
    pub created_at: i64,
    pub queued_at: Option<i64>,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub contacted_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: i64,
    pipeline_id: i64,
    project_id: i64,
    node: i64,
    attempt: i64,
    retried: bool,
    name: String,
    stage: String,
    tags: String,
    status: String,
    allow_failure: bool,
    state: String,
    resource_group: Option<String>,
    is_trigger: bool,
    cancels: bool,
    runner_id: Option<i64>,
    failure_reason: Option<String>,
    exit_code: Option<i64>,
    created_at: i64,
    queued_at: Option<i64>,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    contacted_at: Option<i64>,
}

impl TryFrom<Row> for JobRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let damaged = |what: &str| StoreError::Damaged {
            what: format!("{what} of job {}", row.id),
        };
        Ok(Self {
            id: row.id.into(),
            pipeline: row.pipeline_id.into(),
            project: row.project_id.into(),
            node: usize::try_from(row.node).map_err(|_| damaged("the place"))?,
            attempt: row.attempt,
            retried: row.retried,
            name: row.name,
            stage: row.stage,
            tags: from_json(&row.tags, "a job's tags")?,
            status: row.status.parse().map_err(|_| damaged("the status"))?,
            allow_failure: row.allow_failure,
            state: row.state,
            resource_group: row.resource_group,
            is_trigger: row.is_trigger,
            cancels: row.cancels,
            runner: row.runner_id.map(RunnerId),
            failure_reason: row.failure_reason,
            exit_code: row.exit_code,
            created_at: row.created_at,
            queued_at: row.queued_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            contacted_at: row.contacted_at,
        })
    }
}

pub(super) fn rows(rows: Vec<Row>) -> Result<Vec<JobRow>, StoreError> {
    rows.into_iter().map(JobRow::try_from).collect()
}

impl Store {
    /// The attempt with this number.
    pub(crate) async fn job(&self, id: JobId) -> Result<Option<JobRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM jobs WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&self.read)
            .await
            .during("reading a job")?;
        row.map(JobRow::try_from).transpose()
    }

    /// The attempt whose job token has this fingerprint, at work or not.
    pub(crate) async fn job_of_token(
        &self,
        fingerprint: &str,
    ) -> Result<Option<JobRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM jobs WHERE token = $1")
            .bind(fingerprint)
            .fetch_optional(&self.read)
            .await
            .during("looking up a job's token")?;
        row.map(JobRow::try_from).transpose()
    }

    /// Which attempts there are with numbers from `first` on, `count` at most.
    pub(crate) async fn job_numbers(
        &self,
        first: i64,
        count: i64,
    ) -> Result<HashSet<i64>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM jobs WHERE id >= $1 AND id < $2")
            .bind(first)
            .bind(first.saturating_add(count))
            .fetch_all(&self.read)
            .await
            .during("listing jobs")?;
        Ok(ids.into_iter().collect())
    }

    /// A pipeline's attempts in the order of its graph, the newest attempt of each last.
    pub(crate) async fn jobs(&self, pipeline: PipelineId) -> Result<Vec<JobRow>, StoreError> {
        let found =
            sqlx::query_as("SELECT * FROM jobs WHERE pipeline_id = $1 ORDER BY node, attempt")
                .bind(pipeline.0)
                .fetch_all(&self.read)
                .await
                .during("reading a pipeline's jobs")?;
        rows(found)
    }

    /// A project's attempts, the newest first, without trigger jobs.
    pub(crate) async fn jobs_of_project(
        &self,
        project: ProjectId,
        page: Page,
    ) -> Result<Vec<JobRow>, StoreError> {
        let found = sqlx::query_as(
            "SELECT * FROM jobs WHERE project_id = $1 AND NOT is_trigger
             ORDER BY id DESC LIMIT $2 OFFSET $3",
        )
        .bind(project.0)
        .bind(page.size)
        .bind(page.offset())
        .fetch_all(&self.read)
        .await
        .during("listing jobs")?;
        rows(found)
    }

    /// Every attempt with this status, the oldest first.
    pub(crate) async fn jobs_with_status(&self, status: Status) -> Result<Vec<JobRow>, StoreError> {
        let found = sqlx::query_as("SELECT * FROM jobs WHERE status = $1 ORDER BY id")
            .bind(status.to_string())
            .fetch_all(&self.read)
            .await
            .during("listing jobs by status")?;
        rows(found)
    }

    /// Every attempt that waits for a runner, the oldest first, with its tags.
    pub(crate) async fn queue(&self) -> Result<Vec<(JobId, Vec<String>)>, StoreError> {
        let found: Vec<(i64, String)> = sqlx::query_as(
            "SELECT id, tags FROM jobs WHERE status = 'pending' AND NOT is_trigger ORDER BY id",
        )
        .fetch_all(&self.read)
        .await
        .during("reading the queue")?;
        found
            .into_iter()
            .map(|(id, tags)| Ok((JobId(id), from_json(&tags, "a job's tags")?)))
            .collect()
    }

    /// The attempts of a resource group that have not ended.
    pub(crate) async fn jobs_of_group(
        &self,
        project: ProjectId,
        group: &str,
    ) -> Result<Vec<JobRow>, StoreError> {
        let found = sqlx::query_as(
            "SELECT * FROM jobs WHERE project_id = $1 AND resource_group = $2 AND NOT retried
                AND status NOT IN ('success', 'failed', 'canceled', 'skipped') ORDER BY id",
        )
        .bind(project.0)
        .bind(group)
        .fetch_all(&self.read)
        .await
        .during("reading a resource group")?;
        rows(found)
    }

    /// Notes that the runner of a job has been heard of.
    pub(crate) async fn touch_job(&self, job: JobId) -> Result<(), StoreError> {
        sqlx::query("UPDATE jobs SET contacted_at = $1 WHERE id = $2")
            .bind(now())
            .bind(job.0)
            .execute(&self.write)
            .await
            .during("noting a job's contact")?;
        Ok(())
    }
}

/// Part of the transaction that makes a pipeline or retries a job.
pub(super) async fn insert_attempt(
    connection: &mut SqliteConnection,
    pipeline: PipelineId,
    project: ProjectId,
    job: &NewJob,
) -> Result<JobId, StoreError> {
    if let Some(group) = &job.resource_group {
        note_group(connection, project, group).await?;
    }
    let id = numbers::next(connection, Numbered::Jobs).await?;
    let node = i64::try_from(job.node).expect("a graph has fewer jobs than 2^63");
    sqlx::query_scalar(
        "INSERT INTO jobs (pipeline_id, project_id, node, attempt, name, stage, tags, status,
            allow_failure, state, created_at, queued_at, resource_group, is_trigger, id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id",
    )
    .bind(pipeline.0)
    .bind(project.0)
    .bind(node)
    .bind(job.attempt)
    .bind(&job.name)
    .bind(&job.stage)
    .bind(to_json(&job.tags))
    .bind(job.status.to_string())
    .bind(job.allow_failure)
    .bind(&job.state)
    .bind(now())
    .bind(is_queued(job.status).then(now))
    .bind(&job.resource_group)
    .bind(job.is_trigger)
    .bind(id)
    .fetch_one(&mut *connection)
    .await
    .during("making a job")
    .map(JobId)
}

/// Whether the time of a status is `queued_at`: for a delayed job it counts from there.
fn is_queued(status: Status) -> bool {
    matches!(status, Status::Pending | Status::Scheduled)
}

/// Part of the transaction that writes an event's outcome.
pub(super) async fn update_job(
    connection: &mut SqliteConnection,
    update: &JobUpdate,
) -> Result<(), StoreError> {
    let assignment = update.assignment.as_ref();
    sqlx::query(
        "UPDATE jobs SET status = $2, state = $3,
            failure_reason = coalesce($4, failure_reason),
            exit_code = coalesce($5, exit_code),
            runner_id = CASE WHEN $2 = 'pending' THEN NULL ELSE coalesce($6, runner_id) END,
            token = CASE WHEN $2 = 'pending' THEN NULL ELSE coalesce($7, token) END,
            queued_at = CASE WHEN $2 IN ('pending', 'scheduled') THEN coalesce(queued_at, $8) ELSE queued_at END,
            started_at = CASE WHEN $2 = 'running' THEN coalesce(started_at, $8)
                              WHEN $2 = 'pending' THEN NULL ELSE started_at END,
            finished_at = CASE WHEN $2 IN ('success', 'failed', 'canceled', 'skipped')
                               THEN $8 ELSE NULL END,
            contacted_at = CASE WHEN $6 IS NULL THEN contacted_at ELSE NULL END,
            retried = $9, allow_failure = $10
         WHERE id = $1",
    )
    .bind(update.job.0)
    .bind(update.status.to_string())
    .bind(&update.state)
    .bind(&update.failure_reason)
    .bind(update.exit_code)
    .bind(assignment.map(|a| a.runner.0))
    .bind(assignment.map(|a| a.token.fingerprint()))
    .bind(now())
    .bind(update.retried)
    .bind(update.allow_failure)
    .execute(connection)
    .await
    .during("changing a job")?;
    Ok(())
}
