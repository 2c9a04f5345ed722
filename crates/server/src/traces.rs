//! The jobs' logs: a file each, appended where the runner says, followed by whoever watches.
//!
//! A log is written before it is acknowledged, so a killed server loses nothing that a runner has
//! been told is kept; what was not acknowledged the runner sends again.

use std::collections::HashMap;
use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use fs_err::tokio as fs;
use model::JobId;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

/// The most that one log may hold, in bytes.
pub(crate) const LIMIT: u64 = 64 << 20;

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
    pub(crate) async fn append(&self, job: JobId, start: u64, bytes: &[u8]) -> io::Result<Append> {
        let open = self.open(job);
        let _turn = open.turn.lock().await;
        let size = self.size(job).await?;
        if start != size {
            return Ok(Append::Gap(size));
        }
        let end = size + bytes.len() as u64;
        if end > LIMIT {
            return Ok(Append::Full);
        }
        self.write_at(job, size, bytes).await?;
        open.size.send_replace(end);
        Ok(Append::Done(end))
    }

    /// Adds a line of our own at the end, such as why a job was given up.
    pub(crate) async fn append_line(&self, job: JobId, line: &str) -> io::Result<()> {
        let open = self.open(job);
        let _turn = open.turn.lock().await;
        let size = self.size(job).await?;
        let bytes = format!("{line}\n").into_bytes();
        self.write_at(job, size, &bytes).await?;
        open.size.send_replace(size + bytes.len() as u64);
        Ok(())
    }

    /// A write that failed half-way (full disk) is cut off again, so the log is what was
    /// acknowledged.
    async fn write_at(&self, job: JobId, size: u64, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(job);
        let mut options = fs::OpenOptions::new();
        options.create(true).append(true);
        let mut file = match options.open(&path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).await?;
                }
                options.open(&path).await?
            }
            other => other?,
        };
        let written = match file.write_all(bytes).await {
            Ok(()) => file.flush().await,
            Err(error) => Err(error),
        };
        if written.is_err() {
            file.set_len(size).await?;
        }
        written
    }

    /// Makes sure that a finished log survives a power cut, and forgets it where nobody watches.
    pub(crate) async fn finish(&self, job: JobId) -> io::Result<()> {
        match fs::File::open(self.path(job)).await {
            Ok(file) => file.sync_all().await?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.lock().retain(|&id, open| {
            id != job || open.size.receiver_count() > 0 || Arc::strong_count(open) > 1
        });
        Ok(())
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

    /// A thousand logs a folder.
    fn path(&self, job: JobId) -> PathBuf {
        self.folder
            .join((job.0 / 1000).to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_joins_on_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let traces = Traces::new(folder.path().to_owned());
        let job = JobId(4711);
        assert_eq!(
            traces.append(job, 0, b"abc").await.unwrap(),
            Append::Done(3)
        );
        assert_eq!(traces.append(job, 5, b"x").await.unwrap(), Append::Gap(3));
        assert_eq!(traces.append(job, 0, b"abc").await.unwrap(), Append::Gap(3));
        assert_eq!(
            traces.append(job, 3, b"def").await.unwrap(),
            Append::Done(6)
        );
        assert_eq!(traces.read(job, 2, 3).await.unwrap(), b"cde");
        assert_eq!(traces.read(job, 9, 3).await.unwrap(), b"");
        traces.finish(job).await.unwrap();
        let again = Traces::new(folder.path().to_owned());
        assert_eq!(again.size(job).await.unwrap(), 6);
    }

    #[tokio::test]
    async fn a_watcher_hears_of_growth() {
        let folder = tempfile::tempdir().unwrap();
        let traces = Traces::new(folder.path().to_owned());
        let mut watcher = traces.watch(JobId(1));
        assert!(traces.is_watched(JobId(1)));
        traces.append(JobId(1), 0, b"x").await.unwrap();
        watcher.changed().await.unwrap();
        assert_eq!(*watcher.borrow(), 1);
        drop(watcher);
        assert!(!traces.is_watched(JobId(1)));
    }
}
