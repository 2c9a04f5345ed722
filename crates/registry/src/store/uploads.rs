//! Blobs that are being sent: one file each, hashed while it is written, renamed to its digest when
//! that is the one that was promised.
//!
//! What was received survives a broken connection and a restart, so a client can resume. The state
//! of the hash lives in memory; after a restart the file is read again. The file's name holds a
//! hash of the repository's, so an upload can only be found from the repository it was begun in.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fs_err as fs;
use model::Digest;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{Context as _, Error, Registry, Result, durable, if_there};
use crate::RepositoryName;

/// How long a request waits for another that writes the same upload, such as one whose connection
/// just broke.
const PATIENCE: Duration = Duration::from_secs(5);

/// 128 random bits in hexadecimal: who does not know it cannot touch the upload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct UploadId(String);

/// An upload of which this is the only holder.
pub(crate) struct Upload {
    registry: Registry,
    name: RepositoryName,
    id: UploadId,
    file: fs::File,
    progress: OwnedMutexGuard<Progress>,
}

/// What came of looking for an upload.
pub(crate) enum OpenUpload {
    Opened(Upload),
    Unknown,
    /// Another request is writing it.
    Busy,
}

/// What came of ending an upload.
pub(crate) enum CommitOutcome {
    Stored,
    /// The content has this digest instead; the upload is gone.
    Mismatch(Digest),
}

/// What the hash has seen of an upload.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    size: u64,
    hasher: Sha256,
}

type Slot = Arc<AsyncMutex<Progress>>;

/// The uploads that this process has touched.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<HashMap<UploadId, Slot>>);

impl Registry {
    /// Begins an upload.
    pub(crate) fn start_upload(&self, name: &RepositoryName) -> Result<UploadId> {
        let id = UploadId::random();
        fs::File::create_new(self.upload_path(name, &id))
            .context(format!("begin an upload to {name}"))?;
        Ok(id)
    }

