//! Resource groups: which there are, and in which order their jobs take turns.

use model::ProjectId;
use pipeline::ProcessMode;
use sqlx::SqliteConnection;

use super::{During, Store, StoreError, now};

/// A resource group that a job has named.
#[derive(Debug, Clone)]
pub(crate) struct ResourceGroup {
    pub id: i64,
    pub key: String,
    pub mode: ProcessMode,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    key: String,
    mode: String,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<Row> for ResourceGroup {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let damaged = |_| StoreError::Damaged {
            what: format!("the resource group {}", row.key),
        };
        Ok(Self {
            mode: row.mode.parse().map_err(damaged)?,
            id: row.id,
            key: row.key,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl Store {
    /// The resource groups of a project, by name.
    pub(crate) async fn resource_groups(
        &self,
        project: ProjectId,
    ) -> Result<Vec<ResourceGroup>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as("SELECT * FROM resource_groups WHERE project_id = $1 ORDER BY key")
                .bind(project.0)
                .fetch_all(&self.read)
                .await
                .during("listing resource groups")?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// The resource group of this name.
    pub(crate) async fn resource_group(
        &self,
        project: ProjectId,
        key: &str,
    ) -> Result<Option<ResourceGroup>, StoreError> {
        let row: Option<Row> =
            sqlx::query_as("SELECT * FROM resource_groups WHERE project_id = $1 AND key = $2")
                .bind(project.0)
                .bind(key)
                .fetch_optional(&self.read)
                .await
                .during("reading a resource group")?;
        row.map(TryInto::try_into).transpose()
    }

    /// Sets the order of a resource group. Says whether there is one of this name.
    pub(crate) async fn set_process_mode(
        &self,
        project: ProjectId,
        key: &str,
        mode: ProcessMode,
    ) -> Result<bool, StoreError> {
        sqlx::query(
            "UPDATE resource_groups SET mode = $3, updated_at = $4 WHERE project_id = $1 AND key = $2",
        )
        .bind(project.0)
        .bind(key)
        .bind(mode.as_str())
        .bind(now())
        .execute(&self.write)
        .await
        .during("changing a resource group")
        .map(|done| done.rows_affected() == 1)
    }
}

/// Part of the transaction that makes a job.
pub(super) async fn note_group(
    connection: &mut SqliteConnection,
    project: ProjectId,
    key: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO resource_groups (project_id, key, created_at, updated_at)
         VALUES ($1, $2, $3, $3) ON CONFLICT DO NOTHING",
    )
    .bind(project.0)
    .bind(key)
    .bind(now())
    .execute(connection)
    .await
    .during("noting a resource group")?;
    Ok(())
}
