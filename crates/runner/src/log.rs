//! A job's log on this machine: masked, bounded in size, kept in a file until the server has it.
//!
//! Writing never waits for the server. The file has no name (it is unlinked at once), so nothing
//! of it stays when the runner dies.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::watch;

use crate::mask::Masker;

const RED: &str = "\u{1b}[31;1m";
const RESET: &str = "\u{1b}[0;m";

/// The log of one job.
#[derive(Debug)]
pub(crate) struct JobLog {
    inner: Mutex<Inner>,
    file: File,
    extent: watch::Sender<Extent>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// In bytes.
    pub(crate) size: u64,
    /// Whether nothing more will come.
    pub(crate) closed: bool,
}

#[derive(Debug)]
struct Inner {
    masker: Masker,
    checksum: crc32fast::Hasher,
    size: u64,
    limit: u64,
    full: bool,
    broken: Option<io::Error>,
    scratch: Vec<u8>,
}

impl JobLog {
    /// A log of at most `limit` bytes of the job's output, kept in a file in `folder`.
    pub(crate) fn new(masker: Masker, limit: u64, folder: &Path) -> io::Result<Self> {
        let inner = Inner {
            masker,
            checksum: crc32fast::Hasher::new(),
            size: 0,
            limit,
            full: false,
            broken: None,
            scratch: Vec::new(),
        };
        let start = Extent {
            size: 0,
            closed: false,
        };
        Ok(Self {
            inner: Mutex::new(inner),
            file: tempfile::tempfile_in(folder)?,
            extent: watch::Sender::new(start),
        })
    }

    /// Appends output of the job.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        if inner.full {
            return;
        }
        let mut clear = std::mem::take(&mut inner.scratch);
        clear.clear();
        inner.masker.push(bytes, &mut clear);
        let room = usize::try_from(inner.limit.saturating_sub(inner.size)).unwrap_or(usize::MAX);
        if clear.len() > room {
            clear.truncate(room);
            clear.extend_from_slice(limit_notice(inner.limit).as_bytes());
            inner.full = true;
        }
        self.append(&mut inner, &clear);
        inner.scratch = clear;
    }

    /// Appends a line of the runner's own; it is seen even when the log is full.
    pub(crate) fn line(&self, line: &str) {
        self.text(&format!("{line}\n"));
    }

    /// Appends what is no whole line, such as a section's mark.
    pub(crate) fn text(&self, text: &str) {
        let mut inner = self.lock();
        let mut clear = Vec::new();
        inner.masker.push(text.as_bytes(), &mut clear);
        self.append(&mut inner, &clear);
    }

    /// Nothing more will come: what the masker held back goes out.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        let mut clear = Vec::new();
        inner.masker.finish(&mut clear);
        if !inner.full {
            self.append(&mut inner, &clear);
        }
        self.extent.send_modify(|extent| extent.closed = true);
    }

    /// How much there is now.
    pub(crate) fn extent(&self) -> Extent {
        *self.extent.borrow()
    }

    /// Returns when there is more than `size`, or nothing more will come.
    pub(crate) async fn beyond(&self, size: u64) {
        let mut extent = self.extent.subscribe();
        // The sender lives as long as `self` does, so there is no error.
        let _ = extent
            .wait_for(|extent| extent.closed || extent.size > size)
            .await;
    }

    /// Returns when nothing more will come.
    pub(crate) async fn closed(&self) {
        let mut extent = self.extent.subscribe();
        let _ = extent.wait_for(|extent| extent.closed).await;
    }

    /// At most `most` bytes from `offset` on.
    pub(crate) fn read(&self, offset: u64, most: usize) -> io::Result<Bytes> {
        let rest = self.extent().size.saturating_sub(offset);
        let length = usize::try_from(rest).unwrap_or(usize::MAX).min(most);
        let mut part = vec![0; length];
        self.file.read_exact_at(&mut part, offset)?;
        Ok(part.into())
    }

    /// The CRC-32 of all there is.
    pub(crate) fn checksum(&self) -> u32 {
        self.lock().checksum.clone().finalize()
    }

    /// Why the log is not whole, if it is not.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.lock().broken.take()
    }

    fn append(&self, inner: &mut Inner, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match (&self.file).write_all(bytes) {
            Ok(()) => {
                inner.checksum.update(bytes);
                inner.size += bytes.len() as u64;
                self.extent.send_modify(|extent| extent.size = inner.size);
            }
            Err(error) => {
                // A part may have been written: what follows must lie behind what was counted.
                inner.full = true;
                inner.broken.get_or_insert(error);
                let _ = self.file.set_len(inner.size);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }
}

fn limit_notice(limit: u64) -> String {
    format!(
        "\n{RED}Job's log exceeded limit of {limit} bytes.{RESET}\n\
         Job execution will continue but no more output will be collected.\n\
         hint: `output_limit_kib` in the runner's configuration sets the limit.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(limit: u64) -> JobLog {
        JobLog::new(Masker::new(["secret"]), limit, &std::env::temp_dir()).unwrap()
    }

    fn text(log: &JobLog) -> String {
        String::from_utf8(log.read(0, 1 << 20).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn masked_across_writes_and_counted() {
        let log = log(100);
        log.write(b"a sec");
        assert_eq!(log.extent().size, 2);
        log.write(b"ret b se");
        log.close();
        assert_eq!(text(&log), "a [MASKED] b se");
        assert_eq!(log.checksum(), crc32fast::hash(b"a [MASKED] b se"));
        assert_eq!(
            log.extent(),
            Extent {
                size: 15,
                closed: true
            }
        );
    }

    #[test]
    fn the_limit_is_said_and_the_runners_own_lines_still_come() {
        let log = log(4);
        log.write(b"abcdefgh");
        log.write(b"never seen");
        log.line("Job succeeded");
        log.close();
        let text = text(&log);
        assert!(text.starts_with("abcd\n"), "{text}");
        assert!(text.contains("exceeded limit of 4 bytes"), "{text}");
        assert!(text.ends_with("Job succeeded\n"), "{text}");
        assert!(!text.contains("never"), "{text}");
        assert_eq!(log.checksum(), crc32fast::hash(text.as_bytes()));
    }

    #[tokio::test]
    async fn waiting_ends_with_more_or_with_the_end() {
        let log = log(100);
        log.write(b"abc");
        log.beyond(2).await;
        let waiting = log.beyond(3);
        log.close();
        waiting.await;
        log.closed().await;
    }
}
