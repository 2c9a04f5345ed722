//! The questions that the registry asks of whoever mounts it: who is this, and may they do that.
//!
//! The registry knows no users, projects or roles. It knows an [`Identity`] only as a text that
//! [`Access`] made and that comes back to it.

use std::fmt;

use futures_util::future::BoxFuture;
use model::Secret;

use crate::RepositoryName;

/// Answers who a caller is and what they may do. It is asked at every request, so it should be
/// quick: one look into a database, not a slow password hash.
pub trait Access: Send + Sync + 'static {
    /// Who logs in with this name and password (or token in a password's place); `None` when they
    /// do not fit.
    fn authenticate<'a>(
        &'a self,
        user: &'a str,
        password: &'a Secret,
    ) -> BoxFuture<'a, Result<Option<Identity>, AccessError>>;

    /// Whether this identity, or a caller without any, may do this with this repository.
    ///
    /// A repository exists as soon as [`Permission::Granted`] is said of it: the registry makes it
    /// with the first push. Whoever may create projects by pushing is granted the push.
    fn permitted<'a>(
        &'a self,
        identity: Option<&'a Identity>,
        repository: &'a RepositoryName,
        action: Action,
    ) -> BoxFuture<'a, Result<Permission, AccessError>>;
}

/// Why a question could not be answered, such as a database that does not respond. The caller sees
/// status 500; the log sees this.
pub type AccessError = Box<dyn std::error::Error + Send + Sync>;

/// Who a caller is, in the words of [`Access`]: `user:7`, `job:42`. It travels inside signed tokens
/// that the client can read, so it must hold no secret, and should be short.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity(String);

impl Identity {
    /// An identity by this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a caller wants to do with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read images, tags and referrers.
    Pull,
    /// Upload blobs and put manifests.
    Push,
    /// Delete manifests, tags and blobs.
    Delete,
}

impl Action {
    /// The actions as a token's scope names them (Docker registry, "Token Scope Documentation").
    pub(crate) fn scope(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull from",
            Self::Push => "push to",
            Self::Delete => "delete from",
        })
    }
}

/// The answer to what a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// They may.
    Granted,
    /// They may not, and may know that the repository exists.
    Denied,
    /// No project has this repository, or the caller may not know of it.
    UnknownRepository,
}
