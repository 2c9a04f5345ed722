//! Programs that see nothing of the machine they run on: no configuration, no proxy, no language.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Lotse, PATIENCE};

/// What a program has said, and how it ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// Both outputs.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Lotse {
    /// Runs `lotse` with these arguments as a user who is logged in.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_as(&self.token, arguments).await
    }

    /// Runs `lotse` as the user whose token this is.
    pub async fn run_as(&self, token: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new(&self.binary);
        hermetic(&mut command, &self.home())
            .args(arguments)
            .env("LOTSE_URL", self.url())
            .env("LOTSE_TOKEN", token);
        ran(command).await
    }

    /// Runs `lotse` as a user who is not logged in, and knows no server.
    pub async fn run_bare(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(&self.binary);
        hermetic(&mut command, &self.home()).args(arguments);
        ran(command).await
    }
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started, or does not end in time.
pub(super) async fn ran(command: Command) -> Ran {
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .unwrap_or_else(|_| panic!("{command:?} does not end"))
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Takes the surroundings away from a command.
pub(super) fn hermetic<'a>(command: &'a mut Command, home: &Path) -> &'a mut Command {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("LC_ALL", "C.UTF-8")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .current_dir(home)
        .stdin(Stdio::null())
}
