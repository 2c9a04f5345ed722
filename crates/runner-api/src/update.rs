//! How a runner reports a job's state: `PUT /api/v4/jobs/:id`.

use model::Secret;
use serde::{Deserialize, Serialize};

use crate::json::null_as_default;
use crate::registration::VersionInfo;

/// The body of `PUT /api/v4/jobs/:id`.
///
/// Answers: 200 done (with `Job-Status`); 202 the trace is not yet complete here, ask again later;
/// 412 the trace is damaged, send it again from the start, then ask again; 403 or 404 the job is no
/// longer this runner's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UpdateRequest {
    /// The job's token.
    #[serde(default, deserialize_with = "null_as_default")]
    pub token: Secret,
    /// What the runner is.
    #[serde(default, deserialize_with = "null_as_default")]
    pub info: VersionInfo,
    /// `running` is a sign of life; the others end the job.
    pub state: JobState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<FailureReason>,
    /// The script's exit code, when it failed with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The trace's checksum; the older place for `output.checksum`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// What the whole trace should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<TraceOutput>,
}

/// The whole trace, for the server to compare with what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceOutput {
    /// See [`trace_checksum`].
    #[serde(default, deserialize_with = "null_as_default")]
    pub checksum: String,
    /// Its length in bytes.
    #[serde(default, deserialize_with = "null_as_default")]
    pub bytesize: u64,
}

/// The text of a trace's checksum: `crc32:` and eight hexadecimal digits of the CRC-32 (IEEE).
pub fn trace_checksum(crc32: u32) -> String {
    format!("crc32:{crc32:08x}")
}

/// A job's state as its runner reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Taken, not yet started.
    Pending,
    /// At work.
    Running,
    /// Ended well.
    Success,
    /// Ended badly, or was cancelled (the server knows which: it gave the order).
    Failed,
}

/// Why a job failed, as far as a runner can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// A command of the script ended with another exit code than 0.
    ScriptFailure,
    /// The runner could not do its own part: no sources, no disk, no shell.
    RunnerSystemFailure,
    /// The job took longer than it may.
    JobExecutionTimeout,
    /// The image could not be had.
    ImagePullFailure,
    /// What the job asks for contradicts itself or the runner's settings.
    ConfigurationError,
    /// Any other, also one that this version does not know.
    #[serde(other)]
    UnknownFailure,
}

impl FailureReason {
    /// GitLab's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScriptFailure => "script_failure",
            Self::RunnerSystemFailure => "runner_system_failure",
            Self::JobExecutionTimeout => "job_execution_timeout",
            Self::ImagePullFailure => "image_pull_failure",
            Self::ConfigurationError => "configuration_error",
            Self::UnknownFailure => "unknown_failure",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_official_runner_sends() {
        let update: UpdateRequest = serde_json::from_str(
            r#"{"info":{"features":{}},"token":"t","state":"failed","failure_reason":"script_failure",
                "checksum":"crc32:0000002a","output":{"checksum":"crc32:0000002a","bytesize":7},
                "exit_code":3}"#,
        )
        .unwrap();
        assert_eq!(update.state, JobState::Failed);
        assert_eq!(update.failure_reason, Some(FailureReason::ScriptFailure));
        assert_eq!(update.exit_code, Some(3));
        let output = update.output.unwrap();
        assert_eq!(output.checksum, trace_checksum(42));
        assert_eq!(output.bytesize, 7);
    }

    #[test]
    fn failure_reasons_are_gitlabs_words() {
        for reason in [
            FailureReason::ScriptFailure,
            FailureReason::RunnerSystemFailure,
            FailureReason::JobExecutionTimeout,
            FailureReason::ImagePullFailure,
            FailureReason::ConfigurationError,
            FailureReason::UnknownFailure,
        ] {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{}\"", reason.as_str()));
            assert_eq!(
                serde_json::from_str::<FailureReason>(&json).unwrap(),
                reason
            );
        }
        let newer: FailureReason = serde_json::from_str("\"newer_failure\"").unwrap();
        assert_eq!(newer, FailureReason::UnknownFailure);
    }
}
