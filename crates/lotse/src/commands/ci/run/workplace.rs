//! The folder of a run, and those that runs have left which were killed.
//!
//! A run holds a lock on a file in its folder, and the system lets go of it however the run ends. So a
//! folder whose lock is free is a dead run's: what its jobs have left is ended, and the folder goes.

use std::ffi::OsStr;
use std::fs::TryLockError;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::output::Failure;

const PREFIX: &str = "lotse-ci-";
const LOCK: &str = "lock";

/// A process that was just killed may still be writing.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// The folder of this run.
pub(super) struct Workplace {
    folder: TempDir,
    _lock: fs_err::File,
}

impl Workplace {
    /// Makes it.
    pub(super) fn make() -> Result<Self, Failure> {
        let failed = |error: &std::io::Error| {
            Failure::user("cannot make a folder for the copy of the work tree")
                .because(error)
                .hint("set TMPDIR to a folder that can be written")
        };
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir();
        let folder = folder.map_err(|error| failed(&error))?;
        let lock = lock(folder.path()).map_err(|error| failed(&error))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What marks the processes of this run: no other run may take them for its own.
    pub(super) fn mark(&self) -> String {
        mark(self.path()).unwrap_or_default()
    }

    /// The copy goes; what a job made under another user's name (in a container) may stay.
    pub(super) fn remove(self) {
        let path = self.path().to_owned();
        if let Err(error) = self.folder.close() {
            eprintln!("note: {} is left behind: {error}", path.display());
        }
    }
}

/// Nobody sees the file before it is locked.
fn lock(folder: &Path) -> std::io::Result<fs_err::File> {
    let new = folder.join("lock.new");
    let file = fs_err::File::create(&new)?;
    file.file().lock()?;
    fs_err::rename(&new, folder.join(LOCK))?;
    Ok(file)
}

fn mark(folder: &Path) -> Option<String> {
    let name = folder.file_name().and_then(OsStr::to_str)?;
    Some(format!("local_{}", name.strip_prefix(PREFIX)?))
}

/// Ends and removes what killed runs of this user have left.
pub(super) fn clear_away() {
    let Ok(entries) = fs_err::read_dir(std::env::temp_dir()) else {
        return;
    };
    for folder in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if let Some(mark) = mark(&folder)
            && is_ours(&folder)
            && let Some(_lock) = lock_of_the_dead(&folder)
        {
            runner::end_processes_of(&mark);
            tell(&folder, remove(&folder));
        }
    }
}

fn is_ours(folder: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    let found = fs_err::symlink_metadata(folder);
    found.is_ok_and(|found| found.is_dir() && found.uid() == me)
}

/// The lock, if it can be had. A folder without it is just being made.
fn lock_of_the_dead(folder: &Path) -> Option<fs_err::File> {
    let file = fs_err::File::open(folder.join(LOCK)).ok()?;
    match file.file().try_lock() {
        Ok(()) => Some(file),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
    }
}

fn remove(folder: &PathBuf) -> std::io::Result<()> {
    let mut removed = fs_err::remove_dir_all(folder);
    for _ in 1..TRIES {
        if removed.is_ok() {
            break;
        }
        std::thread::sleep(PAUSE);
        removed = fs_err::remove_dir_all(folder);
    }
    removed
}

fn tell(folder: &Path, removed: std::io::Result<()>) {
    let folder = folder.display();
    match removed {
        Ok(()) => eprintln!("note: a run that was killed had left {folder}; it is removed"),
        Err(error) => eprintln!("note: a run that was killed has left {folder}: {error}"),
    }
}
