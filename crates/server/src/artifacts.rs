//! What jobs leave behind: files below one folder, one for each kind of each attempt, with a row in the
//! store.
//!
//! A file comes under a name of its own, is on the disk, then gets its place, then its row; that it is gone
//! is noted before it goes. So a row always has a whole file, and what a crash leaves without a row is swept at the
//! next start.

mod inside;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use axum::extract::multipart::Field;
use fs_err as fs;
use model::{JobId, Secret, Variable};

use crate::dotenv;
use crate::http::ApiError;
use crate::parcels::{self, Parcel};
use crate::store::{ArtifactRow, NewArtifact, Store, StoreError, now};
use crate::{App, traces};

pub(crate) use inside::{ArchiveError, file_of, read};

/// The most that artifacts of one kind of a job may have, in bytes.
const LIMIT: u64 = 1 << 30;

/// The largest report of variables, compressed, in bytes.
const DOTENV_LIMIT: u64 = 64 << 10;

/// When artifacts go without a word in the file (GitLab's default), in seconds.
const EXPIRE_IN: u64 = 30 * 24 * 3600;

/// What holds the files of `artifacts:paths`.
pub(crate) const ARCHIVE: &str = "archive";

/// The report of variables.
pub(crate) const DOTENV: &str = "dotenv";

/// All artifacts, below one folder.
pub(crate) struct Artifacts {
    folder: PathBuf,
}

impl Artifacts {
    /// Artifacts below this folder, which is made when it is needed.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where the file of this kind lies.
    pub(crate) fn path(&self, job: JobId, kind: &str) -> PathBuf {
        self.of_job(job).join(kind)
    }

    fn of_job(&self, job: JobId) -> PathBuf {
        self.folder.join(job.to_string())
    }

    /// Where files lie that are still coming.
    fn incoming(&self) -> PathBuf {
        self.folder.join("incoming")
    }

    /// Removes the file of this kind.
    pub(crate) async fn remove(&self, job: JobId, kind: &str) -> io::Result<()> {
        let (file, folder) = (self.path(job, kind), self.of_job(job));
        traces::blocking(move || {
            gone(fs::remove_file(file))?;
            // others may still be in it
            let _not_empty = fs::remove_dir(folder);
            Ok(())
        })
        .await
    }

    /// Removes all files of a job.
    pub(crate) async fn remove_all(&self, job: JobId) -> io::Result<()> {
        let folder = self.of_job(job);
        traces::blocking(move || gone(fs::remove_dir_all(folder))).await
    }

    /// Removes what has no row: what was still coming when the server ended, and what belongs to projects
    /// that are gone. For a start, before anything comes.
    pub(crate) async fn sweep(&self, store: &Store) -> Result<(), StoreError> {
        let known = store.jobs_with_artifacts().await?;
        let folder = self.folder.clone();
        let swept = traces::blocking(move || sweep(&folder, &known)).await;
        if let Err(error) = swept {
            tracing::error!(%error, "old artifacts cannot be removed");
        }
        Ok(())
    }
}

fn sweep(folder: &Path, known: &HashSet<i64>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let job = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if job.is_none_or(|job| !known.contains(&job)) {
            gone(fs::remove_dir_all(entry.path()))?;
        }
    }
    Ok(())
}

/// It is no matter if somebody else was quicker.
pub(crate) fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Takes what a runner sends, and keeps it in place of what the same attempt sent before.
pub(crate) async fn take(
    app: &App,
    job: JobId,
    kind: &str,
    expire_in: Option<u64>,
    field: Field<'_>,
) -> Result<(), ApiError> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if kind.is_empty() || kind.len() > 64 || !kind.chars().all(word) {
        return Err(ApiError::bad_request(
            "400 Bad Request: no such artifact_type",
        ));
    }
    let incoming = app.artifacts.incoming();
    fs_err::tokio::create_dir_all(&incoming).await?;
    let name = Secret::random("");
    let coming = Coming(incoming.join(name.expose()));
    let limit = if kind == DOTENV { DOTENV_LIMIT } else { LIMIT };
    let parcel = parcels::receive(field, &coming.0, limit).await?;
    if kind == DOTENV {
        let bytes = fs_err::tokio::read(&parcel.file).await?;
        dotenv::read(&bytes).map_err(ApiError::bad_request)?;
    }
    let place = app.artifacts.path(job, kind);
    place_file(&parcel, place).await?;
    let seconds = match expire_in {
        Some(0) => None,
        given => Some(given.unwrap_or(EXPIRE_IN)),
    };
    let after = seconds.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX / 2000));
    let new = NewArtifact {
        job,
        kind,
        name: &parcel.name,
        size: parcel.size,
        digest: &parcel.digest,
        expires_at: after.map(|seconds| now().saturating_add(seconds.saturating_mul(1000))),
    };
    Ok(app.store.keep_artifact(new).await?)
}

/// A file that has no place yet: it goes when nobody wants it any more, also when the runner hangs up.
struct Coming(PathBuf);

impl Drop for Coming {
    fn drop(&mut self) {
        // it usually has its place by now
        let _moved = fs::remove_file(&self.0);
    }
}

/// Gives a whole file its place, so that this outlives a power cut.
async fn place_file(parcel: &Parcel, place: PathBuf) -> io::Result<()> {
    let from = parcel.file.clone();
    traces::blocking(move || {
        let folder = place.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        fs::rename(from, &place)?;
        for folder in [Some(folder), folder.parent()].into_iter().flatten() {
            fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    })
    .await
}

/// The variables of a job's report; none when there is no report.
pub(crate) async fn variables(app: &App, job: JobId) -> Result<Vec<Variable>, StoreError> {
    if app.store.artifact(job, DOTENV).await?.is_none() {
        return Ok(Vec::new());
    }
    let bytes = fs_err::tokio::read(app.artifacts.path(job, DOTENV)).await;
    let damaged = || StoreError::Damaged {
        what: format!("the dotenv report of job {job}"),
    };
    dotenv::read(&bytes.map_err(|_| damaged())?).map_err(|_| damaged())
}

/// Removes artifacts, the row first.
pub(crate) async fn forget(app: &App, rows: &[ArtifactRow]) -> Result<(), StoreError> {
    for row in rows {
        app.store.forget_artifact(row.job, &row.kind).await?;
        if let Err(error) = app.artifacts.remove(row.job, &row.kind).await {
            tracing::error!(%error, job = %row.job, "artifacts are left on the disk until the next start");
        }
    }
    Ok(())
}
