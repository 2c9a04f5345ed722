//! The only place that knows SQL: users, projects, variables, runners, pipelines and jobs in one
//! SQLite file.
//!
//! Rows are types of their own, converted at this module's edge. Every public method is one
//! transaction; what belongs together is written together. A statement that returns what it has written is
//! committed by name: by itself it would not say that the disk is full. Writes go through a single connection, so
//! none waits for a lock held by another; reads have connections of their own (write-ahead log).

mod artifacts;
mod downstream;
mod error;
mod jobs;
mod numbers;
mod pipelines;
mod projects;
mod resource_groups;
mod runners;
mod superseded;
mod users;
mod variables;
mod vault;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection, SqlitePool};

pub(crate) use artifacts::{ArtifactRow, NewArtifact};
pub(crate) use error::{During, StoreError};
pub(crate) use jobs::{Assignment, JobRow, JobUpdate, NewJob};
pub(crate) use pipelines::{Above, NewPipeline, PipelineRow, PipelineUpdate};
pub(crate) use projects::{Group, Project};
pub(crate) use resource_groups::ResourceGroup;
pub(crate) use runners::{NewRunner, RunnerInfo, RunnerRow};
pub(crate) use users::{Member, NewToken, TokenRow, User};
pub(crate) use variables::{NewVariable, Owner, VariableRow};
pub(crate) use vault::Vault;

/// What makes each version of the schema from the one before, the first from nothing. SQLite's
/// `user_version` counts those that were carried out; what was released once stays as it is.
const MIGRATIONS: [&str; 6] = [
    include_str!("schema.sql"),
    include_str!("schema/downstream.sql"),
    include_str!("schema/auto_cancel.sql"),
    include_str!("schema/resource_groups.sql"),
    include_str!("schema/artifacts.sql"),
    include_str!("schema/numbers.sql"),
];

/// The database.
#[derive(Clone)]
pub(crate) struct Store {
    read: SqlitePool,
    write: SqlitePool,
    vault: Vault,
}

impl Store {
    /// Opens the database file, making it at the first start, and brings its schema up to date.
    pub(crate) async fn open(file: &Path, vault: Vault) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .before_acquire(|connection, _| Box::pin(async { Ok(is_between(connection)) }))
            .connect_with(options.clone())
            .await
            .during("opening the database")?;
        migrate(&write).await?;
        let read = SqlitePoolOptions::new()
            .max_connections(3)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .during("opening the database for reading")?;
        Ok(Self { read, write, vault })
    }

    /// A value kept under a name of our own, such as a registration token.
    pub(crate) async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT value FROM settings WHERE key = $1")
            .bind(key)
            .fetch_optional(&self.read)
            .await
            .during("reading a setting")
    }

    /// Keeps a value under a name of our own.
    pub(crate) async fn set_setting(&self, key: &str, value: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT OR REPLACE INTO settings (key, value) VALUES ($1, $2)")
            .bind(key)
            .bind(value)
            .execute(&self.write)
            .await
            .during("writing a setting")?;
        Ok(())
    }
}

/// Whether a connection is between two transactions, as far as it knows. SQLite ends a transaction by itself
/// when the disk is full, its library then counts one that is not there, and takes the next for a part of
/// it, which would never be written. Such a connection is closed, and another one opened.
fn is_between(connection: &SqliteConnection) -> bool {
    let is = !connection.is_in_transaction();
    if !is {
        tracing::warn!("a transaction did not end well: the database is opened anew");
    }
    is
}

async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    let found: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(pool)
        .await
        .during("reading the schema's version")?;
    let known = MIGRATIONS.len();
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    if done > known {
        return Err(StoreError::Newer {
            found,
            known: i64::try_from(known).unwrap_or(i64::MAX),
        });
    }
    for (version, migration) in (1..).zip(MIGRATIONS).skip(done) {
        let mut transaction = pool.begin().await.during("starting the migration")?;
        sqlx::raw_sql(migration)
            .execute(&mut *transaction)
            .await
            .during("making the schema")?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "PRAGMA user_version = {version}"
        )))
        .execute(&mut *transaction)
        .await
        .during("writing the schema's version")?;
        transaction.commit().await.during("making the schema")?;
    }
    Ok(())
}

/// A part of a long list, counted from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub number: i64,
    pub size: i64,
}

impl Page {
    fn offset(self) -> i64 {
        (self.number - 1).saturating_mul(self.size)
    }
}

/// Milliseconds since 1970 in UTC.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn version(file: &Path, change: Option<&'static str>) -> i64 {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        if let Some(change) = change {
            sqlx::raw_sql(change).execute(&pool).await.unwrap();
        }
        let version = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&pool)
            .await
            .unwrap();
        pool.close().await;
        version
    }

    /// A file of the first version, with a project in it, is what a new one is after it was opened.
    #[tokio::test]
    async fn an_older_file_is_brought_up_to_date_and_a_newer_one_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let vault = || Vault::open(&folder.path().join("key")).unwrap();
        let old = folder.path().join("old.sqlite");
        version(&old, Some(MIGRATIONS[0])).await;
        let filled =
            "PRAGMA user_version = 1; INSERT INTO projects (path, created_at) VALUES ('a/b', 1)";
        assert_eq!(version(&old, Some(filled)).await, 1);
        for _ in 0..2 {
            let store = Store::open(&old, vault()).await.unwrap();
            assert_eq!(store.projects().await.unwrap().len(), 1);
            assert_eq!(store.triggers_to_start().await.unwrap(), []);
        }
        let known = i64::try_from(MIGRATIONS.len()).unwrap();
        assert_eq!(version(&old, None).await, known);
        version(&old, Some("PRAGMA user_version = 1000")).await;
        let Err(error) = Store::open(&old, vault()).await else {
            panic!("a later lotse wrote this file");
        };
        assert!(
            matches!(error, StoreError::Newer { found: 1000, .. }),
            "{error}"
        );
        assert_eq!(version(&old, None).await, 1000);
    }

    /// What is acknowledged after the disk was full, others see too.
    #[tokio::test]
    async fn a_full_disk_spoils_no_later_transaction() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(&folder.path().join("key")).unwrap();
        let store = Store::open(&folder.path().join("db"), vault).await.unwrap();
        let path = "site/web".parse().unwrap();
        let id = store.create_project(&path).await.unwrap().id;
        let pages = |count: u32| {
            let limit = format!("PRAGMA max_page_count = {count}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(limit)).execute(&store.write)
        };
        pages(1).await.unwrap();
        let mut connection = store.write.begin().await.unwrap();
        let grown = sqlx::query("UPDATE projects SET path = $2 WHERE id = $1")
            .bind(id.0)
            .bind("x".repeat(1 << 20))
            .execute(&mut *connection)
            .await;
        assert!(grown.unwrap_err().to_string().contains("full"));
        drop(connection);

        // there is room again; something else goes wrong, as it may
        pages(1_000_000).await.unwrap();
        let taken = store.create_project(&path).await;
        assert!(matches!(taken, Err(StoreError::Taken { .. })));
        store.create_user("developer", false).await.unwrap();
        assert_eq!(store.users().await.unwrap().len(), 1);
        let other = "site/api".parse().unwrap();
        store.create_project(&other).await.unwrap();
        assert_eq!(store.projects().await.unwrap().len(), 2);
    }
}
