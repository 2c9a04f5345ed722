//! What the API talks about, as far as it is shown. Unknown fields are kept for `--json` by not
//! going through these types.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Client;
use crate::output::{Failure, Tone};

/// Reads a resource out of an answer.
pub(crate) fn typed<T: DeserializeOwned>(client: &Client, value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|error| client.not_understood().because(&error))
}

/// Whoever a token belongs to.
#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) is_admin: bool,
}

/// A user's right on a group or project.
#[derive(Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) id: i64,
    pub(crate) username: String,
    pub(crate) access_level: i64,
    /// The group or project that gives it.
    #[serde(default)]
    pub(crate) path: String,
}

/// A project.
#[derive(Debug, Deserialize)]
pub(crate) struct Project {
    pub(crate) id: i64,
    pub(crate) path_with_namespace: String,
    #[serde(default)]
    pub(crate) default_branch: Option<String>,
    #[serde(default)]
    pub(crate) http_url_to_repo: String,
    #[serde(default)]
    pub(crate) web_url: String,
    #[serde(default)]
    pub(crate) auto_cancel_pending_pipelines: Option<String>,
    #[serde(default)]
    pub(crate) created_at: Option<String>,
}

/// A variable of a project or group.
#[derive(Debug, Deserialize)]
pub(crate) struct Variable {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: Option<String>,
    #[serde(default)]
    pub(crate) variable_type: String,
    #[serde(default)]
    pub(crate) protected: bool,
    #[serde(default)]
    pub(crate) masked: bool,
    #[serde(default)]
    pub(crate) raw: bool,
    #[serde(default)]
    pub(crate) environment_scope: String,
    #[serde(default)]
    pub(crate) description: Option<String>,
}

/// A pipeline.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pipeline {
    pub(crate) id: i64,
    #[serde(default)]
    pub(crate) project_id: i64,
    pub(crate) status: Status,
    #[serde(rename = "ref", default)]
    pub(crate) git_ref: String,
    #[serde(default)]
    pub(crate) sha: String,
    #[serde(default)]
    pub(crate) source: String,
    #[serde(default)]
    pub(crate) created_at: String,
    #[serde(default)]
    pub(crate) duration: Option<f64>,
    #[serde(default)]
    pub(crate) web_url: String,
    #[serde(default)]
    pub(crate) yaml_errors: Option<String>,
}

impl Pipeline {
    pub(crate) fn short_sha(&self) -> &str {
        self.sha.get(..8).unwrap_or(&self.sha)
    }
}

/// One attempt of a job.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) stage: String,
    pub(crate) status: Status,
    #[serde(rename = "ref", default)]
    pub(crate) git_ref: String,
    #[serde(default)]
    pub(crate) allow_failure: bool,
    #[serde(default)]
    pub(crate) failure_reason: Option<String>,
    #[serde(default)]
    pub(crate) exit_code: Option<i64>,
    /// Why no runner takes it, in the server's words.
    #[serde(default)]
    pub(crate) pending_reason: Option<String>,
    #[serde(default)]
    pub(crate) tag_list: Vec<String>,
    #[serde(default)]
    pub(crate) created_at: String,
    #[serde(default)]
    pub(crate) duration: Option<f64>,
    #[serde(default)]
    pub(crate) web_url: String,
    #[serde(default)]
    pub(crate) pipeline: Option<PipelineOfJob>,
    /// What it left behind.
    #[serde(default)]
    pub(crate) artifacts_file: Option<ArtifactsFile>,
    /// Of a trigger job: the pipeline that it started.
    #[serde(default)]
    pub(crate) downstream_pipeline: Option<Pipeline>,
}

/// The archive of a job's artifacts.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ArtifactsFile {
    pub(crate) filename: String,
    pub(crate) size: u64,
}

/// The pipeline that a job is part of.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PipelineOfJob {
    pub(crate) id: i64,
}

impl Job {
    /// The pipeline that it started, and how it is.
    pub(crate) fn below(&self) -> Option<String> {
        let below = self.downstream_pipeline.as_ref()?;
        Some(format!("pipeline {} {}", below.id, below.status.as_str()))
    }

    /// What there is to say beside its status: why it failed, or what it waits for.
    pub(crate) fn remark(&self) -> Option<String> {
        if self.status.is("failed") {
            let code = self.exit_code.map(|code| format!("exit code {code}"));
            let reason = self.failure_reason.as_ref();
            let reason = reason.filter(|reason| *reason != "script_failure");
            let reason = reason.map(|reason| reason.replace('_', " "));
            let allowed = self.allow_failure.then(|| "allowed to fail".to_owned());
            let parts: Vec<_> = [reason, code, allowed].into_iter().flatten().collect();
            return Some(parts.join(", ")).filter(|text| !text.is_empty());
        }
        self.pending_reason.clone().filter(|text| !text.is_empty())
    }
}

/// The status of a pipeline or job, in GitLab's words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Status(String);

impl Status {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is(&self, word: &str) -> bool {
        self.0 == word
    }

    /// Whether it will not change by itself any more.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.as_str(), "success" | "failed" | "canceled" | "skipped")
    }

    pub(crate) fn tone(&self) -> Tone {
        match self.as_str() {
            "success" => Tone::Good,
            "failed" => Tone::Bad,
            "running" | "preparing" | "canceling" => Tone::Busy,
            "pending" | "manual" | "waiting_for_resource" | "scheduled" => Tone::Waiting,
            _ => Tone::Quiet,
        }
    }
}

/// A token, without its text.
#[derive(Debug, Deserialize)]
pub(crate) struct Token {
    pub(crate) id: i64,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    #[serde(default)]
    pub(crate) active: Option<bool>,
    #[serde(default)]
    pub(crate) created_at: Option<String>,
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
}
