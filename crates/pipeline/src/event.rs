//! What can happen to a run, and what follows from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Status;

/// Something that happened. Jobs are named by their index in the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A runner took the job.
    Start {
        /// Which.
        job: usize,
    },
    /// It ended well.
    Succeeded {
        /// Which.
        job: usize,
    },
    /// It ended badly.
    Failed {
        /// Which.
        job: usize,
        /// Why.
        failure: Failure,
    },
    /// Somebody wants it stopped. A running job is told to and is `canceling` until
    /// [`Event::Canceled`].
    Cancel {
        /// Which.
        job: usize,
    },
    /// Its runner stopped it, or cannot be asked any more.
    Canceled {
        /// Which.
        job: usize,
    },
    /// Somebody wants the whole pipeline stopped.
    CancelAll,
    /// A newer commit came: what `workflow:auto_cancel:on_new_commit` says is done.
    Superseded,
    /// Somebody plays a manual or delayed job.
    Play {
        /// Which.
        job: usize,
    },
    /// Somebody wants it tried again.
    Retry {
        /// Which.
        job: usize,
    },
    /// Somebody wants all that failed or was canceled tried again.
    RetryAll,
    /// The time of a delayed job has come.
    Due {
        /// Which.
        job: usize,
    },
    /// The resource group gave its resource to the job.
    ResourceAcquired {
        /// Which.
        job: usize,
    },
    /// The pipeline that a trigger job started changed.
    Downstream {
        /// The trigger job.
        job: usize,
        /// How.
        state: Downstream,
    },
}

/// How the pipeline below a trigger job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Downstream {
    /// It was made.
    Created,
    /// It could not be made.
    Refused {
        /// GitLab's word: `downstream_pipeline_creation_failed`, …
        reason: String,
    },
    /// Its status changed.
    Status(Status),
    /// It was removed, and will never end.
    Removed {
        /// GitLab's word: `downstream_bridge_project_not_found`, …
        reason: String,
    },
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// GitLab's word: `script_failure`, `runner_system_failure`, `job_execution_timeout`, …
    pub reason: String,
    /// Of the script, when it ended at all.
    pub exit_code: Option<i32>,
}

impl Failure {
    /// The script ended with this exit code.
    pub fn script(exit_code: i32) -> Self {
        Self {
            reason: "script_failure".to_owned(),
            exit_code: Some(exit_code),
        }
    }

    /// Something but the script failed.
    pub fn other(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            exit_code: None,
        }
    }
}

/// What follows from an event, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// A new attempt of the job begins as `created`; the one before is kept as it ended.
    Attempt {
        /// Which.
        job: usize,
        /// From 1; so a new attempt has at least 2.
        number: u32,
        /// Made by `retry`, not by a person.
        automatic: bool,
    },
    /// The job has this status now. `pending` means: give it to a runner, unless it has a trigger.
    Job {
        /// Which.
        job: usize,
        /// The new status.
        status: Status,
    },
    /// Ask the runner to stop it; it is `canceling`.
    Stop {
        /// Which.
        job: usize,
    },
    /// Send [`Event::Due`] after this time.
    Delay {
        /// Which.
        job: usize,
        /// The time to wait.
        seconds: u64,
    },
    /// It waits in its resource group: send [`Event::ResourceAcquired`] when it is its turn.
    RequestResource {
        /// Which.
        job: usize,
    },
    /// It holds the resource of its group no longer.
    ReleaseResource {
        /// Which.
        job: usize,
    },
    /// Make the pipeline of this trigger job and tell with [`Event::Downstream`].
    StartDownstream {
        /// Which.
        job: usize,
    },
    /// Cancel the pipelines that this trigger job started, in all its attempts.
    CancelDownstream {
        /// Which.
        job: usize,
    },
    /// The stage has this status now.
    Stage {
        /// Index in the graph.
        stage: usize,
        /// The new status.
        status: Status,
    },
    /// The pipeline has this status now.
    Pipeline {
        /// The new status.
        status: Status,
    },
}

/// Why an event cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The graph has no such job.
    #[error("there is no job number {job} in this pipeline")]
    NoJob {
        /// The index.
        job: usize,
    },
    /// The job's status does not allow it.
    #[error("job `{name}` is {status}: it cannot be {what}")]
    Refused {
        /// The job's name.
        name: String,
        /// Its status.
        status: Status,
        /// What was asked for, as a participle.
        what: &'static str,
    },
    /// States that do not belong to the graph.
    #[error("the stored pipeline has {found} jobs, its graph has {expected}")]
    Mismatch {
        /// Jobs in the states.
        found: usize,
        /// Jobs in the graph.
        expected: usize,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exit_code {
            Some(code) => write!(f, "{} (exit code {code})", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}
