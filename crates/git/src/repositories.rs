//! The folder of all repositories.

use std::path::{Path, PathBuf};

use crate::{GitError, RepositoryKey};

/// All repositories below one folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repositories {}

/// One repository that exists. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    key: RepositoryKey,
    folder: PathBuf,
}

impl Repositories {
    /// Opens the folder, making it when it is not there, and clears away what a crash left behind.
    ///
    /// # Errors
    /// When git is missing or the folder cannot be written.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self, GitError> {
        let _ = root.into();
        todo!()
    }

    /// The repository of this key, made empty when it is not there. It appears whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub async fn create(&self, key: &RepositoryKey) -> Result<Repository, GitError> {
        let _ = key;
        todo!()
    }

    /// Whether there is a repository of this key.
    pub fn exists(&self, key: &RepositoryKey) -> bool {
        let _ = key;
        todo!()
    }

    /// The repository of this key.
    ///
    /// # Errors
    /// [`GitError::NotFound`].
    pub fn get(&self, key: &RepositoryKey) -> Result<Repository, GitError> {
        let _ = key;
        todo!()
    }

    /// Removes a repository with all its history; nothing happens when there is none.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub async fn remove(&self, key: &RepositoryKey) -> Result<(), GitError> {
        let _ = key;
        todo!()
    }
}

impl Repository {
    /// Its key.
    pub fn key(&self) -> &RepositoryKey {
        &self.key
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
