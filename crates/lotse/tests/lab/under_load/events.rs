//! A deployer at work, followed by the events that `--json` prints, and killed when the test says so.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// See the module. Dropping it kills the deployer.
pub(crate) struct Deployer {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Deployer {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        Self {
            process,
            lines: BufReader::new(output).lines(),
            said: Vec::new(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until an event is told that is meant. `None` when there is none to its end.
    pub(crate) fn follow(&mut self, mut is_meant: impl FnMut(&Value) -> bool) -> Option<Value> {
        for line in self.lines.by_ref().map_while(Result::ok) {
            let event: Option<Value> = serde_json::from_str(&line).ok();
            self.said.push(line);
            if let Some(event) = event.filter(|event| is_meant(event)) {
                return Some(event);
            }
        }
        None
    }

    /// Waits for its end; returns its exit code and all that it has said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        self.follow(|_| false);
        let status = self.process.wait().unwrap();
        (status.code(), self.said.join("\n"))
    }
}

impl Drop for Deployer {
    fn drop(&mut self) {
        let _ended_before = self.process.kill();
        let _status = self.process.wait();
    }
}

/// Whether this step begins on this host.
pub(crate) fn begins(event: &Value, step: &str, host: &str) -> bool {
    let on = event["host"].as_str().unwrap_or_default();
    event["event"] == "begun" && event["step"]["step"] == step && on.ends_with(host)
}

/// Whether a step begins or has come to its end with this event.
pub(crate) fn is_boundary(event: &Value) -> bool {
    ["begun", "done", "failed", "stopped"].contains(&event["event"].as_str().unwrap_or_default())
}
