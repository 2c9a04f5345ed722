//! What is to be stored of a run, so that it goes on as if it had never stopped.

use serde::{Deserialize, Serialize};

use crate::Status;

/// What is to be stored of one job: its latest attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// Its status.
    pub status: Status,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// Its exit code was one of `allow_failure:exit_codes`.
    #[serde(default)]
    pub forgiven: bool,
    /// Played or retried by `retry`: it does not wait for somebody to play it again.
    #[serde(default)]
    pub enqueue_at_once: bool,
    /// A runner had it; of a trigger job: its pipeline was made.
    #[serde(default)]
    pub started: bool,
    /// It holds the resource of its group.
    #[serde(default)]
    pub holds_resource: bool,
}

impl Default for JobState {
    fn default() -> Self {
        Self {
            status: Status::Created,
            attempt: 1,
            forgiven: false,
            enqueue_at_once: false,
            started: false,
            holds_resource: false,
        }
    }
}

/// What is to be stored of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunState {
    /// One for each job of the graph.
    pub jobs: Vec<JobState>,
    /// What the stages show. May be empty: then it follows from the jobs.
    #[serde(default)]
    pub stages: Vec<Status>,
    /// What the pipeline shows. May be absent: then it follows from the jobs.
    #[serde(default)]
    pub pipeline: Option<Status>,
}
