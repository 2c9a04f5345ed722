//! A commit's own words: who, when, why.

use jiff::Zoned;
use model::CommitId;

/// What a commit says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitId,
    /// Its parents, the first one first.
    pub parents: Vec<CommitId>,
    /// Who wrote the change.
    pub author: Signature,
    /// Who made the commit.
    pub committer: Signature,
    /// The message's first line.
    pub title: String,
    /// The whole message.
    pub message: String,
    /// `CI_COMMIT_DESCRIPTION`: the message without its first line; the whole message when the
    /// first line has 100 characters or more.
    pub description: String,
}

/// A person and a moment, as a commit records them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name; may be empty.
    pub name: String,
    /// The address; may be empty.
    pub email: String,
    /// When, with the person's own offset from UTC.
    pub time: Zoned,
}

impl Signature {
    /// `Name <address>`, as in `CI_COMMIT_AUTHOR`.
    pub fn name_and_email(&self) -> String {
        format!("{} <{}>", self.name, self.email)
    }

    /// ISO 8601 with the person's offset, `2026-11-22T10:00:00+01:00`, as in
    /// `CI_COMMIT_TIMESTAMP`.
    pub fn iso8601(&self) -> String {
        self.time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }
}
