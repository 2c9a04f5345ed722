//! Numbers of what files are kept of: each is given out once, also when what had it is removed.

use sqlx::SqliteConnection;

use super::{During, StoreError};

/// What has such numbers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numbered {
    Projects,
    Pipelines,
    Jobs,
}

/// The next number. Part of the transaction that makes what gets it.
pub(super) async fn next(
    connection: &mut SqliteConnection,
    what: Numbered,
) -> Result<i64, StoreError> {
    let what = match what {
        Numbered::Projects => "projects",
        Numbered::Pipelines => "pipelines",
        Numbered::Jobs => "jobs",
    };
    sqlx::query_scalar("UPDATE numbers SET last = last + 1 WHERE what = $1 RETURNING last")
        .bind(what)
        .fetch_one(connection)
        .await
        .during("giving out a number")
}
