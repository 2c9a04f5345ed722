//! Starting git: with an environment of its own, and with an end.
//!
//! Nothing of the user's or the machine's git configuration takes part, git never asks anything,
//! and every process is in a group of its own that is killed when its owner lets go of it.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::GitError;

/// How much of a process's error output is kept, in bytes.
const STDERR_LIMIT: usize = 8192;

/// Holds for every repository. Fetching any commit by its id is what runners do. Objects are
/// checked as they come in, except for three old faults that are frequent and harmless. Nothing
/// is ever pruned: a pipeline may refer to a commit that a forced push has cut off.
const CONFIG: &[(&str, &str)] = &[
    ("safe.directory", "*"),
    ("core.fsync", "objects,derived-metadata,reference"),
    ("core.fsyncMethod", "batch"),
    ("gc.autoDetach", "false"),
    ("gc.cruftPacks", "true"),
    ("gc.pruneExpire", "never"),
    ("receive.advertisePushOptions", "true"),
    ("receive.autogc", "false"),
    ("receive.fsck.badTimezone", "ignore"),
    ("receive.fsck.missingSpaceBeforeDate", "ignore"),
    ("receive.fsck.zeroPaddedFilemode", "ignore"),
    ("receive.fsckObjects", "true"),
    ("uploadpack.allowAnySHA1InWant", "true"),
    ("uploadpack.allowFilter", "true"),
];

/// A git command that is being put together.
pub(crate) struct Git {
    command: Command,
    operation: &'static str,
    config: Vec<(&'static str, String)>,
}

impl Git {
    /// `git OPERATION`, in this folder, with hooks switched off.
    pub(crate) fn new(operation: &'static str, folder: &Path) -> Self {
        let mut command = Command::new("git");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .current_dir(folder)
            .process_group(0)
            .arg(operation);
        Self {
            command,
            operation,
            config: vec![("core.hooksPath", "/dev/null".to_owned())],
        }
    }

    /// The same, for the repository in this folder.
    pub(crate) fn in_repository(operation: &'static str, folder: &Path) -> Self {
        Self::new(operation, folder).env("GIT_DIR", folder)
    }

    pub(crate) fn args<A: AsRef<std::ffi::OsStr>>(
        mut self,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Adds a setting; a later one wins over an earlier one.
    pub(crate) fn config(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.config.push((key, value.into()));
        self
    }

    /// Starts it with all three streams piped.
    pub(crate) fn start(mut self) -> Result<(Process, Pipes), GitError> {
        self.pass_config();
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(GitError::process(self.operation))?;
        let piped = "the stream was piped when the process was made";
        let pipes = Pipes {
            stdin: child.stdin.take().expect(piped),
            stdout: child.stdout.take().expect(piped),
            stderr: child.stderr.take().expect(piped),
        };
        let process = Process {
            child,
            operation: self.operation,
            ended: false,
        };
        Ok((process, pipes))
    }

    /// Through the environment, as child processes of git need the settings too.
    fn pass_config(&mut self) {
        let fixed = CONFIG.iter().map(|&(key, value)| (key, value.to_owned()));
        let settings: Vec<_> = fixed.chain(self.config.drain(..)).collect();
        self.command
            .env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (index, (key, value)) in settings.into_iter().enumerate() {
            self.command
                .env(format!("GIT_CONFIG_KEY_{index}"), key)
                .env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
    }

    /// Runs it to its end and returns its output, at most `limit` bytes.
    pub(crate) async fn output(self, input: &[u8], limit: u64) -> Result<Vec<u8>, GitError> {
        let operation = self.operation;
        let repository = self.folder();
        let (mut process, pipes) = self.start()?;
        let Pipes {
            mut stdin,
            stdout,
            stderr,
        } = pipes;
        let feed = async move {
            // A process that ends before it has read everything says why by its exit status.
            let _ = stdin.write_all(input).await;
            drop(stdin);
        };
        let read = async {
            let mut bytes = Vec::new();
            stdout.take(limit + 1).read_to_end(&mut bytes).await?;
            Ok(bytes)
        };
        let ((), bytes, errors) = tokio::join!(feed, read, read_tail(stderr));
        let bytes = bytes.map_err(GitError::process(operation))?;
        if bytes.len() as u64 > limit {
            return Err(GitError::TooLarge {
                what: format!("the output of `git {operation}`"),
                limit,
            });
        }
        if process.wait().await?.success() {
            return Ok(bytes);
        }
        Err(GitError::Failed {
            operation,
            repository,
            message: errors,
        })
    }

    fn folder(&self) -> std::path::PathBuf {
        let folder = self.command.as_std().get_current_dir();
        folder.unwrap_or(Path::new(".")).to_owned()
    }
}

/// The three streams of a process.
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

/// A running git. Dropping it kills it with every process that it has started.
pub(crate) struct Process {
    child: Child,
    operation: &'static str,
    ended: bool,
}

impl Process {
    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus, GitError> {
        let status = self.child.wait().await;
        self.ended = true;
        status.map_err(GitError::process(self.operation))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let (false, Some(group)) = (self.ended, id.and_then(Pid::from_raw)) {
            // It may just have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads an error output to its end and returns its last part, on one line.
pub(crate) async fn read_tail(mut stream: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..count]);
        let excess = kept.len().saturating_sub(STDERR_LIMIT);
        kept.drain(..excess);
    }
    let text = String::from_utf8_lossy(&kept);
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    lines.join("; ")
}

/// Whether a git that is new enough can be started: 2.37 is the first with the settings above.
pub(crate) async fn check_version(folder: &Path) -> Result<(), GitError> {
    let output = Git::new("version", folder).output(b"", 1000).await?;
    let text = String::from_utf8_lossy(&output);
    let mut numbers = text
        .split_whitespace()
        .nth(2)
        .unwrap_or_default()
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (2, 37) {
        return Ok(());
    }
    let message = format!("{} is too old: install git 2.37 or later", text.trim());
    Err(GitError::process("version")(io::Error::other(message)))
}
