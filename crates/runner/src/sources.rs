//! Brings a project's work tree to the commit of a job, with as few git processes as that takes.
//!
//! A job may have written anything into the tree that it leaves behind, also into `.git`: before
//! it is used again its configuration is written anew, and hooks and locks go. The token reaches
//! git by the environment alone: never by arguments, never by a file.

mod remote;

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::CommitId;
use runner_api::{GitInfo, RefType};
use tokio::process::Command;

use crate::limits::Limits;
use crate::log::JobLog;
use crate::process::{self, Ended};
use crate::tree::Trees;
use crate::variables::Variables;
use crate::work::{WorkError, green};

use remote::Remote;
pub(crate) use remote::secrets;

/// Tried so often unless `GET_SOURCES_ATTEMPTS` says otherwise: the server may be starting anew.
const ATTEMPTS: u32 = 3;
const MOST_ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);
/// Says which refs were fetched last, so that they need not be fetched again.
const FETCHED: &str = "lotse-fetched";
const LOCKS: [&str; 6] = [
    "index.lock",
    "shallow.lock",
    "HEAD.lock",
    "config.lock",
    "packed-refs.lock",
    "FETCH_HEAD.lock",
];

/// What it takes to get sources.
pub(crate) struct Sources<'a> {
    pub(crate) info: &'a GitInfo,
    pub(crate) allow_fetch: bool,
    pub(crate) folder: &'a Path,
    pub(crate) variables: &'a Variables,
    pub(crate) environment: &'a [(String, String)],
    pub(crate) log: &'a JobLog,
    pub(crate) limits: &'a Limits,
    pub(crate) trees: &'a Trees,
}

enum Strategy {
    Fetch,
    Clone,
    None,
    Empty,
}

/// Gets the sources of a job.
pub(crate) async fn get(sources: &Sources<'_>) -> Result<(), WorkError> {
    match sources.strategy()? {
        Strategy::None => {
            sources.log.line(&green("Skipping Git repository setup"));
            sources.make_folder()
        }
        Strategy::Empty => {
            sources.log.line(&green(
                "Skipping Git repository setup and creating an empty build directory",
            ));
            sources.remove_folder()?;
            sources.make_folder()
        }
        strategy => {
            sources
                .with_attempts(matches!(strategy, Strategy::Clone))
                .await
        }
    }
}

