//! A hundred one-line jobs of one stage, against the same scripts started by a loop.
//!
//! The runner is paused while the pipeline is made, so that what is measured is handing out, running
//! and reporting back alone: from the moment at which the runner may begin to the end of the pipeline.

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use testkit::lotse::{Lotse, RunnerProcess, RunnerSetup};

use crate::table::Table;

const JOBS: u32 = 100;
const ROUNDS: usize = 3;

pub(crate) async fn measure(lotse: &Lotse, table: &mut Table) {
    for concurrent in [1, 4] {
        let setup = RunnerSetup {
            concurrent,
            ..RunnerSetup::default()
        };
        let runner = lotse.runner_with(&setup).await;
        let mut rounds = Vec::new();
        // the first round clones; it is not counted
        for _ in 0..=ROUNDS {
            let base = bare_loop();
            rounds.push((run(lotse, &runner).await, base));
        }
        rounds.remove(0);
        rounds.sort_unstable();
        let what = format!("{JOBS} jobs, {concurrent} at a time, against a bash loop");
        table.ratio(&what, "3 ×", rounds[ROUNDS / 2]);
    }
}

/// The scripts, each in a bash of its own, one after the other.
fn bare_loop() -> Duration {
    let script = format!("for i in $(seq {JOBS}); do bash -c 'echo hello'; done");
    let begin = Instant::now();
    let output = Command::new("bash").args(["-c", &script]).output();
    assert!(output.is_ok_and(|output| output.status.success()));
    begin.elapsed()
}

async fn run(lotse: &Lotse, runner: &RunnerProcess) -> Duration {
    let project = format!("bench/jobs-of-{}", runner.id);
    pause(lotse, runner, true).await;
    let repository = lotse.repository(&project).await;
    let ci = format!("hello: {{parallel: {JOBS}, script: [echo hello]}}");
    // the same commit each time: its sources are there already
    let date = ("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z");
    repository.write(".gitlab-ci.yml", &ci);
    repository.git(&["add", "-A"]).await;
    let mut commit = repository.command(&["commit", "-q", "-m", "jobs", "--date", date.1]);
    assert!(commit.env(date.0, date.1).status().unwrap().success());
    let pushed = repository.push(&["--force", "main"]).await;
    let id = match pushed.pipeline() {
        Some(id) => id,
        None => start(lotse, &project).await,
    };
    let begin = Instant::now();
    pause(lotse, runner, false).await;
    let done = lotse.finished(&project, id).await;
    let took = begin.elapsed();
    assert_eq!(done.status(), "success", "{}", done.summary());
    took
}

async fn start(lotse: &Lotse, project: &str) -> i64 {
    let path = format!("/projects/{}/pipeline", project.replace('/', "%2F"));
    let made = lotse.post(&path, &json!({ "ref": "main" })).await;
    made["id"].as_i64().unwrap()
}

async fn pause(lotse: &Lotse, runner: &RunnerProcess, paused: bool) {
    let path = format!("/runners/{}", runner.id);
    let body = json!({ "paused": paused });
    let request = lotse.request(Method::PUT, &path).json(&body);
    let answer = lotse.ask(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
