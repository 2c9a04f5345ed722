//! The files: one folder for each owner, readable by its owner only.
//!
//! Whoever reads or writes holds the folder's file lock. A file is replaced as a whole, so a crash
//! leaves the one before or the one after.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deploy::host::LockSeen;
use deploy::span::Span;
use deploy::{Holder, Lease, Record};
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::message::{Entering, Fill, Locked};
use crate::owner::Owner;

const LOCK: &str = "lock.json";
const RECORD: &str = "record.json";
const VOLUMES: &str = "volumes.json";

/// The folder of all owners.
#[derive(Debug, Clone)]
pub(super) struct Files {
    folder: PathBuf,
}

/// Why something could not be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("{0}")]
    Io(io::Error),
    #[error("{} makes no sense ({source}): it is left as it is", path.display())]
    Parse {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("somebody else has the lock of {owner} meanwhile: {holder}")]
    NotYours { owner: Owner, holder: Holder },
    #[error(
        "the project `{0}` is on this host as the environment `{1}` already: what they run would have \
         the same names. Give each environment of a host a project name of its own \
         (`name:` in its compose file, or COMPOSE_PROJECT_NAME)"
    )]
    OtherEnvironment(String, String),
}

/// The lock as it is written down; times in milliseconds, by this machine's clock.
#[derive(Serialize, Deserialize)]
struct KeptLock {
    holder: Holder,
    until: u64,
    length: u64,
}

impl Files {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Takes the folder of an owner, as long as the value is held.
    pub(super) fn open(&self, owner: &Owner) -> Result<Owned, FileError> {
        let folder = self.folder.join(name_of(owner));
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(FileError::Io)?;
        let file = private().open(folder.join("held")).map_err(FileError::Io)?;
        flock(file.file(), FlockOperation::LockExclusive)
            .map_err(|error| FileError::Io(error.into()))?;
        Ok(Owned {
            owner: owner.clone(),
            folder,
            all: self.folder.clone(),
            _held: file,
        })
    }
}

/// The folder of one owner, which nobody else can use meanwhile.
pub(super) struct Owned {
    owner: Owner,
    folder: PathBuf,
    all: PathBuf,
    _held: fs_err::File,
}

impl Owned {
    pub(super) fn lock_seen(&self) -> Result<Option<LockSeen>, FileError> {
        let kept: Option<KeptLock> = self.read(LOCK)?;
        Ok(kept.map(|kept| kept.seen(now())))
    }

    /// Takes the lock, unless somebody else has a live one.
    pub(super) fn lock(&self, lease: &Lease) -> Result<Locked, FileError> {
        self.refuse_other_environments()?;
        let theirs = self.lock_seen()?;
        match theirs {
            Some(lock) if lock.is_live() && lock.holder != lease.holder => {
                Ok(Locked::Theirs(Some(lock)))
            }
            _ => self.take(lease),
        }
    }

    /// Begins the lease anew, if the holder still has it. One that has run out and that nobody else
    /// took is the holder's still.
    pub(super) fn renew(&self, lease: &Lease) -> Result<Locked, FileError> {
        match self.lock_seen()? {
            Some(lock) if lock.holder == lease.holder => self.take(lease),
            other => Ok(Locked::Theirs(other)),
        }
    }

    pub(super) fn unlock(&self, holder: &Holder) -> Result<(), FileError> {
        match self.lock_seen()? {
            Some(lock) if lock.holder == *holder => self.remove(LOCK),
            _ => Ok(()),
        }
    }

    pub(super) fn break_lock(&self) -> Result<Option<LockSeen>, FileError> {
        let lock = self.lock_seen()?;
        self.remove(LOCK)?;
        Ok(lock)
    }

    pub(super) fn record(&self) -> Result<Record, FileError> {
        Ok(self.read(RECORD)?.unwrap_or_default())
    }

    pub(super) fn enter(&self, entering: &Entering) -> Result<(), FileError> {
        let lock = self.lock_seen()?.filter(LockSeen::is_live);
        if let (Some(lock), Some(holder)) = (lock, &entering.holder)
            && lock.holder != *holder
        {
            return Err(FileError::NotYours {
                owner: self.owner.clone(),
                holder: lock.holder,
            });
        }
        let mut record = self.record()?;
        record.enter(&entering.entry, entering.definition.as_ref());
        self.write(RECORD, &record)
    }

    pub(super) fn fills(&self) -> Result<BTreeMap<String, Fill>, FileError> {
        Ok(self.read(VOLUMES)?.unwrap_or_default())
    }

    pub(super) fn mark(&self, volume: &str, fill: &Fill) -> Result<(), FileError> {
        let mut fills = self.fills()?;
        fills.insert(volume.to_owned(), fill.clone());
        self.write(VOLUMES, &fills)
    }

    fn take(&self, lease: &Lease) -> Result<Locked, FileError> {
        let length = millis(lease.length.get());
        let kept = KeptLock {
            holder: lease.holder.clone(),
            until: now().saturating_add(length),
            length,
        };
        self.write(LOCK, &kept)?;
        Ok(Locked::Yours)
    }

    /// Two environments of one project would have containers of the same names.
    fn refuse_other_environments(&self) -> Result<(), FileError> {
        let ours = name_of(&self.owner);
        let prefix = format!("{}@", self.owner.project);
        for entry in fs_err::read_dir(&self.all).map_err(FileError::Io)? {
            let entry = entry.map_err(FileError::Io)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(environment) = name.strip_prefix(&prefix).filter(|_| name != ours) else {
                continue;
            };
            let record: Option<Record> = read(&entry.path().join(RECORD))?;
            if record.is_some_and(|record| !record.releases.is_empty()) {
                let project = self.owner.project.to_string();
                return Err(FileError::OtherEnvironment(project, environment.to_owned()));
            }
        }
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, FileError> {
        read(&self.folder.join(name))
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), FileError> {
        let path = self.folder.join(name);
        let text = serde_json::to_vec(value).map_err(|source| FileError::Parse {
            path: path.clone(),
            source,
        })?;
        replace(&path, &text).map_err(FileError::Io)
    }

    fn remove(&self, name: &str) -> Result<(), FileError> {
        match fs_err::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::Io(error)),
            _ => Ok(()),
        }
    }
}

impl KeptLock {
    /// A clock that was set back does not make a lease longer than it is.
    fn seen(self, now: u64) -> LockSeen {
        let left = self.until.saturating_sub(now).min(self.length);
        LockSeen {
            holder: self.holder,
            expires_in: Span::millis(left),
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let text = match fs_err::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::Io(error)),
    };
    let parsed = serde_json::from_slice(&text);
    parsed.map(Some).map_err(|source| FileError::Parse {
        path: path.to_owned(),
        source,
    })
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    let mut file = private().truncate(true).open(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs_err::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => fs_err::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Opens, or makes, files that only their owner can read.
fn private() -> fs_err::OpenOptions {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// No project has an `@` in its name, and none is a way up.
fn name_of(owner: &Owner) -> String {
    format!("{}@{}", owner.project, owner.environment)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    millis(since.unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
