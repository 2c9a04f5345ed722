//! Reading a repository: refs, commits, files.

use model::{CommitId, GitRef};

use crate::{CommitInfo, GitError, ObjectId, Repository};

/// A branch or tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The full name, `refs/tags/v1.0.0`.
    pub name: String,
    /// The object that it points at: a commit, or an annotated tag.
    pub object: ObjectId,
    /// The commit that this leads to.
    pub commit: CommitId,
}

impl Repository {
    /// All branches and tags that lead to a commit, by name.
    ///
    /// # Errors
    /// When git fails.
    pub async fn refs(&self) -> Result<Vec<Reference>, GitError> {
        todo!()
    }

    /// The commit of a branch or tag; none when there is no such ref.
    ///
    /// # Errors
    /// When git fails.
    pub async fn resolve(&self, name: &GitRef) -> Result<Option<CommitId>, GitError> {
        let _ = name;
        todo!()
    }

    /// What a commit says about itself; none when there is no such commit.
    ///
    /// # Errors
    /// When git fails.
    pub async fn commit(&self, id: &CommitId) -> Result<Option<CommitInfo>, GitError> {
        let _ = id;
        todo!()
    }

    /// The content of a file; none when the commit has no such file.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] when it has more than `limit` bytes; when git fails.
    pub async fn read_file(
        &self,
        commit: &CommitId,
        path: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, GitError> {
        let _ = (commit, path, limit);
        todo!()
    }

    /// The paths of all files of a commit, in git's order.
    ///
    /// # Errors
    /// When there is no such commit, or too many files; when git fails.
    pub async fn list_files(&self, commit: &CommitId) -> Result<Vec<String>, GitError> {
        let _ = commit;
        todo!()
    }

    /// The paths that differ between two commits; all files of `new` when there is no `old`.
    ///
    /// # Errors
    /// When there is no such commit; when git fails.
    pub async fn changed_files(
        &self,
        old: Option<&CommitId>,
        new: &CommitId,
    ) -> Result<Vec<String>, GitError> {
        let _ = (old, new);
        todo!()
    }

    /// The branch that a clone checks out. It need not exist yet in an empty repository.
    ///
    /// # Errors
    /// When git fails.
    pub async fn default_branch(&self) -> Result<GitRef, GitError> {
        todo!()
    }

    /// Makes this branch the one that a clone checks out.
    ///
    /// # Errors
    /// When git fails.
    pub async fn set_default_branch(&self, branch: &GitRef) -> Result<(), GitError> {
        let _ = branch;
        todo!()
    }

    /// The message of an annotated tag, without its signature; none for a lightweight tag.
    ///
    /// # Errors
    /// When git fails.
    pub async fn tag_message(&self, tag: &GitRef) -> Result<Option<String>, GitError> {
        let _ = tag;
        todo!()
    }

    /// Deletes a branch or tag; nothing happens when there is none.
    ///
    /// # Errors
    /// When git fails.
    pub async fn delete_ref(&self, name: &GitRef) -> Result<(), GitError> {
        let _ = name;
        todo!()
    }
}
