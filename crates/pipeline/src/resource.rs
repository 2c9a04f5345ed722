//! Resource groups: whose turn it is.
//!
//! A group spans all pipelines of a project, so the caller keeps the queue; the choice is made
//! here. At most one job holds a group's resource.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// In which order jobs get the resource (GitLab, "Process modes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessMode {
    /// As soon as one is ready.
    #[default]
    Unordered,
    /// The oldest pipeline first; a younger one waits even while the oldest is not ready.
    OldestFirst,
    /// The newest pipeline first; an older one waits even while the newest is not ready.
    NewestFirst,
    /// The newest of those that are ready.
    NewestReadyFirst,
}

impl ProcessMode {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Unordered,
        Self::OldestFirst,
        Self::NewestFirst,
        Self::NewestReadyFirst,
    ];

    /// GitLab's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unordered => "unordered",
            Self::OldestFirst => "oldest_first",
            Self::NewestFirst => "newest_first",
            Self::NewestReadyFirst => "newest_ready_first",
        }
    }
}

impl FromStr for ProcessMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        found.ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str).join(", ");
            format!("`{text}` is no process mode: use one of {words}")
        })
    }
}

/// A job of a group that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The pipeline's number: later pipelines have greater ones.
    pub pipeline: i64,
    /// The job's number.
    pub job: i64,
    /// It is `waiting_for_resource`; otherwise it is still to come (`created` or `scheduled`): one that
    /// waits to be played is nobody's turn.
    pub ready: bool,
}

/// The job that gets the free resource of a group.
pub fn next_resource(mode: ProcessMode, waiting: &[Waiting]) -> Option<i64> {
    let key = |one: &&Waiting| (one.pipeline, one.job);
    let ready = waiting.iter().filter(|one| one.ready);
    let chosen = match mode {
        ProcessMode::Unordered => ready.min_by_key(|one| one.job),
        ProcessMode::NewestReadyFirst => ready.max_by_key(|one| (one.pipeline, -one.job)),
        ProcessMode::OldestFirst => {
            let first = waiting.iter().min_by_key(key)?.pipeline;
            ready.filter(|one| one.pipeline == first).min_by_key(key)
        }
        ProcessMode::NewestFirst => {
            let last = waiting.iter().max_by_key(key)?.pipeline;
            ready.filter(|one| one.pipeline == last).min_by_key(key)
        }
    };
    chosen.map(|one| one.job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_chooses_its_own() {
        let waiting = |pipeline, job, ready| Waiting {
            pipeline,
            job,
            ready,
        };
        let queue = [
            waiting(1, 10, false),
            waiting(2, 21, true),
            waiting(2, 20, true),
            waiting(3, 30, true),
            waiting(4, 40, false),
        ];
        for (mode, expected) in [
            (ProcessMode::Unordered, Some(20)),
            (ProcessMode::OldestFirst, None),
            (ProcessMode::NewestFirst, None),
            (ProcessMode::NewestReadyFirst, Some(30)),
        ] {
            assert_eq!(next_resource(mode, &queue), expected, "{mode:?}");
        }
        assert_eq!(
            next_resource(ProcessMode::OldestFirst, &queue[1..]),
            Some(20)
        );
        assert_eq!(
            next_resource(ProcessMode::NewestFirst, &queue[..4]),
            Some(30)
        );
        assert_eq!(next_resource(ProcessMode::Unordered, &[]), None);
    }
}
