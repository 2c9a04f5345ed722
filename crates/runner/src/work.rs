//! A job's work: sources, scripts, and what came of it.
//!
//! Reads as GitLab's stages do: prepare, get sources, script, after_script. What the server is told
//! about it is not decided here but in [`crate::job`].

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use runner_api::{Artifact, Dependency, JobResponse, Step, StepName};
use tokio::process::Command;
use tokio::time::Instant;

use crate::artifacts::Artifacts;
use crate::client::Client;
use crate::config::private_folder;
use crate::leftovers::MARK;
use crate::limits::{Cause, Limits, in_words, parse_duration};
use crate::log::JobLog;
use crate::process::{self, Ended};
use crate::script::script;
use crate::sources::{self, Sources};
use crate::tree::Trees;
use crate::upload::Order;
use crate::variables::Variables;

const AFTER_SCRIPT_LIMIT: Duration = Duration::from_secs(5 * 60);
const GREEN: &str = "\u{1b}[32;1m";
const YELLOW: &str = "\u{1b}[0;33m";
const CYAN: &str = "\u{1b}[36;1m";
const RESET: &str = "\u{1b}[0;m";
const CLEAR_LINE: &str = "\u{1b}[0K";

/// How the scripts came out, if not well.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WorkError {
    /// A command ended with this exit code.
    Script(i32),
    /// It was stopped.
    Stopped(Cause),
    /// What the job asks for cannot be.
    Configuration(String),
    /// The runner could not do its part.
    System(String),
}

impl From<Cause> for WorkError {
    fn from(cause: Cause) -> Self {
        Self::Stopped(cause)
    }
}

/// As the last line of a log says it.
impl fmt::Display for WorkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(code) => write!(f, "exit status {code}"),
            Self::Stopped(Cause::Canceled | Cause::Aborted) => f.write_str("canceled"),
            Self::Stopped(Cause::Shutdown) => f.write_str("the runner was stopped"),
            Self::Stopped(Cause::TimedOut(limit)) => {
                write!(f, "execution took longer than {}", in_words(*limit))
            }
            Self::Configuration(reason) | Self::System(reason) => f.write_str(reason),
        }
    }
}

/// Where a job works.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// `CI_PROJECT_DIR`.
    pub(crate) project: PathBuf,
    /// File variables and scripts; beside the project, so that no clean-up of it finds them.
    pub(crate) temporary: PathBuf,
}

impl Place {
    pub(crate) fn new(project: PathBuf) -> Self {
        let mut temporary = project.clone().into_os_string();
        temporary.push(".tmp");
        Self {
            project,
            temporary: temporary.into(),
        }
    }
}

/// One job at work.
pub(crate) struct Work<'a> {
    pub(crate) job: &'a JobResponse,
    pub(crate) place: &'a Place,
    pub(crate) variables: Variables,
    pub(crate) base: &'a BTreeMap<String, String>,
    pub(crate) mark: &'a str,
    pub(crate) shell: &'a Path,
    pub(crate) log: &'a JobLog,
    pub(crate) limits: Limits,
    pub(crate) trees: &'a Trees,
    pub(crate) client: &'a Client,
}