impl Sources<'_> {
    fn strategy(&self) -> Result<Strategy, WorkError> {
        match self.variables.get("GIT_STRATEGY").unwrap_or_default() {
            "fetch" => Ok(Strategy::Fetch),
            "clone" => Ok(Strategy::Clone),
            "none" => Ok(Strategy::None),
            "empty" => Ok(Strategy::Empty),
            "" if self.allow_fetch => Ok(Strategy::Fetch),
            "" => Ok(Strategy::Clone),
            other => Err(WorkError::Configuration(format!(
                "GIT_STRATEGY is `{other}`: use fetch, clone, none or empty"
            ))),
        }
    }

    /// The first attempt uses what is there, unless told not to; the others start afresh.
    async fn with_attempts(&self, mut afresh: bool) -> Result<(), WorkError> {
        let wanted = self.variables.get("GET_SOURCES_ATTEMPTS");
        let attempts = wanted.and_then(|n| n.parse().ok()).unwrap_or(ATTEMPTS);
        let mut attempt = 1;
        loop {
            match self.once(afresh).await {
                Err(WorkError::System(reason)) if attempt < attempts.clamp(1, MOST_ATTEMPTS) => {
                    self.log.line(&format!("{reason}; trying again"));
                    afresh = true;
                    self.limits.pause(PAUSE * attempt).await?;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn once(&self, afresh: bool) -> Result<(), WorkError> {
        let commit: CommitId =
            self.info.sha.parse().map_err(|error| {
                WorkError::System(format!("the server names no commit: {error}"))
            })?;
        let remote = Remote::parse(&self.info.repo_url)?;
        let git = self.git(&remote);
        if afresh || !self.is_repository() {
            self.remove_folder()?;
            self.make_folder()?;
            let format = format!("--object-format={}", self.object_format());
            git.run(&["init", "--quiet", "--template=", &format])
                .await?;
        }
        self.clean_repository(&remote)?;
        let checkout = self.variables.get("GIT_CHECKOUT") != Some("false");
        if self.is_fetched() && self.head_is(&commit) {
            if checkout {
                self.log.line(&green(&format!(
                    "Sources are at {} already",
                    commit.short()
                )));
                self.tidy(&git).await?;
            }
        } else {
            self.fetch(&git).await?;
            if checkout {
                self.check_out(&git, &commit).await?;
                self.mark_fetched();
            } else {
                self.log.line(&green("Skipping Git checkout"));
            }
        }
        if checkout {
            self.submodules(&git).await?;
        }
        Ok(())
    }

    async fn fetch(&self, git: &Git<'_>) -> Result<(), WorkError> {
        let depth = self.depth();
        let depth_flag = format!("--depth={depth}");
        let mut arguments = vec!["fetch", "--quiet", "--prune", "--force"];
        if depth > 0 {
            self.log.line(&green(&format!(
                "Fetching changes with git depth set to {depth}..."
            )));
            arguments.push(&depth_flag);
        } else {
            self.log.line(&green("Fetching changes..."));
            if self.git_file("shallow").exists() {
                arguments.push("--unshallow");
            }
        }
        arguments.extend(["--", "origin"]);
        let refspecs = self.refspecs();
        arguments.extend(refspecs.iter().map(String::as_str));
        git.run(&arguments).await
    }

    async fn check_out(&self, git: &Git<'_>, commit: &CommitId) -> Result<(), WorkError> {
        self.log.line(&green(&format!(
            "Checking out {} as detached HEAD (ref is {})...",
            commit.short(),
            self.info.git_ref
        )));
        let arguments = [
            "checkout",
            "--quiet",
            "--force",
            "--detach",
            commit.as_str(),
        ];
        if let Err(error) = git.run(&arguments).await {
            // The branch went on, and the commit lies deeper than was fetched.
            if !matches!(error, WorkError::System(_)) {
                return Err(error);
            }
            let depth = format!("--depth={}", self.depth().max(1));
            git.run(&["fetch", "--quiet", &depth, "--", "origin", commit.as_str()])
                .await?;
            git.run(&arguments).await?;
        }
        self.clean(git).await
    }

    /// The tree is at the commit: undoes what a job has changed, if it has.
    async fn tidy(&self, git: &Git<'_>) -> Result<(), WorkError> {
        let content = self.fetched();
        if self.trees.is_untouched(self.folder, &content) {
            return Ok(());
        }
        if git.is_untouched().await? {
            self.trees.is_clean(self.folder, &content);
            return Ok(());
        }
        self.clean(git).await?;
        git.run(&["reset", "--quiet", "--hard"]).await
    }

    async fn clean(&self, git: &Git<'_>) -> Result<(), WorkError> {
        let flags = self.clean_flags();
        if flags == ["none"] {
            return Ok(());
        }
        let mut arguments = vec!["clean", "--quiet"];
        arguments.extend(flags);
        git.run(&arguments).await
    }

    async fn submodules(&self, git: &Git<'_>) -> Result<(), WorkError> {
        let recursive: &[&str] = match self.variables.get("GIT_SUBMODULE_STRATEGY") {
            None | Some("" | "none") => return Ok(()),
            Some("normal") => &[],
            Some("recursive") => &["--recursive"],
            Some(other) => {
                return Err(WorkError::Configuration(format!(
                    "GIT_SUBMODULE_STRATEGY is `{other}`: use none, normal or recursive"
                )));
            }
        };
        if !self.folder.join(".gitmodules").exists() {
            return Ok(());
        }
        self.log.line(&green("Updating/initializing submodules..."));
        let depth = self
            .variables
            .get("GIT_SUBMODULE_DEPTH")
            .unwrap_or_default();
        let depth = depth
            .parse()
            .ok()
            .map(|depth: u32| format!("--depth={depth}"));
        git.run(&[&["submodule", "--quiet", "sync"], recursive].concat())
            .await?;
        let mut update = [
            &["submodule", "--quiet", "update", "--init", "--force"],
            recursive,
        ]
        .concat();
        update.extend(depth.as_deref());
        git.run(&update).await?;
        let clean = ["git", "clean", "--quiet", "-ffdx"];
        git.run(&[&["submodule", "--quiet", "foreach"], recursive, &clean].concat())
            .await
    }

    fn clean_flags(&self) -> Vec<&str> {
        let flags = self.variables.get("GIT_CLEAN_FLAGS").unwrap_or_default();
        let flags: Vec<&str> = flags.split_whitespace().collect();
        if flags.is_empty() {
            vec!["-ffdx"]
        } else {
            flags
        }
    }

    fn depth(&self) -> u32 {
        let wanted = self
            .variables
            .get("GIT_DEPTH")
            .and_then(|depth| depth.parse().ok());
        wanted.unwrap_or(self.info.depth)
    }

    fn refspecs(&self) -> Vec<String> {
        if !self.info.refspecs.is_empty() {
            return self.info.refspecs.clone();
        }
        let name = &self.info.git_ref;
        vec![match self.info.ref_type {
            RefType::Tag => format!("+refs/tags/{name}:refs/tags/{name}"),
            _ => format!("+refs/heads/{name}:refs/remotes/origin/{name}"),
        }]
    }

    fn object_format(&self) -> &str {
        match self.info.repo_object_format.as_str() {
            "sha256" => "sha256",
            _ => "sha1",
        }
    }

    fn is_repository(&self) -> bool {
        self.git_file("HEAD").is_file() && self.git_file("objects").is_dir()
    }

    fn head_is(&self, commit: &CommitId) -> bool {
        fs_err::read_to_string(self.git_file("HEAD"))
            .is_ok_and(|head| head.trim() == commit.as_str())
    }

    fn is_fetched(&self) -> bool {
        fs_err::read_to_string(self.git_file(FETCHED)).is_ok_and(|text| text == self.fetched())
    }

    fn fetched(&self) -> String {
        format!(
            "{} {} {}",
            self.depth(),
            self.info.sha,
            self.refspecs().join(" ")
        )
    }

    /// Without the note the next job fetches again: slower, and right.
    fn mark_fetched(&self) {
        let _ = fs_err::write(self.git_file(FETCHED), self.fetched());
    }

    fn git_file(&self, name: &str) -> PathBuf {
        self.folder.join(".git").join(name)
    }

    /// Takes out of `.git` what an earlier job may have put there to act in this one.
    fn clean_repository(&self, remote: &Remote) -> Result<(), WorkError> {
        let failed = |error: std::io::Error| WorkError::System(error.to_string());
        for folder in ["hooks", "info"] {
            let path = self.git_file(folder);
            if path.exists() {
                fs_err::remove_dir_all(&path).map_err(failed)?;
            }
        }
        for lock in LOCKS {
            let _ = fs_err::remove_file(self.git_file(lock));
        }
        let config = remote.config(self.object_format());
        let path = self.git_file("config");
        if fs_err::read_to_string(&path).is_ok_and(|known| known == config) {
            return Ok(());
        }
        fs_err::write(&path, config).map_err(failed)
    }

    fn make_folder(&self) -> Result<(), WorkError> {
        crate::config::private_folder(self.folder).map_err(|error| {
            WorkError::System(format!("cannot make {}: {error}", self.folder.display()))
        })
    }

    fn remove_folder(&self) -> Result<(), WorkError> {
        match fs_err::remove_dir_all(self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(WorkError::System(error.to_string()))
            }
            _ => Ok(()),
        }
    }

    fn git<'b>(&'b self, remote: &Remote) -> Git<'b> {
        Git {
            sources: self,
            configuration: remote.environment(self.variables),
        }
    }
}

