//! Images as plain files in one folder. Everything here blocks and knows no HTTP.
//!
//! ```text
//! blobs/sha256/ab/<hex>                  contents, each once, checked before it gets its name
//! repositories/<name>/_blobs/<hex>       empty: the blob is visible in this repository
//! repositories/<name>/_manifests/<hex>   the manifest's media type; its content is a blob
//! repositories/<name>/_tags/<tag>        a manifest's digest
//! repositories/<name>/_referrers/<subject>/<hex>   a descriptor, for the referrers API
//! uploads/<id>-<repository's hash>       blobs that are being sent
//! tmp/                                   files that do not have their name yet
//! ```
//!
//! No part of a repository's name begins with `_`, so names and folders cannot be mixed up. Files
//! appear under their names complete and synced, or not at all, whenever the process ends.

mod blobs;
mod durable;
mod manifests;
mod uploads;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Digest;

pub(crate) use self::manifests::PutOutcome;
use self::uploads::Uploads;
pub(crate) use self::uploads::{CommitOutcome, OpenUpload, Upload, UploadId};
use crate::RepositoryName;
use crate::name::Tag;

/// The store of images. Clones share it.
///
/// One process at a time may write to a folder.
#[derive(Debug, Clone)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    uploads: Uploads,
    /// Held while a manifest or tag is written and while anything is deleted, so that a manifest is
    /// never accepted while something it refers to goes away. Blobs come in without it.
    changes: Mutex<()>,
}

/// The disk did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[error("the registry cannot {operation}")]
pub struct Error {
    operation: String,
    source: io::Error,
}

impl Error {
    /// Whether the disk is full, or the quota used up.
    pub fn is_full_disk(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Names the operation that an I/O error ended.
trait Context<T> {
    fn context(self, operation: impl Into<String>) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, operation: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error {
            operation: operation.into(),
            source,
        })
    }
}

impl Registry {
    /// Opens the store in this folder, and makes it when there is none.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        for folder in ["blobs/sha256", "repositories", "uploads", "tmp"] {
            durable::create_dirs(&root.join(folder)).context("make its folders")?;
        }
        Ok(Self(Arc::new(Inner {
            root,
            uploads: Uploads::default(),
            changes: Mutex::new(()),
        })))
    }

    fn changes(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data, so a panic elsewhere has left nothing broken behind it.
        self.0
            .changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.0.root.join(name)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.0.root.join("blobs/sha256").join(&hex[..2]).join(hex)
    }

    fn repository_path(&self, name: &RepositoryName) -> PathBuf {
        self.folder("repositories").join(name.as_str())
    }

    fn blob_link(&self, name: &RepositoryName, digest: &Digest) -> PathBuf {
        self.repository_path(name).join("_blobs").join(digest.hex())
    }

    fn manifest_link(&self, name: &RepositoryName, digest: &Digest) -> PathBuf {
        self.repository_path(name)
            .join("_manifests")
            .join(digest.hex())
    }

    fn tag_path(&self, name: &RepositoryName, tag: &Tag) -> PathBuf {
        self.repository_path(name).join("_tags").join(tag.as_str())
    }

    fn referrers_path(&self, name: &RepositoryName, subject: &Digest) -> PathBuf {
        self.repository_path(name)
            .join("_referrers")
            .join(subject.hex())
    }

    /// Writes a small file under its name, whole or not at all.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        durable::write(&self.folder("tmp"), path, content)
    }
}

/// `None` in place of "there is no such file".
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
