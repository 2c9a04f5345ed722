//! What can go wrong with the database, always with the operation that was under way.

use model::PipelineId;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite failed.
    #[error("the database failed while {operation}")]
    Database {
        /// What was under way, as in "reading a project".
        operation: &'static str,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// The file was written by a later version of Lotse.
    #[error(
        "the database has schema {found}, this version of lotse knows up to {known}: start the newer lotse that wrote it"
    )]
    Newer {
        /// The version in the file.
        found: i64,
        /// The version this binary writes.
        known: i64,
    },
    /// A name that must be unique is taken.
    #[error("{what} exists already")]
    Taken {
        /// The thing, with its name.
        what: String,
    },
    /// One pipeline has led to as many as it may.
    #[error("pipeline #{root} has led to {most} pipelines, and may to no more")]
    Full {
        /// The pipeline that started it all.
        root: PipelineId,
        /// How many it may lead to, with itself.
        most: i64,
    },
    /// A stored value cannot be read back.
    #[error("{what} in the database is damaged")]
    Damaged {
        /// The thing, with its name.
        what: String,
    },
}

/// Says what was under way when the database failed.
pub(crate) trait During<T> {
    /// Turns the database's error into ours; `operation` continues "the database failed while …".
    fn during(self, operation: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, sqlx::Error> {
    fn during(self, operation: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Database { operation, source })
    }
}

/// Whether a write failed because a unique name is taken.
pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Reads back a column that holds JSON.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(
    text: &str,
    what: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Damaged {
        what: what.to_owned(),
    })
}

/// Writes a column that holds JSON.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types have text keys only, so they are JSON")
}
