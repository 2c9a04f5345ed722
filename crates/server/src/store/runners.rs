//! Registered runners.

use model::{RunnerId, Secret};

use super::error::{from_json, to_json};
use super::{During, Store, StoreError, now};

/// A runner to be registered.
pub(crate) struct NewRunner<'a> {
    pub token: &'a Secret,
    pub description: String,
    pub tags: Vec<String>,
    pub run_untagged: bool,
}

/// What a runner says of itself with each request.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunnerInfo {
    pub version: Option<String>,
    pub platform: Option<String>,
}

/// A runner as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct RunnerRow {
    pub id: RunnerId,
    pub description: String,
    pub tags: Vec<String>,
    pub run_untagged: bool,
    pub paused: bool,
    pub version: Option<String>,
    pub platform: Option<String>,
    pub contacted_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    description: String,
    tags: String,
    run_untagged: bool,
    paused: bool,
    version: Option<String>,
    platform: Option<String>,
    contacted_at: Option<i64>,
}

impl TryFrom<Row> for RunnerRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: RunnerId(row.id),
            description: row.description,
            tags: from_json(&row.tags, "a runner's tags")?,
            run_untagged: row.run_untagged,
            paused: row.paused,
            version: row.version,
            platform: row.platform,
            contacted_at: row.contacted_at,
        })
    }
}

impl RunnerRow {
    /// GitLab's rule: a runner takes a job when it has all the job's tags; a job without tags only
    /// when it is open to such jobs.
    pub(crate) fn fits(&self, tags: &[String]) -> bool {
        if tags.is_empty() {
            self.run_untagged
        } else {
            tags.iter().all(|tag| self.tags.contains(tag))
        }
    }
}

impl Store {
    /// Registers a runner.
    pub(crate) async fn create_runner(&self, new: NewRunner<'_>) -> Result<RunnerId, StoreError> {
        let mut transaction = (self.write.begin().await).during("registering a runner")?;
        let id = sqlx::query_scalar(
            "INSERT INTO runners (fingerprint, description, tags, run_untagged, created_at)
             VALUES ($1, $2, $3, $4, $5) RETURNING id",
        )
        .bind(new.token.fingerprint())
        .bind(&new.description)
        .bind(to_json(&new.tags))
        .bind(new.run_untagged)
        .bind(now())
        .fetch_one(&mut *transaction)
        .await
        .during("registering a runner")?;
        transaction.commit().await.during("registering a runner")?;
        Ok(RunnerId(id))
    }

    /// The runner whose token this is.
    pub(crate) async fn runner_of_token(
        &self,
        token: &Secret,
    ) -> Result<Option<RunnerRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, description, tags, run_untagged, paused, version, platform, contacted_at
             FROM runners WHERE fingerprint = $1",
        )
        .bind(token.fingerprint())
        .fetch_optional(&self.read)
        .await
        .during("looking up a runner")?;
        row.map(RunnerRow::try_from).transpose()
    }

    /// All runners, by number.
    pub(crate) async fn runners(&self) -> Result<Vec<RunnerRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, description, tags, run_untagged, paused, version, platform, contacted_at
             FROM runners ORDER BY id",
        )
        .fetch_all(&self.read)
        .await
        .during("listing runners")?;
        rows.into_iter().map(RunnerRow::try_from).collect()
    }

    /// Notes that a runner has been heard of.
    pub(crate) async fn touch_runner(
        &self,
        runner: RunnerId,
        info: &RunnerInfo,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE runners SET contacted_at = $1, version = coalesce($2, version),
                platform = coalesce($3, platform) WHERE id = $4",
        )
        .bind(now())
        .bind(&info.version)
        .bind(&info.platform)
        .bind(runner.0)
        .execute(&self.write)
        .await
        .during("noting a runner's contact")?;
        Ok(())
    }

    /// Lets a runner rest, or wakes it. Says whether there was one.
    pub(crate) async fn pause_runner(
        &self,
        runner: RunnerId,
        paused: bool,
    ) -> Result<bool, StoreError> {
        sqlx::query("UPDATE runners SET paused = $1 WHERE id = $2")
            .bind(paused)
            .bind(runner.0)
            .execute(&self.write)
            .await
            .during("pausing a runner")
            .map(|done| done.rows_affected() == 1)
    }

    /// Unregisters a runner. Says whether there was one.
    pub(crate) async fn delete_runner(&self, runner: RunnerId) -> Result<bool, StoreError> {
        sqlx::query("DELETE FROM runners WHERE id = $1")
            .bind(runner.0)
            .execute(&self.write)
            .await
            .during("removing a runner")
            .map(|done| done.rows_affected() == 1)
    }
}
