//! Trigger jobs and the pipelines that they started.

use model::{JobId, PipelineId};
use sqlx::SqliteConnection;

use super::jobs::{Row as JobsRow, rows};
use super::pipelines::Row;
use super::{Above, During, JobRow, PipelineRow, Store, StoreError};

impl Store {
    /// Trigger jobs whose pipeline is to be made: they are pending, or were cancelled while it was made
    /// and know nothing of it yet.
    pub(crate) async fn triggers_to_start(&self) -> Result<Vec<JobId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM jobs WHERE status = 'pending' AND is_trigger AND NOT retried
             UNION
             SELECT jobs.id FROM pipelines JOIN jobs ON jobs.id = pipelines.upstream_job
             WHERE jobs.status = 'canceled' AND NOT jobs.retried
                AND pipelines.status NOT IN ('success', 'failed', 'canceled', 'skipped')",
        )
        .fetch_all(&self.read)
        .await
        .during("looking for trigger jobs")?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// Trigger jobs whose pipelines are still to be cancelled.
    pub(crate) async fn triggers_to_cancel(&self) -> Result<Vec<JobId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM jobs WHERE cancels")
            .fetch_all(&self.read)
            .await
            .during("looking for pipelines to cancel")?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// Pipelines whose status their trigger job may not have heard of: one of the two has not ended.
    pub(crate) async fn pipelines_to_follow(&self) -> Result<Vec<PipelineId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT pipelines.id FROM pipelines JOIN jobs ON jobs.id = pipelines.upstream_job
             WHERE NOT jobs.retried
                AND (jobs.status NOT IN ('success', 'failed', 'canceled', 'skipped')
                    OR pipelines.status NOT IN ('success', 'failed', 'canceled', 'skipped'))",
        )
        .fetch_all(&self.read)
        .await
        .during("looking for pipelines to follow")?;
        Ok(ids.into_iter().map(PipelineId).collect())
    }

    /// Trigger jobs that have not ended and have no pipeline: it is not made yet, or was removed.
    pub(crate) async fn triggers_without_pipeline(&self) -> Result<Vec<JobId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM jobs
             WHERE is_trigger AND NOT retried AND status NOT IN ('success', 'failed', 'canceled', 'skipped')
                AND NOT EXISTS (SELECT 1 FROM pipelines WHERE upstream_job = jobs.id)",
        )
        .fetch_all(&self.read)
        .await
        .during("looking for removed pipelines")?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// The pipeline that was made for this attempt of a trigger job.
    pub(crate) async fn downstream_of(
        &self,
        job: JobId,
    ) -> Result<Option<PipelineRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM pipelines WHERE upstream_job = $1")
            .bind(job.0)
            .fetch_optional(&self.read)
            .await
            .during("reading the pipeline of a trigger job")?;
        row.map(|row| self.pipeline_row(row)).transpose()
    }

    /// The pipelines that this pipeline's trigger jobs started, in all their attempts, the oldest first.
    pub(crate) async fn downstreams(
        &self,
        pipeline: PipelineId,
    ) -> Result<Vec<PipelineRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT pipelines.* FROM jobs JOIN pipelines ON pipelines.upstream_job = jobs.id
             WHERE jobs.pipeline_id = $1 AND jobs.is_trigger ORDER BY pipelines.id",
        )
        .bind(pipeline.0)
        .fetch_all(&self.read)
        .await
        .during("reading the pipelines below one")?;
        rows.into_iter().map(|row| self.pipeline_row(row)).collect()
    }

    /// The trigger job that a pipeline was made for, with its own pipeline.
    pub(crate) async fn upstream_of(
        &self,
        pipeline: &PipelineRow,
    ) -> Result<Option<(JobRow, PipelineRow)>, StoreError> {
        let Some(job) = pipeline.upstream else {
            return Ok(None);
        };
        let Some(job) = self.job(job).await? else {
            return Ok(None);
        };
        let above = self.pipeline(job.pipeline).await?;
        Ok(above.map(|above| (job, above)))
    }

    /// A pipeline's trigger jobs, in the order of its graph, the newest attempt of each last.
    pub(crate) async fn triggers(&self, pipeline: PipelineId) -> Result<Vec<JobRow>, StoreError> {
        let found: Vec<JobsRow> = sqlx::query_as(
            "SELECT * FROM jobs WHERE pipeline_id = $1 AND is_trigger ORDER BY node, attempt",
        )
        .bind(pipeline.0)
        .fetch_all(&self.read)
        .await
        .during("reading a pipeline's trigger jobs")?;
        rows(found)
    }

    /// The pipelines of a trigger job have been cancelled.
    pub(crate) async fn note_canceled(&self, job: JobId) -> Result<(), StoreError> {
        let mut connection = self.write.acquire().await.during("noting a cancel")?;
        note_cancel(&mut connection, job, false).await
    }
}

