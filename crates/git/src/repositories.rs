//! The folder of all repositories.
//!
//! `KEY.git` is a repository; `hooks` holds the one hook that pushes use; `tmp` what is being
//! made or removed. A repository appears and disappears by one rename.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::command::{Git, check_version};
use crate::{GitError, RepositoryKey, rules, tidy};

/// All repositories below one folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repositories {
    folders: Arc<Folders>,
}

/// One repository that exists. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    key: RepositoryKey,
    folder: PathBuf,
    folders: Arc<Folders>,
}

/// Where things are.
#[derive(Debug)]
pub(crate) struct Folders {
    root: PathBuf,
    pub(crate) hooks: PathBuf,
    temporary: PathBuf,
    counter: AtomicU64,
}

impl Repositories {
    /// Opens the folder, making it when it is not there, and clears away what a crash left behind.
    ///
    /// # Errors
    /// When git is missing or the folder cannot be written.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self, GitError> {
        let given = root.into();
        let root = tokio::task::spawn_blocking(move || prepare(&given))
            .await
            .map_err(io::Error::other)
            .and_then(|prepared| prepared)
            .map_err(GitError::files("prepare the folder of the repositories"))?;
        check_version(&root).await?;
        let folders = Folders {
            hooks: root.join("hooks"),
            temporary: root.join("tmp"),
            counter: AtomicU64::new(0),
            root,
        };
        Ok(Self {
            folders: Arc::new(folders),
        })
    }

    /// The repository of this key, made empty when it is not there. It appears whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub async fn create(&self, key: &RepositoryKey) -> Result<Repository, GitError> {
        if let Ok(repository) = self.get(key) {
            return Ok(repository);
        }
        let new = self.folders.temporary(key.as_str());
        Git::new("init", &self.folders.root)
            .args(["--quiet", "--bare", "--template=", "--initial-branch=main"])
            .args([&new])
            .output(b"", 1000)
            .await?;
        self.put_in_place(&new, key)
            .await
            .map_err(GitError::files(format!("create the repository `{key}`")))?;
        self.get(key)
    }

    /// Whoever comes second finds the repository of the first, which serves as well.
    async fn put_in_place(&self, new: &Path, key: &RepositoryKey) -> io::Result<()> {
        for file in ["HEAD", "config"] {
            let file = fs_err::tokio::OpenOptions::new()
                .read(true)
                .open(new.join(file))
                .await?;
            file.sync_all().await?;
        }
        if let Err(error) = fs_err::tokio::rename(new, self.folder(key)).await {
            fs_err::tokio::remove_dir_all(new).await?;
            return if self.exists(key) { Ok(()) } else { Err(error) };
        }
        fs_err::tokio::File::open(&self.folders.root)
            .await?
            .sync_all()
            .await
    }

    /// Whether there is a repository of this key.
    pub fn exists(&self, key: &RepositoryKey) -> bool {
        self.folder(key).is_dir()
    }

    /// The repository of this key.
    ///
    /// # Errors
    /// [`GitError::NotFound`].
    pub fn get(&self, key: &RepositoryKey) -> Result<Repository, GitError> {
        if !self.exists(key) {
            return Err(GitError::NotFound { key: key.clone() });
        }
        Ok(Repository {
            key: key.clone(),
            folder: self.folder(key),
            folders: Arc::clone(&self.folders),
        })
    }

    /// Removes a repository with all its history; nothing happens when there is none.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub async fn remove(&self, key: &RepositoryKey) -> Result<(), GitError> {
        let removed = self.folders.temporary(key.as_str());
        let outcome = match fs_err::tokio::rename(self.folder(key), &removed).await {
            Ok(()) => fs_err::tokio::remove_dir_all(&removed).await,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        outcome.map_err(GitError::files(format!("remove the repository `{key}`")))
    }

    fn folder(&self, key: &RepositoryKey) -> PathBuf {
        self.folders.root.join(format!("{key}.git"))
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

    /// A git command for this repository.
    pub(crate) fn git(&self, operation: &'static str) -> Git {
        Git::in_repository(operation, &self.folder)
    }

    pub(crate) fn folders(&self) -> &Folders {
        &self.folders
    }
}

impl Folders {
    /// A path in `tmp` that nobody else uses.
    pub(crate) fn temporary(&self, name: &str) -> PathBuf {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        self.temporary.join(format!("{name}-{process}-{number}"))
    }
}

/// Makes the folders and the hook, and returns the absolute path.
fn prepare(root: &Path) -> io::Result<PathBuf> {
    for folder in ["hooks", "tmp"] {
        fs_err::create_dir_all(root.join(folder))?;
    }
    let root = fs_err::canonicalize(root)?;
    rules::write_hook(&root)?;
    tidy::after_crash(&root)?;
    Ok(root)
}