    /// Takes hold of an upload, waiting a little for whoever else has it.
    pub(crate) async fn open_upload(
        &self,
        name: RepositoryName,
        id: UploadId,
    ) -> Result<OpenUpload> {
        let path = self.upload_path(&name, &id);
        let known = if_there(fs_err::tokio::metadata(&path).await);
        if known.context(format!("find upload {id}"))?.is_none() {
            return Ok(OpenUpload::Unknown);
        }
        let slot = self.0.uploads.slot(&id);
        let Ok(progress) = tokio::time::timeout(PATIENCE, slot.lock_owned()).await else {
            return Ok(OpenUpload::Busy);
        };
        let registry = self.clone();
        tokio::task::spawn_blocking(move || registry.resume(name, id, progress))
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Removes uploads, and files that a killed process left half-written, to which nothing was
    /// added for this long. Returns how many there were. What is being written stays.
    ///
    /// # Errors
    /// When the folders cannot be read or a file cannot be removed.
    ///
    /// # Panics
    /// When the clean-up itself panics.
    pub async fn expire_uploads(&self, older_than: Duration) -> Result<usize> {
        let registry = self.clone();
        tokio::task::spawn_blocking(move || {
            registry
                .expire(older_than)
                .context("remove uploads that were given up")
        })
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    fn resume(
        &self,
        name: RepositoryName,
        id: UploadId,
        mut progress: OwnedMutexGuard<Progress>,
    ) -> Result<OpenUpload> {
        let path = self.upload_path(&name, &id);
        let mut open = || {
            let mut options = fs::OpenOptions::new();
            let Some(mut file) = if_there(options.read(true).append(true).open(&path))? else {
                return Ok(None);
            };
            if file.metadata()?.len() != progress.size {
                *progress = Progress::of(&mut file)?;
            }
            Ok(Some(file))
        };
        match open().context(format!("resume upload {id}"))? {
            Some(file) => Ok(OpenUpload::Opened(Upload {
                registry: self.clone(),
                name,
                id,
                file,
                progress,
            })),
            None => {
                self.0.uploads.forget(&id);
                Ok(OpenUpload::Unknown)
            }
        }
    }

    fn expire(&self, older_than: Duration) -> io::Result<usize> {
        let now = SystemTime::now();
        let mut removed = 0;
        for folder in ["uploads", "tmp"] {
            for entry in fs::read_dir(self.folder(folder))? {
                let path = entry?.path();
                if is_older(&path, now, older_than)? && self.remove_if_idle(&path)? {
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    fn remove_if_idle(&self, path: &Path) -> io::Result<bool> {
        let file = path.file_name().and_then(|name| name.to_str());
        let id = file
            .and_then(|name| name.split('-').next())
            .and_then(|id| id.parse().ok());
        let Some(id) = id else {
            return Ok(if_there(fs::remove_file(path))?.is_some());
        };
        let slot = self.0.uploads.slot(&id);
        let Ok(_idle) = slot.try_lock() else {
            return Ok(false);
        };
        self.0.uploads.forget(&id);
        Ok(if_there(fs::remove_file(path))?.is_some())
    }

    fn upload_path(&self, name: &RepositoryName, id: &UploadId) -> PathBuf {
        let repository = Digest::of(name.as_str().as_bytes());
        let file = format!("{id}-{}", &repository.hex()[..16]);
        self.folder("uploads").join(file)
    }
}

impl Upload {
    pub(crate) fn id(&self) -> &UploadId {
        &self.id
    }

    /// Bytes received so far.
    pub(crate) fn size(&self) -> u64 {
        self.progress.size
    }

    /// Adds what was received. When the disk does not take it, the whole upload goes, so that a
    /// full disk is not kept full by what cannot be finished.
    pub(crate) fn append(mut self, frames: &[Bytes]) -> Result<Self> {
        match self.try_append(frames) {
            Ok(()) => Ok(self),
            Err(source) => {
                let operation = format!("write upload {}", self.id);
                self.discard_after_failure();
                Err(Error { operation, source })
            }
        }
    }

    fn try_append(&mut self, frames: &[Bytes]) -> io::Result<()> {
        for frame in frames {
            self.file.write_all(frame)?;
            self.progress.hasher.update(frame);
            self.progress.size += frame.len() as u64;
        }
        Ok(())
    }

    /// A mark to go back to with [`Upload::truncate`].
    pub(crate) fn mark(&self) -> Progress {
        self.progress.clone()
    }

    /// Takes back what was added since the mark.
    pub(crate) fn truncate(&mut self, mark: Progress) -> Result<()> {
        self.file
            .file()
            .set_len(mark.size)
            .context(format!("shorten upload {}", self.id))?;
        *self.progress = mark;
        Ok(())
    }

    /// Ends the upload: the content gets its name and is visible in the repository, or it is
    /// removed when it has another digest.
    pub(crate) fn commit(mut self, expected: &Digest) -> Result<CommitOutcome> {
        let hasher = std::mem::take(&mut self.progress.hasher);
        let actual = Digest::from_hash(hasher.finalize().into());
        if actual != *expected {
            self.discard()?;
            return Ok(CommitOutcome::Mismatch(actual));
        }
        if let Err(error) = self.store(expected) {
            self.discard_after_failure();
            return Err(error);
        }
        self.registry.0.uploads.forget(&self.id);
        Ok(CommitOutcome::Stored)
    }

    fn store(&self, digest: &Digest) -> Result<()> {
        let doing = format!("store blob {digest}");
        self.file.sync_all().context(&doing)?;
        durable::rename(&self.path(), &self.registry.blob_path(digest)).context(&doing)?;
        self.registry.link_blob(&self.name, digest)
    }

    /// Removes the upload.
    pub(crate) fn discard(self) -> Result<()> {
        self.registry.0.uploads.forget(&self.id);
        if_there(fs::remove_file(self.path()))
            .context(format!("remove upload {}", self.id))
            .map(|_| ())
    }

    /// Removes the upload because something else went wrong, which is what the caller reports.
    fn discard_after_failure(self) {
        if let Err(error) = self.discard() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "it stays until it expires"
            );
        }
    }

    fn path(&self) -> PathBuf {
        self.registry.upload_path(&self.name, &self.id)
    }
}

impl Progress {
    fn of(file: &mut fs::File) -> io::Result<Self> {
        let mut progress = Self::default();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(progress);
            }
            progress.hasher.update(&buffer[..read]);
            progress.size += read as u64;
        }
    }
}

impl Uploads {
    fn slot(&self, id: &UploadId) -> Slot {
        self.slots().entry(id.clone()).or_default().clone()
    }

    fn forget(&self, id: &UploadId) {
        self.slots().remove(id);
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<UploadId, Slot>> {
        // A map is whole after every single operation, also when a panic came between two.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UploadId {
    fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }
}

impl FromStr for UploadId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 32 && text.bytes().all(is_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(())
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_older(path: &Path, now: SystemTime, than: Duration) -> io::Result<bool> {
    let Some(metadata) = if_there(fs::metadata(path))? else {
        return Ok(false);
    };
    let age = now.duration_since(metadata.modified()?).unwrap_or_default();
    Ok(age >= than)
}
