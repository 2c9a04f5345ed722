//! The id of any object: commit, tree, blob or annotated tag.

use std::fmt;
use std::str::FromStr;

use model::{CommitId, CommitIdError};

/// The full id of an object of any kind. A [`CommitId`] is one whose object is known to be a
/// commit; an annotated tag has an id of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectId(CommitId);

impl ObjectId {
    /// All hexadecimal digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Reads the id in git's wire format, in which zeros say "no object".
    pub(crate) fn from_wire(text: &str) -> Result<Option<Self>, CommitIdError> {
        let id: Self = text.parse()?;
        Ok(Some(id).filter(|id| id.as_str().bytes().any(|byte| byte != b'0')))
    }

    /// The same id, now known to be a commit's.
    pub(crate) fn into_commit(self) -> CommitId {
        self.0
    }
}

impl FromStr for ObjectId {
    type Err = CommitIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl From<CommitId> for ObjectId {
    fn from(id: CommitId) -> Self {
        Self(id)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