/// Part of the transaction that makes a pipeline: so those that are made at the same time are counted too.
pub(super) async fn check_room(
    connection: &mut SqliteConnection,
    above: Above,
) -> Result<(), StoreError> {
    let Above { root, most, .. } = above;
    let size = hierarchy_size(connection, root).await?;
    if size >= most {
        return Err(StoreError::Full { root, most });
    }
    Ok(())
}

/// How many pipelines there are from this one down, with itself.
async fn hierarchy_size(
    connection: &mut SqliteConnection,
    root: PipelineId,
) -> Result<i64, StoreError> {
    sqlx::query_scalar(
        "WITH RECURSIVE tree (id) AS (
            SELECT $1
            UNION
            SELECT pipelines.id FROM tree
                JOIN jobs ON jobs.pipeline_id = tree.id AND jobs.is_trigger
                JOIN pipelines ON pipelines.upstream_job = jobs.id
         ) SELECT count(*) FROM tree",
    )
    .bind(root.0)
    .fetch_one(connection)
    .await
    .during("counting pipelines")
}

/// Part of the transaction that writes an event's outcome.
pub(super) async fn note_cancel(
    connection: &mut SqliteConnection,
    job: JobId,
    open: bool,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE jobs SET cancels = $2 WHERE id = $1")
        .bind(job.0)
        .bind(open)
        .execute(connection)
        .await
        .during("noting a cancel")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::{CommitId, GitRef, ProjectId};
    use pipeline::Status;

    use super::super::{NewJob, NewPipeline, Vault};
    use super::*;

    const MOST: i64 = 8;
    const TRIGGERS: usize = 24;

    /// What a project's `main` starts, or a trigger job of it.
    async fn make(
        store: &Store,
        project: ProjectId,
        above: Option<Above>,
    ) -> Result<(PipelineRow, Vec<JobId>), StoreError> {
        let git_ref: GitRef = "refs/heads/main".parse().unwrap();
        let sha: CommitId = "a".repeat(40).parse().unwrap();
        let trigger = |node| NewJob {
            node,
            attempt: 1,
            name: format!("below {node}"),
            stage: "test".to_owned(),
            tags: Vec::new(),
            allow_failure: false,
            resource_group: None,
            is_trigger: true,
            status: Status::Pending,
            state: String::new(),
        };
        let new = NewPipeline {
            project,
            git_ref: &git_ref,
            target: None,
            sha: &sha,
            before_sha: sha.as_str(),
            commit_json: String::new(),
            source: "push",
            status: "running",
            graph: String::new(),
            diagnostics: String::new(),
            yaml_errors: None,
            variables: None,
            user_name: "developer",
            above,
            jobs: (0..TRIGGERS).map(trigger).collect(),
        };
        store.create_pipeline(new).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_pipeline_leads_to_no_more_than_it_may_also_at_the_same_time() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(&folder.path().join("key")).unwrap();
        let store = Store::open(&folder.path().join("db"), vault).await.unwrap();
        let path = "site/web".parse().unwrap();
        let project = store.create_project(&path).await.unwrap().id;
        let (root, triggers) = make(&store, project, None).await.unwrap();
        let (root, most) = (root.id, MOST);
        let mut making = tokio::task::JoinSet::new();
        for job in triggers {
            let store = store.clone();
            let above = Above { job, root, most };
            making.spawn(async move { make(&store, project, Some(above)).await });
        }
        let (mut made, mut refused) = (Vec::new(), 0);
        while let Some(done) = making.join_next().await {
            match done.unwrap() {
                Ok((_, jobs)) => made.push(jobs[0]),
                Err(StoreError::Full { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(made.len() + 1, usize::try_from(MOST).unwrap());
        assert_eq!(refused, TRIGGERS - made.len());
        // nor on another level; another one may
        let job = made[0];
        let above = Above { job, root, most };
        let deeper = make(&store, project, Some(above)).await;
        assert!(matches!(deeper, Err(StoreError::Full { .. })));
        let (other, jobs) = make(&store, project, None).await.unwrap();
        assert_eq!(other.iid, MOST + 1, "what was refused has no number");
        let above = Above {
            job: jobs[0],
            root: other.id,
            most,
        };
        make(&store, project, Some(above)).await.unwrap();
    }
}
