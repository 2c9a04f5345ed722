//! What can go wrong, by what the caller should answer.

use std::io;
use std::path::PathBuf;

use crate::RepositoryKey;

/// Why an operation on a repository failed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No such repository. HTTP: 404.
    #[error("there is no repository `{key}`")]
    NotFound {
        /// The key that was asked for.
        key: RepositoryKey,
    },
    /// The request is not what the protocol allows. HTTP: 400.
    #[error("the request is not valid: {reason}")]
    InvalidRequest {
        /// What is wrong with it, for the user.
        reason: String,
    },
    /// More than the limit was sent or asked for. HTTP: 413.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// The client went away or stalled in the middle of its request. HTTP: 408, if anyone listens.
    #[error("the request ended early")]
    Interrupted(#[source] io::Error),
    /// A git process ended with an error. HTTP: 500.
    #[error("`git {operation}` failed in `{repository}`: {message}")]
    Failed {
        /// The subcommand, such as `for-each-ref`.
        operation: &'static str,
        /// The repository's folder.
        repository: PathBuf,
        /// The end of its error output, one line.
        message: String,
    },
    /// A git process could not be started or talked to. HTTP: 500.
    #[error("cannot run `git {operation}` (is git installed and on the PATH?)")]
    Process {
        /// The subcommand.
        operation: &'static str,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The files of the repositories could not be read or written. HTTP: 500.
    #[error("cannot {operation}")]
    Files {
        /// What was to be done.
        operation: String,
        /// What the system says; it names the path.
        #[source]
        source: io::Error,
    },
}

impl GitError {
    pub(crate) fn files(operation: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let operation = operation.into();
        move |source| Self::Files { operation, source }
    }

    pub(crate) fn process(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Process { operation, source }
    }

    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::InvalidRequest {
            reason: reason.into(),
        }
    }
}
