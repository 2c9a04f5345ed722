//! `lotse runner run` as a process.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::Lotse;
use super::program::hermetic;

const STOP_GRACE: Duration = Duration::from_secs(5);

/// How a runner is to be.
#[derive(Debug, Clone)]
pub struct RunnerSetup<'a> {
    /// Jobs with these tags are for it; without any it takes those without tags.
    pub tags: &'a [&'a str],
    /// How many jobs at a time.
    pub concurrent: u32,
    /// Where it checks out; without it a fresh folder.
    pub directory: Option<PathBuf>,
}

impl Default for RunnerSetup<'_> {
    fn default() -> Self {
        Self {
            tags: &[],
            concurrent: 4,
            directory: None,
        }
    }
}

/// A running runner. Dropping it ends it with its jobs.
pub struct RunnerProcess {
    process: Child,
    log: PathBuf,
    /// Its number on the server.
    pub id: i64,
    /// Its token.
    pub token: String,
}

impl Lotse {
    /// Makes a runner for jobs with these tags and starts it.
    pub async fn runner(&self, tags: &[&str]) -> RunnerProcess {
        let setup = RunnerSetup {
            tags,
            ..RunnerSetup::default()
        };
        self.runner_with(&setup).await
    }

    /// Makes a runner and starts it.
    ///
    /// # Panics
    /// When that is impossible.
    pub async fn runner_with(&self, setup: &RunnerSetup<'_>) -> RunnerProcess {
        let body = json!({ "description": "a test's runner", "tag_list": setup.tags });
        let made = self.post("/user/runners", &body).await;
        let token = made["token"].as_str().expect("a token").to_owned();
        let folder = self.fresh_folder("runner");
        let log = folder.join("runner.log");
        let output = fs_err::File::create(&log).expect("a log can be written");
        let directory = setup.directory.clone();
        let mut command = Command::new(self.binary());
        hermetic(&mut command, &self.home())
            .args(["runner", "run", "--url", &self.url(), "--config"])
            .arg(folder.join("runner.toml"))
            .arg("--directory")
            .arg(directory.unwrap_or_else(|| folder.join("work")))
            .args(["--name", "tester"])
            .args(["--concurrent", &setup.concurrent.to_string()])
            .env("LOTSE_RUNNER_TOKEN", &token)
            .stdout(Stdio::null())
            .stderr(Stdio::from(output.into_file()));
        RunnerProcess {
            process: command.spawn().expect("the program can be started"),
            log,
            id: made["id"].as_i64().expect("a number"),
            token,
        }
    }
}

impl RunnerProcess {
    /// What it has said.
    pub fn log(&self) -> String {
        fs_err::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    fn signal(&self) {
        if let Some(pid) = Pid::from_raw(self.process.id().cast_signed()) {
            let _ended_before = kill_process(pid, Signal::TERM);
        }
    }

    fn has_ended(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(Some(_)))
    }
}

impl Drop for RunnerProcess {
    /// Told twice, it ends its jobs; killed, it would leave them.
    fn drop(&mut self) {
        let deadline = Instant::now() + STOP_GRACE;
        while !self.has_ended() && Instant::now() < deadline {
            self.signal();
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ended_before = self.process.kill();
        let _status = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- a runner's log ---\n{}", self.log());
        }
    }
}
