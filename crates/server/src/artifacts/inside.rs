//! Single files of an archive that somebody's job has packed: whatever it is, reading it costs bounded time
//! and memory.

use std::cell::Cell;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;

use fs_err as fs;
use model::JobId;
use zip::ZipArchive;
use zip::result::ZipError;

use super::ARCHIVE;
use crate::App;

/// The most that is read of an archive to know which files it has, in bytes: some 200,000 files.
const DIRECTORY_LIMIT: u64 = 16 << 20;

/// Why a file of an archive cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// The archive has no such file.
    #[error("there is no file {path} in the artifacts")]
    Absent {
        /// As it was asked for.
        path: String,
    },
    /// The file is too large to be read by itself.
    #[error("{path} has more than {limit} bytes")]
    TooLarge {
        /// As it was asked for.
        path: String,
        /// In bytes.
        limit: u64,
    },
    /// The archive is no zip, or damaged.
    #[error("the artifacts cannot be read")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The archive is not where it should be, or the disk fails.
    #[error("the artifacts cannot be opened")]
    Gone(#[source] io::Error),
}

/// One file of a job's archive, which has at most `limit` bytes.
pub(crate) async fn file_of(
    app: &App,
    job: JobId,
    path: &str,
    limit: u64,
) -> Result<Vec<u8>, ArchiveError> {
    let archive = app.artifacts.path(job, ARCHIVE);
    let path = path.to_owned();
    let task = tokio::task::spawn_blocking(move || read(&archive, &path, limit));
    let damaged = |error: tokio::task::JoinError| ArchiveError::Damaged(error.into());
    task.await.map_err(damaged)?
}

/// One file of the archive at this path.
pub(crate) fn read(archive: &Path, path: &str, limit: u64) -> Result<Vec<u8>, ArchiveError> {
    let damaged = |error: Box<dyn std::error::Error + Send + Sync>| ArchiveError::Damaged(error);
    let file = fs::File::open(archive).map_err(ArchiveError::Gone)?;
    let left = Rc::new(Cell::new(DIRECTORY_LIMIT));
    let file = Bounded {
        file: BufReader::new(file),
        left: Rc::clone(&left),
    };
    let mut archive = ZipArchive::new(file).map_err(|error| damaged(error.into()))?;
    left.set(limit + (1 << 20));
    let entry = match archive.by_name(path) {
        Err(ZipError::FileNotFound) => {
            return Err(ArchiveError::Absent {
                path: path.to_owned(),
            });
        }
        entry => entry.map_err(|error| damaged(error.into()))?,
    };
    let mut bytes = Vec::new();
    let mut part = entry.take(limit + 1);
    part.read_to_end(&mut bytes)
        .map_err(|error| damaged(error.into()))?;
    if bytes.len() as u64 > limit {
        return Err(ArchiveError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// A file of which only so many bytes can be read.
struct Bounded {
    file: BufReader<fs::File>,
    left: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let left = self.left.get().checked_sub(count as u64);
        self.left
            .set(left.ok_or_else(|| io::Error::other("the archive has too many files"))?);
        Ok(count)
    }
}

impl Seek for Bounded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// An archive of these files.
    fn archive<'a>(
        folder: &Path,
        files: impl Iterator<Item = (String, &'a [u8])>,
    ) -> std::path::PathBuf {
        let path = folder.join("a.zip");
        let mut writer = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for (name, bytes) in files {
            let options = zip::write::SimpleFileOptions::default();
            writer.start_file(name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    #[test]
    fn a_file_is_found_and_what_is_too_much_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let large = vec![0; 5 << 20];
        let files = [
            ("a/b.yml".to_owned(), &b"x: 1"[..]),
            ("large".to_owned(), &large),
        ];
        let path = archive(folder.path(), files.into_iter());
        assert_eq!(read(&path, "a/b.yml", 100).unwrap(), b"x: 1");
        assert_eq!(read(&path, "a/b.yml", 4).unwrap(), b"x: 1");
        let found = |name, limit| read(&path, name, limit).unwrap_err();
        assert!(matches!(found("a/b.yml", 3), ArchiveError::TooLarge { .. }));
        assert!(matches!(
            found("large", 1 << 20),
            ArchiveError::TooLarge { .. }
        ));
        assert!(matches!(found("b.yml", 100), ArchiveError::Absent { .. }));
        fs::write(&path, "no archive at all").unwrap();
        assert!(matches!(found("a", 1), ArchiveError::Damaged(_)));
        assert!(matches!(
            read(&folder.path().join("absent"), "a", 1).unwrap_err(),
            ArchiveError::Gone(_)
        ));
    }

    #[test]
    fn an_archive_of_very_many_files_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let name = |number| format!("{number}-{}", "x".repeat(60_000));
        let files = (0..300).map(|number| (name(number), &b""[..]));
        let path = archive(folder.path(), files);
        let error = read(&path, "a", 1).unwrap_err();
        assert!(matches!(error, ArchiveError::Damaged(_)), "{error}");
    }
}
