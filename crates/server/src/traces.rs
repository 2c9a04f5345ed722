//! The jobs' logs: a file each, appended where the runner says, followed by whoever watches.
//!
//! A log is written before it is acknowledged, so a killed server loses nothing that a runner has
//! been told is kept; what was not acknowledged the runner sends again.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io::{self, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fs_err::tokio as fs;
use model::JobId;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::watch;

use crate::artifacts::gone;
use crate::store::{Store, StoreError};

/// The most that one log may hold, in bytes.
pub(crate) const LIMIT: u64 = 64 << 20;

/// So many logs are in one folder.
const A_FOLDER: i64 = 1000;

/// All logs, below one folder.
pub(crate) struct Traces {
    folder: PathBuf,
    open: Mutex<HashMap<JobId, Arc<Open>>>,
}

/// A log that somebody writes or watches.
struct Open {
    /// Held while writing, so that two requests of one job cannot interleave.
    turn: tokio::sync::Mutex<()>,
    size: watch::Sender<u64>,
}

/// What became of an append.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Append {
    /// Written; the log has this many bytes now.
    Done(u64),
    /// It does not join on: the log has this many bytes.
    Gap(u64),
    /// It would grow over [`LIMIT`].
    Full,
}

impl Traces {
    /// Logs below this folder, which is made when it is needed.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            open: Mutex::default(),
        }
    }

    /// Appends `bytes`, which the runner says start at `start`.
    pub(crate) async fn append(&self, job: JobId, start: u64, bytes: Bytes) -> io::Result<Append> {
        let open = self.open(job);
        let _turn = open.turn.lock().await;
        let path = self.path(job);
        let done = blocking(move || append(&path, Some(start), &bytes)).await?;
        if let Append::Done(size) = done {
            open.size.send_replace(size);
        }
        Ok(done)
    }

    /// Adds a line of our own at the end, such as why a job was given up.
    pub(crate) async fn append_line(&self, job: JobId, line: &str) -> io::Result<()> {
        let open = self.open(job);
        let _turn = open.turn.lock().await;
        let path = self.path(job);
        let line = format!("{line}\n");
        if let Append::Done(size) = blocking(move || append(&path, None, line.as_bytes())).await? {
            open.size.send_replace(size);
        }
        Ok(())
    }

    /// Has the system write a finished log to the disk, without anybody waiting for it, and forgets
    /// it where nobody watches.
    pub(crate) fn finish(&self, job: JobId) {
        let path = self.path(job);
        tokio::task::spawn_blocking(move || {
            let synced = fs_err::File::open(&path).and_then(|file| file.sync_all());
            match synced {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::error!(%error, "a log may not survive a power cut");
                }
                _ => {}
            }
        });
        self.lock().retain(|&id, open| {
            id != job || open.size.receiver_count() > 0 || Arc::strong_count(open) > 1
        });
    }

    /// Removes a log.
    pub(crate) async fn remove(&self, job: JobId) -> io::Result<()> {
        let path = self.path(job);
        blocking(move || gone(fs_err::remove_file(path))).await?;
        self.lock().remove(&job);
        Ok(())
    }

    /// Removes the logs of jobs that are gone. What is listed first has its row or never will.
    pub(crate) async fn sweep(&self, store: &Store) -> Result<(), StoreError> {
        for (folder, logs) in self.listed().await {
            let known = store
                .job_numbers(folder.saturating_mul(A_FOLDER), A_FOLDER)
                .await?;
            for job in logs.into_iter().filter(|job| !known.contains(&job.0)) {
                if let Err(error) = self.remove(job).await {
                    tracing::error!(%error, "an old log cannot be removed");
                }
            }
        }
        Ok(())
    }

    /// All logs, by the number of their folder.
    async fn listed(&self) -> BTreeMap<i64, Vec<JobId>> {
        let root = self.folder.clone();
        let found = blocking(move || {
            let mut found = BTreeMap::new();
            for folder in fs_err::read_dir(&root)? {
                let folder = folder?;
                let Some(number) = number(&folder.file_name(), "") else {
                    continue;
                };
                let logs: &mut Vec<JobId> = found.entry(number).or_default();
                for log in fs_err::read_dir(folder.path())? {
                    logs.extend(number_of_log(&log?.file_name()));
                }
            }
            Ok(found)
        });
        found.await.unwrap_or_default()
    }

    /// The log's length in bytes; 0 when nothing has been written.
    pub(crate) async fn size(&self, job: JobId) -> io::Result<u64> {
        match fs::metadata(self.path(job)).await {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// At most `limit` bytes from `start`; fewer at the log's end.
    pub(crate) async fn read(&self, job: JobId, start: u64, limit: u64) -> io::Result<Vec<u8>> {
        let mut file = match fs::File::open(self.path(job)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(start)).await?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    /// Tells of every growth from now on.
    pub(crate) fn watch(&self, job: JobId) -> watch::Receiver<u64> {
        self.open(job).size.subscribe()
    }

    /// Whether anybody looks at the log as it grows.
    pub(crate) fn is_watched(&self, job: JobId) -> bool {
        self.lock()
            .get(&job)
            .is_some_and(|open| open.size.receiver_count() > 0)
    }

    fn path(&self, job: JobId) -> PathBuf {
        self.folder
            .join((job.0 / A_FOLDER).to_string())
            .join(format!("{job}.log"))
    }

    fn open(&self, job: JobId) -> Arc<Open> {
        let mut open = self.lock();
        let log = open.entry(job).or_insert_with(|| {
            Arc::new(Open {
                turn: tokio::sync::Mutex::default(),
                size: watch::Sender::new(0),
            })
        });
        Arc::clone(log)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Arc<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number_of_log(name: &OsStr) -> Option<JobId> {
    number(name, ".log").map(JobId)
}

fn number(name: &OsStr, suffix: &str) -> Option<i64> {
    name.to_str()?.strip_suffix(suffix)?.parse().ok()
}

/// One trip to the threads that may wait for the disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

/// Appends at `start`, or at the end. A write that failed half-way (full disk) is cut off again, so
/// the log is what was acknowledged.
fn append(path: &Path, start: Option<u64>, bytes: &[u8]) -> io::Result<Append> {
    let mut file = open_file(path)?;
    let size = file.metadata()?.len();
    if start.is_some_and(|start| start != size) {
        return Ok(Append::Gap(size));
    }
    let end = size + bytes.len() as u64;
    if start.is_some() && end > LIMIT {
        return Ok(Append::Full);
    }
    if let Err(error) = file.write_all(bytes) {
        file.set_len(size)?;
        return Err(error);
    }
    Ok(Append::Done(end))
}

fn open_file(path: &Path) -> io::Result<fs_err::File> {
    let mut options = fs_err::OpenOptions::new();
    options.create(true).append(true);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                fs_err::create_dir_all(parent)?;
            }
            options.open(path)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_joins_on_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let traces = Traces::new(folder.path().to_owned());
        let job = JobId(4711);
        assert_eq!(
            traces
                .append(job, 0, Bytes::from_static(b"abc"))
                .await
                .unwrap(),
            Append::Done(3)
        );
        assert_eq!(
            traces
                .append(job, 5, Bytes::from_static(b"x"))
                .await
                .unwrap(),
            Append::Gap(3)
        );
        assert_eq!(
            traces
                .append(job, 0, Bytes::from_static(b"abc"))
                .await
                .unwrap(),
            Append::Gap(3)
        );
        assert_eq!(
            traces
                .append(job, 3, Bytes::from_static(b"def"))
                .await
                .unwrap(),
            Append::Done(6)
        );
        assert_eq!(traces.read(job, 2, 3).await.unwrap(), b"cde");
        assert_eq!(traces.read(job, 9, 3).await.unwrap(), b"");
        traces.finish(job);
        let again = Traces::new(folder.path().to_owned());
        assert_eq!(again.size(job).await.unwrap(), 6);
    }

    #[tokio::test]
    async fn a_watcher_hears_of_growth() {
        let folder = tempfile::tempdir().unwrap();
        let traces = Traces::new(folder.path().to_owned());
        let mut watcher = traces.watch(JobId(1));
        assert!(traces.is_watched(JobId(1)));
        traces
            .append(JobId(1), 0, Bytes::from_static(b"x"))
            .await
            .unwrap();
        watcher.changed().await.unwrap();
        assert_eq!(*watcher.borrow(), 1);
        drop(watcher);
        assert!(!traces.is_watched(JobId(1)));
    }
}
