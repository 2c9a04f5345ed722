//! The branch that a clone checks out.

use std::io;

use model::{GitRef, RefKind};

use crate::{GitError, Push, RefUpdate, Repository};

impl Repository {
    /// The branch that a clone checks out. It need not exist yet in an empty repository.
    ///
    /// # Errors
    /// When the repository's files cannot be read.
    pub async fn default_branch(&self) -> Result<GitRef, GitError> {
        let failed = || GitError::files(format!("read the default branch of `{}`", self.key()));
        let head = fs_err::tokio::read_to_string(self.folder().join("HEAD"))
            .await
            .map_err(failed())?;
        let name = head.trim().strip_prefix("ref: ").unwrap_or_default();
        name.parse()
            .map_err(|error| failed()(io::Error::new(io::ErrorKind::InvalidData, error)))
    }

    /// Makes this branch the one that a clone checks out.
    ///
    /// # Errors
    /// When `branch` is a tag; when git fails.
    pub async fn set_default_branch(&self, branch: &GitRef) -> Result<(), GitError> {
        if branch.kind != RefKind::Branch {
            return Err(GitError::invalid("a tag cannot be the default branch"));
        }
        let git = self.git("symbolic-ref").args(["HEAD", &branch.full()]);
        git.output(b"", 1000).await.map(drop)
    }

    /// In a repository whose default branch does not exist, a pushed branch becomes it.
    pub(crate) async fn settle_default_branch(&self, push: &Push) -> Result<(), GitError> {
        let created = push.updates.iter().filter(|update| update.is_new());
        let branches: Vec<_> = created
            .filter_map(RefUpdate::git_ref)
            .filter(|name| name.kind == RefKind::Branch)
            .collect();
        let usual = |name: &&GitRef| matches!(name.name(), "main" | "master");
        let Some(first) = branches.iter().find(usual).or(branches.first()) else {
            return Ok(());
        };
        let head = self.default_branch().await?;
        if self.resolve(&head).await?.is_none() {
            self.set_default_branch(first).await?;
        }
        Ok(())
    }
}