impl Work<'_> {
    /// Does everything; whatever happens, nothing secret stays on the disk.
    pub(crate) async fn all(&mut self) -> Result<(), WorkError> {
        self.prepare()?;
        let result = self.steps().await;
        let _ = fs_err::remove_dir_all(&self.place.temporary);
        result
    }

    async fn steps(&mut self) -> Result<(), WorkError> {
        self.get_sources().await?;
        self.download_artifacts().await?;
        let result = self.script().await;
        self.variables.set("CI_JOB_STATUS", status(&result));
        match &result {
            Err(WorkError::Stopped(cause)) if !self.after_script_follows(*cause) => result,
            _ => {
                self.after_script().await;
                self.upload_artifacts(result).await
            }
        }
    }

    /// After a cancelled job, and after a script that took longer than `RUNNER_SCRIPT_TIMEOUT`,
    /// but not when the whole job's time is over.
    fn after_script_follows(&self, cause: Cause) -> bool {
        match cause {
            Cause::Canceled => true,
            Cause::TimedOut(_) => Instant::now() < self.limits.begin + self.limits.longest,
            Cause::Aborted | Cause::Shutdown => false,
        }
    }

    fn prepare(&self) -> Result<(), WorkError> {
        if let Some(name) = self.variables.too_long() {
            return Err(WorkError::Configuration(format!(
                "the variable {name} is longer than a process can be given (128 KiB): make it a variable of type file"
            )));
        }
        let failed = |error: std::io::Error| WorkError::System(error.to_string());
        let temporary = &self.place.temporary;
        match fs_err::remove_dir_all(temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
        private_folder(temporary).map_err(failed)?;
        for (path, content) in self.variables.files() {
            write_private(&path, content.as_bytes()).map_err(failed)?;
        }
        Ok(())
    }

    async fn get_sources(&self) -> Result<(), WorkError> {
        let section = self.section("get_sources", "Getting source from Git repository");
        let environment = self.environment();
        let sources = Sources {
            info: &self.job.git_info,
            allow_fetch: self.job.allow_git_fetch,
            folder: &self.place.project,
            variables: &self.variables,
            environment: &environment,
            log: self.log,
            limits: &self.limits,
            trees: self.trees,
        };
        let result = sources::get(&sources).await;
        section.end();
        match result {
            Err(WorkError::System(reason)) => Err(WorkError::System(format!(
                "cannot get the sources: {reason}"
            ))),
            result => result,
        }
    }

    async fn download_artifacts(&self) -> Result<(), WorkError> {
        let made_some = |dependency: &&Dependency| {
            let file = dependency.artifacts_file.as_ref();
            file.is_some_and(|file| !file.filename.is_empty())
        };
        let dependencies: Vec<_> = self.job.dependencies.iter().filter(made_some).collect();
        if dependencies.is_empty() {
            return Ok(());
        }
        let section = self.section("download_artifacts", "Downloading artifacts");
        let environment = self.environment();
        let artifacts = self.artifacts(&environment);
        for dependency in dependencies {
            artifacts.fetch(dependency).await?;
        }
        section.end();
        Ok(())
    }

    /// A job whose artifacts do not reach the server has failed, even if its script has not.
    async fn upload_artifacts(&self, result: Result<(), WorkError>) -> Result<(), WorkError> {
        if matches!(result, Err(WorkError::Stopped(Cause::Canceled))) {
            return result;
        }
        let wanted = |artifact: &&Artifact| artifact.when.holds(result.is_ok());
        let wanted: Vec<_> = self.job.artifacts.iter().filter(wanted).collect();
        if wanted.is_empty() {
            return result;
        }
        let name = if result.is_ok() {
            "upload_artifacts_on_success"
        } else {
            "upload_artifacts_on_failure"
        };
        let section = self.section(name, "Uploading artifacts");
        let environment = self.environment();
        let artifacts = self.artifacts(&environment);
        let mut outcome = result;
        for artifact in wanted {
            let sent = artifacts.send(artifact).await;
            if let (Err(_), Err(error)) = (&outcome, &sent) {
                self.log.line(&yellow(&format!("WARNING: {error}")));
            }
            outcome = outcome.and(sent);
        }
        section.end();
        outcome
    }

    fn artifacts<'b>(&'b self, environment: &'b [(String, String)]) -> Artifacts<'b> {
        Artifacts {
            client: self.client,
            job: self.job.id,
            token: &self.job.token,
            project: &self.place.project,
            temporary: &self.place.temporary,
            variables: &self.variables,
            environment,
            log: self.log,
            limits: &self.limits,
        }
    }

    async fn script(&mut self) -> Result<(), WorkError> {
        let Some(step) = self.step(&StepName::Script) else {
            return Ok(());
        };
        self.variables.set("CI_JOB_STATUS", "running");
        let section = self.section(
            "step_script",
            "Executing \"step_script\" stage of the job script",
        );
        let limits = self.limits.at_most(self.duration("RUNNER_SCRIPT_TIMEOUT"));
        let result = self.execute(&step.script, &limits).await;
        section.end();
        result
    }

    async fn after_script(&self) {
        let Some(step) = self.step(&StepName::AfterScript) else {
            return;
        };
        if step.script.is_empty() {
            return;
        }
        let section = self.section("after_script", "Running after_script");
        self.log.line(&green("Running after script..."));
        let limit = self.duration("RUNNER_AFTER_SCRIPT_TIMEOUT");
        let mut limits = self
            .limits
            .at_most(Some(limit.unwrap_or(AFTER_SCRIPT_LIMIT)));
        limits.heed = Order::Abort;
        if let Err(error) = self.execute(&step.script, &limits).await {
            self.log.line(&yellow(&format!(
                "WARNING: after_script failed, but job will continue unaffected: {error}"
            )));
        }
        section.end();
    }

    async fn execute(&self, commands: &[String], limits: &Limits) -> Result<(), WorkError> {
        let path = self.place.temporary.join(".script");
        write_private(&path, script(commands).as_bytes())
            .map_err(|error| WorkError::System(error.to_string()))?;
        let mut command = Command::new(self.shell);
        command
            .arg(&path)
            .current_dir(&self.place.project)
            .env_clear()
            .envs(self.environment());
        match process::run(command, self.log, limits.reached()).await {
            Ok(Ended::Exit(0)) => Ok(()),
            Ok(Ended::Exit(code)) => Err(WorkError::Script(code)),
            Ok(Ended::Stopped(cause)) => Err(WorkError::Stopped(cause)),
            Err(error) => Err(WorkError::System(format!(
                "cannot run {}: {error}",
                self.shell.display()
            ))),
        }
    }

    fn step(&self, name: &StepName) -> Option<Step> {
        self.job
            .steps
            .iter()
            .find(|step| step.name == *name)
            .cloned()
    }

    fn duration(&self, name: &str) -> Option<Duration> {
        parse_duration(self.variables.get(name)?)
    }

    fn environment(&self) -> Vec<(String, String)> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let base = self.base.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        base.chain(self.variables.environment())
            .map(own)
            .chain([(MARK.to_owned(), self.mark.to_owned())])
            .collect()
    }

    /// Begins a part of the log that pages can fold.
    fn section(&self, name: &'static str, title: &str) -> Section<'_> {
        let folds = self.job.features.trace_sections;
        let title = format!("{CLEAR_LINE}{CYAN}{title}{RESET}{CLEAR_LINE}");
        if folds {
            let time = unix_time();
            self.log
                .line(&format!("section_start:{time}:{name}\r{CLEAR_LINE}{title}"));
        } else {
            self.log.line(&title);
        }
        Section {
            name,
            log: folds.then_some(self.log),
        }
    }
}

/// What after_script sees as `CI_JOB_STATUS`.
fn status(result: &Result<(), WorkError>) -> &'static str {
    match result {
        Ok(()) => "success",
        Err(WorkError::Stopped(Cause::Canceled)) => "canceled",
        Err(_) => "failed",
    }
}

struct Section<'a> {
    name: &'static str,
    log: Option<&'a JobLog>,
}

impl Section<'_> {
    fn end(self) {
        if let Some(log) = self.log {
            log.text(&format!(
                "section_end:{}:{}\r{CLEAR_LINE}",
                unix_time(),
                self.name
            ));
        }
    }
}

fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

pub(crate) fn yellow(text: &str) -> String {
    format!("{YELLOW}{text}{RESET}")
}

pub(crate) fn green(text: &str) -> String {
    format!("{GREEN}{text}{RESET}")
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let describe = |error: std::io::Error| {
        std::io::Error::new(
            error.kind(),
            format!("cannot write {}: {error}", path.display()),
        )
    };
    options
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .map_err(describe)
}