/// Calls git in the project's folder.
struct Git<'a> {
    sources: &'a Sources<'a>,
    configuration: Vec<(String, String)>,
}

impl Git<'_> {
    async fn run(&self, arguments: &[&str]) -> Result<(), WorkError> {
        let sources = self.sources;
        let stop = sources.limits.reached();
        match process::run(self.command(arguments), sources.log, stop).await {
            Ok(Ended::Exit(0)) => Ok(()),
            Ok(Ended::Exit(code)) => Err(WorkError::System(format!(
                "`git {}` ended with exit status {code}",
                arguments[0]
            ))),
            Ok(Ended::Stopped(cause)) => Err(WorkError::Stopped(cause)),
            Err(error) => Err(cannot_run(&error)),
        }
    }

    /// Whether there is nothing in the tree but what belongs to the commit.
    async fn is_untouched(&self) -> Result<bool, WorkError> {
        let mut command = self.command(&[
            "status",
            "--porcelain",
            "--ignored",
            "--untracked-files=normal",
        ]);
        command
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        let output = tokio::select! {
            output = command.output() => output.map_err(|error| cannot_run(&error))?,
            cause = self.sources.limits.reached() => return Err(WorkError::Stopped(cause)),
        };
        Ok(output.status.success() && output.stdout.is_empty())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(self.sources.folder)
            .env_clear()
            .envs(self.sources.environment.iter().map(|(k, v)| (k, v)))
            .envs(self.configuration.iter().map(|(k, v)| (k, v)));
        command
    }
}

fn cannot_run(error: &std::io::Error) -> WorkError {
    WorkError::System(format!(
        "cannot run git: {error}; is it installed on the runner's machine?"
    ))
}
