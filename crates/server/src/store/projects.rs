//! Groups, projects and the refs that have been seen.

use std::collections::BTreeMap;

use model::{GroupPath, JobId, ProjectId, ProjectPath};
use sqlx::SqliteConnection;

use super::error::is_taken;
use super::numbers::{self, Numbered};
use super::{During, Store, StoreError, now};

/// A git repository with its settings.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Project {
    #[sqlx(try_from = "i64")]
    pub id: ProjectId,
    #[sqlx(try_from = "String")]
    pub path: ProjectPath,
    /// Whether a newer pipeline of a ref cancels older ones.
    pub auto_cancel: bool,
    pub created_at: i64,
}

/// What was known of a project that is gone.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// The trigger jobs that have started its pipelines, its own among them.
    pub above: Vec<JobId>,
    /// Its jobs, in all their attempts: their files are nobody's now.
    pub jobs: Vec<JobId>,
}

/// A group of projects.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Group {
    pub id: i64,
    #[sqlx(try_from = "String")]
    pub path: GroupPath,
}

/// What each full ref name (`refs/tags/v1`) points to.
pub(crate) type RefTarget = BTreeMap<String, String>;

impl Store {
    /// Makes a project and the groups that it lies in.
    pub(crate) async fn create_project(&self, path: &ProjectPath) -> Result<Project, StoreError> {
        let mut transaction = self.write.begin().await.during("making a project")?;
        let group = path.group();
        for group in group.ancestry() {
            insert_group(&mut transaction, group).await?;
        }
        let id = numbers::next(&mut transaction, Numbered::Projects).await?;
        let project = sqlx::query_as(
            "INSERT INTO projects (id, path, created_at) VALUES ($1, $2, $3) RETURNING id, path, auto_cancel, created_at",
        )
        .bind(id)
        .bind(path.as_str())
        .bind(now())
        .fetch_one(&mut *transaction)
        .await
        .map_err(|source| {
            if is_taken(&source) {
                StoreError::Taken {
                    what: format!("the project {path}"),
                }
            } else {
                StoreError::Database {
                    operation: "making a project",
                    source,
                }
            }
        })?;
        transaction.commit().await.during("making a project")?;
        Ok(project)
    }

    /// Removes a project with its pipelines, variables and members.
    pub(crate) async fn delete_project(&self, id: ProjectId) -> Result<Deleted, StoreError> {
        let mut transaction = self.write.begin().await.during("removing a project")?;
        let above: Vec<i64> = sqlx::query_scalar(
            "SELECT upstream_job FROM pipelines WHERE project_id = $1 AND upstream_job IS NOT NULL",
        )
        .bind(id.0)
        .fetch_all(&mut *transaction)
        .await
        .during("looking for what is above a project's pipelines")?;
        let jobs: Vec<i64> = sqlx::query_scalar("SELECT id FROM jobs WHERE project_id = $1")
            .bind(id.0)
            .fetch_all(&mut *transaction)
            .await
            .during("listing a project's jobs")?;
        sqlx::query("DELETE FROM variables WHERE owner = 'project' AND owner_id = $1")
            .bind(id.0)
            .execute(&mut *transaction)
            .await
            .during("removing a project's variables")?;
        sqlx::query("DELETE FROM members WHERE path = (SELECT path FROM projects WHERE id = $1)")
            .bind(id.0)
            .execute(&mut *transaction)
            .await
            .during("removing a project's members")?;
        sqlx::query("DELETE FROM projects WHERE id = $1")
            .bind(id.0)
            .execute(&mut *transaction)
            .await
            .during("removing a project")?;
        transaction.commit().await.during("removing a project")?;
        Ok(Deleted {
            above: above.into_iter().map(JobId).collect(),
            jobs: jobs.into_iter().map(JobId).collect(),
        })
    }

    /// The project at this path.
    pub(crate) async fn project_by_path(&self, path: &str) -> Result<Option<Project>, StoreError> {
        sqlx::query_as("SELECT id, path, auto_cancel, created_at FROM projects WHERE path = $1")
            .bind(path)
            .fetch_optional(&self.read)
            .await
            .during("reading a project")
    }

    /// The project with this number.
    pub(crate) async fn project(&self, id: ProjectId) -> Result<Option<Project>, StoreError> {
        sqlx::query_as("SELECT id, path, auto_cancel, created_at FROM projects WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&self.read)
            .await
            .during("reading a project")
    }

    /// All projects, by path.
    pub(crate) async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        sqlx::query_as("SELECT id, path, auto_cancel, created_at FROM projects ORDER BY path")
            .fetch_all(&self.read)
            .await
            .during("listing projects")
    }

    /// Makes a group, and those around it, where they are missing.
    pub(crate) async fn create_group(&self, path: &GroupPath) -> Result<Group, StoreError> {
        let mut transaction = self.write.begin().await.during("making a group")?;
        for group in path.ancestry() {
            insert_group(&mut transaction, group).await?;
        }
        let group = sqlx::query_as("SELECT id, path FROM groups WHERE path = $1")
            .bind(path.as_str())
            .fetch_one(&mut *transaction)
            .await
            .during("making a group")?;
        transaction.commit().await.during("making a group")?;
        Ok(group)
    }

    /// The group at this path.
    pub(crate) async fn group_by_path(&self, path: &str) -> Result<Option<Group>, StoreError> {
        sqlx::query_as("SELECT id, path FROM groups WHERE path = $1")
            .bind(path)
            .fetch_optional(&self.read)
            .await
            .during("reading a group")
    }

    /// The group with this number.
    pub(crate) async fn group(&self, id: i64) -> Result<Option<Group>, StoreError> {
        sqlx::query_as("SELECT id, path FROM groups WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.read)
            .await
            .during("reading a group")
    }

    /// All groups, by path.
    pub(crate) async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        sqlx::query_as("SELECT id, path FROM groups ORDER BY path")
            .fetch_all(&self.read)
            .await
            .during("listing groups")
    }

    /// The refs of a project whose updates have been dealt with.
    pub(crate) async fn seen_refs(&self, project: ProjectId) -> Result<RefTarget, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT name, target FROM refs WHERE project_id = $1")
                .bind(project.0)
                .fetch_all(&self.read)
                .await
                .during("reading the refs seen")?;
        Ok(rows.into_iter().collect())
    }

    /// Notes that an update of a ref has been dealt with without a pipeline. No target: it is gone.
    pub(crate) async fn mark_ref_seen(
        &self,
        project: ProjectId,
        name: &str,
        target: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut connection = self.write.acquire().await.during("noting a ref")?;
        note_ref(&mut connection, project, name, target).await
    }
}

async fn insert_group(connection: &mut SqliteConnection, path: &str) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO groups (path, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(path)
        .bind(now())
        .execute(connection)
        .await
        .during("making a group")?;
    Ok(())
}

/// Part of whatever transaction deals with the update.
pub(super) async fn note_ref(
    connection: &mut SqliteConnection,
    project: ProjectId,
    name: &str,
    target: Option<&str>,
) -> Result<(), StoreError> {
    let query = match target {
        Some(target) => sqlx::query(
            "INSERT OR REPLACE INTO refs (project_id, name, target) VALUES ($1, $2, $3)",
        )
        .bind(project.0)
        .bind(name)
        .bind(target),
        None => sqlx::query("DELETE FROM refs WHERE project_id = $1 AND name = $2")
            .bind(project.0)
            .bind(name),
    };
    query.execute(connection).await.during("noting a ref")?;
    Ok(())
}
