//! A job's artifacts: what earlier jobs made comes before the script, what this one made goes to
//! the server after it.

mod archive;
mod select;

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Secret;
use runner_api::{Artifact, ArtifactFormat, Dependency};
use tokio::process::Command;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::client::{Client, ClientError, JobKey};
use crate::limits::Limits;
use crate::log::JobLog;
use crate::upload::chain;
use crate::variables::Variables;
use crate::work::{WorkError, yellow};

/// While the server is away, an upload or a download is tried again for this long.
const TRY_FOR: Duration = Duration::from_secs(5 * 60);

/// What it takes to bring artifacts from and to the server.
pub(crate) struct Artifacts<'a> {
    pub(crate) client: &'a Client,
    pub(crate) job: i64,
    pub(crate) token: &'a Secret,
    pub(crate) project: &'a Path,
    pub(crate) temporary: &'a Path,
    pub(crate) variables: &'a Variables,
    pub(crate) environment: &'a [(String, String)],
    pub(crate) log: &'a JobLog,
    pub(crate) limits: &'a Limits,
}

/// A file to upload, and how the server is to file it.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) file: PathBuf,
    pub(crate) name: String,
    pub(crate) format: &'static str,
    pub(crate) kind: String,
    pub(crate) expire_in: Option<String>,
}

impl Artifacts<'_> {
    /// Downloads and unpacks what an earlier job made.
    pub(crate) async fn fetch(&self, dependency: &Dependency) -> Result<(), WorkError> {
        let (name, id) = (&dependency.name, dependency.id);
        self.log
            .line(&format!("Downloading artifacts for {name} ({id})..."));
        let file = self.temporary.join(".download");
        let key = JobKey {
            id,
            token: &dependency.token,
        };
        self.with_patience(|| self.client.download_artifacts(key, &file))
            .await
            .map_err(|error| failed("download the artifacts", name, error))?;
        let project = self.project.to_owned();
        let unpacked = blocking(move || archive::unpack(&file, &project)).await;
        unpacked.map_err(|reason| {
            WorkError::System(format!("cannot unpack the artifacts of {name}: {reason}"))
        })
    }

    /// Packs and uploads what this job made.
    pub(crate) async fn send(&self, artifact: &Artifact) -> Result<(), WorkError> {
        self.log.line("Uploading artifacts...");
        let files = self.select(artifact).await?;
        if files.is_empty() {
            self.log.line(&yellow("WARNING: No files to upload"));
            return Ok(());
        }
        let parcel = self.pack(artifact, files).await?;
        let key = JobKey {
            id: self.job,
            token: self.token,
        };
        self.with_patience(|| self.client.upload_artifacts(key, &parcel))
            .await
            .map_err(|error| failed("upload the artifacts", &parcel.name, error))
    }

    async fn select(&self, artifact: &Artifact) -> Result<Vec<PathBuf>, WorkError> {
        let expand = |texts: &[String]| -> Vec<String> {
            let expanded = texts.iter().map(|text| self.variables.expand_text(text));
            expanded.collect()
        };
        let untracked = if artifact.untracked {
            self.untracked().await?
        } else {
            Vec::new()
        };
        let choice = select::Choice {
            root: self.project.to_owned(),
            paths: expand(&artifact.paths),
            exclude: expand(&artifact.exclude),
            untracked,
        };
        let selection = blocking(move || select::select(&choice))
            .await
            .map_err(WorkError::Configuration)?;
        for (pattern, count) in &selection.matched {
            match count {
                0 => self.log.line(&yellow(&format!(
                    "WARNING: {pattern}: no matching files. Ensure that the artifact path is relative to the working directory ({})",
                    self.project.display()
                ))),
                count => self.log.line(&format!("{pattern}: found {count} matching artifact files and directories")),
            }
        }
        Ok(selection.files)
    }

    /// All files that git does not know, those that it ignores included.
    async fn untracked(&self) -> Result<Vec<PathBuf>, WorkError> {
        let mut command = Command::new("git");
        command
            .args(["ls-files", "--others", "-z"])
            .current_dir(self.project)
            .env_clear()
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        let output = command
            .output()
            .await
            .map_err(|error| WorkError::System(format!("cannot list untracked files: {error}")))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let names = text.split('\0').filter(|name| !name.is_empty());
        Ok(names.map(PathBuf::from).collect())
    }

    async fn pack(&self, artifact: &Artifact, files: Vec<PathBuf>) -> Result<Parcel, WorkError> {
        let given = artifact.name.as_deref().unwrap_or_default();
        let name = self.variables.expand_text(given).replace('/', "-");
        let kind = match artifact.artifact_type.as_str() {
            "" => "archive".to_owned(),
            kind => kind.to_owned(),
        };
        let named = |usual: &str| {
            if name.is_empty() {
                usual.to_owned()
            } else {
                name.clone()
            }
        };
        let (root, file) = (self.project.to_owned(), self.temporary.join(".upload"));
        let packing = archive::Packing {
            root,
            files,
            to: file.clone(),
        };
        let (name, packed) = match artifact.artifact_format {
            ArtifactFormat::Zip => (
                format!("{}.zip", named("artifacts")),
                blocking(move || archive::zip(&packing)).await,
            ),
            ArtifactFormat::Gzip => (
                format!("{}.gz", named(&kind)),
                blocking(move || archive::gzip(&packing)).await,
            ),
            ArtifactFormat::Raw => (named(&kind), blocking(move || archive::raw(&packing)).await),
        };
        packed
            .map_err(|reason| WorkError::System(format!("cannot pack the artifacts: {reason}")))?;
        Ok(Parcel {
            file,
            name,
            kind,
            format: artifact.artifact_format.as_str(),
            expire_in: artifact.expire_in.clone(),
        })
    }

    /// Makes a call until it succeeds, is refused, or has been tried for long enough.
    async fn with_patience<F>(&self, call: impl Fn() -> F) -> Result<(), CallError>
    where
        F: Future<Output = Result<(), ClientError>>,
    {
        let (begin, mut backoff) = (Instant::now(), Backoff::new());
        loop {
            let result = tokio::select! {
                result = call() => result,
                cause = self.limits.reached() => return Err(CallError::Work(cause.into())),
            };
            match result {
                Ok(()) => return Ok(()),
                Err(error) if error.may_pass() && begin.elapsed() < TRY_FOR => {
                    let pause = self.limits.pause(backoff.next()).await;
                    pause.map_err(|cause| CallError::Work(cause.into()))?;
                }
                Err(error) => return Err(CallError::Client(error)),
            }
        }
    }
}

enum CallError {
    Client(ClientError),
    Work(WorkError),
}

fn failed(action: &str, what: &str, error: CallError) -> WorkError {
    match error {
        CallError::Work(error) => error,
        CallError::Client(error) => {
            let hint = match error.status().map(|status| status.as_u16()) {
                Some(413) => " (they are larger than the server takes)",
                Some(404) => " (have they expired, or been deleted?)",
                _ => "",
            };
            WorkError::System(format!("cannot {action} {what}{hint}: {}", chain(&error)))
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(error.to_string()),
    }
}
