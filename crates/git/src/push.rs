//! What a push did, for the caller.

use model::{CommitId, GitRef};

use crate::ObjectId;

/// The outcome of one push, given to the caller when the refs are stored and before the client
/// hears of it.
#[derive(Debug, Clone, Default)]
pub struct Push {
    /// What was changed, in the order in which the client named it.
    pub updates: Vec<RefUpdate>,
    /// What was refused.
    pub rejected: Vec<Rejected>,
    /// The texts of `git push -o …`, such as `ci.skip`.
    pub options: Vec<String>,
}

/// One changed ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// The full name, `refs/heads/main`.
    pub name: String,
    /// What it pointed at; none when it is new.
    pub old: Option<ObjectId>,
    /// What it points at; none when it is deleted.
    pub new: Option<ObjectId>,
    /// The commit that `new` is or, for an annotated tag, leads to. None when the ref was deleted
    /// or leads to no commit.
    pub commit: Option<CommitId>,
}

/// One refused change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The full name of the ref.
    pub name: String,
    /// git's reason, such as `hook declined` or `failed to update ref`.
    pub reason: String,
}

impl RefUpdate {
    /// The branch or tag, if it is one.
    pub fn git_ref(&self) -> Option<GitRef> {
        self.name.parse().ok()
    }

    /// Whether the ref did not exist before.
    pub fn is_new(&self) -> bool {
        self.old.is_none()
    }

    /// Whether the ref does not exist any more.
    pub fn is_deleted(&self) -> bool {
        self.new.is_none()
    }
}
