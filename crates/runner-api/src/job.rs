//! How a runner asks for work, and the job that it gets: `POST /api/v4/jobs/request`.

use model::Secret;
use serde::{Deserialize, Serialize};

use crate::content::{Artifact, Cache, Credentials, Dependency, Image, When};
use crate::json::null_as_default;
use crate::registration::VersionInfo;
use crate::update::FailureReason;

/// The body of `POST /api/v4/jobs/request`.
///
/// Answers: 201 with a [`JobResponse`]; 204 with `X-GitLab-Last-Update` when there is none (the
/// answer may be held back until one comes); 403 when the token is not good.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JobRequest {
    /// What the runner is.
    #[serde(default, deserialize_with = "null_as_default")]
    pub info: VersionInfo,
    /// The runner's token.
    #[serde(default, deserialize_with = "null_as_default")]
    pub token: Secret,
    /// Which machine asks: one token may serve several.
    #[serde(default, deserialize_with = "null_as_default")]
    pub system_id: String,
    /// The cursor of the last answer's `X-GitLab-Last-Update`.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub last_update: String,
}

/// A job: all that a runner needs to execute it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JobResponse {
    /// The job's number.
    pub id: i64,
    /// What the runner, and the job itself (`CI_JOB_TOKEN`), may show to the server.
    pub token: Secret,
    /// Whether the sources of the last job may be used again.
    #[serde(default, deserialize_with = "null_as_default")]
    pub allow_git_fetch: bool,
    /// Names and numbers.
    #[serde(default, deserialize_with = "null_as_default")]
    pub job_info: JobInfo,
    /// Which sources.
    #[serde(default, deserialize_with = "null_as_default")]
    pub git_info: GitInfo,
    /// What the runner is to respect.
    #[serde(default, deserialize_with = "null_as_default")]
    pub runner_info: RunnerInfo,
    /// Variables, lowest precedence first: the last of a name wins.
    #[serde(default, deserialize_with = "null_as_default")]
    pub variables: Vec<Variable>,
    /// Scripts.
    #[serde(default, deserialize_with = "null_as_default")]
    pub steps: Vec<Step>,
    /// `run`: steps in place of a script, as JSON in a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The image that the scripts run in.
    #[serde(default)]
    pub image: Option<Image>,
    /// Containers beside it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub services: Vec<Image>,
    /// What to keep of the result.
    #[serde(default, deserialize_with = "null_as_default")]
    pub artifacts: Vec<Artifact>,
    /// What to keep for the next job.
    #[serde(default, deserialize_with = "null_as_default")]
    pub cache: Vec<Cache>,
    /// Logins of registries.
    #[serde(default, deserialize_with = "null_as_default")]
    pub credentials: Vec<Credentials>,
    /// Jobs whose artifacts come first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub dependencies: Vec<Dependency>,
    /// What the server can do.
    #[serde(default, deserialize_with = "null_as_default")]
    pub features: Features,
    /// Scripts around the fetching of sources.
    #[serde(default, deserialize_with = "null_as_default")]
    pub hooks: Vec<Hook>,
}

/// Names and numbers of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobInfo {
    /// The job's name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// Its stage.
    #[serde(default, deserialize_with = "null_as_default")]
    pub stage: String,
    /// The project's number.
    #[serde(default, deserialize_with = "null_as_default")]
    pub project_id: i64,
    /// The project's name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub project_name: String,
    /// `group/name`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub project_full_path: String,
    /// How long it waited for a runner, in seconds.
    #[serde(default, deserialize_with = "null_as_default")]
    pub time_in_queue_seconds: f64,
    /// How many jobs of the project run on shared runners: a text, `0` or `+Inf`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub project_jobs_running_on_instance_runners_count: String,
}

/// Which sources a job needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitInfo {
    /// Where they are; holds user and job token, hence a secret.
    #[serde(default, deserialize_with = "null_as_default")]
    pub repo_url: Secret,
    /// `sha1` or `sha256`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub repo_object_format: String,
    /// The branch's or tag's name.
    #[serde(rename = "ref", default, deserialize_with = "null_as_default")]
    pub git_ref: String,
    /// The commit.
    #[serde(default, deserialize_with = "null_as_default")]
    pub sha: String,
    /// The commit before the push; zeros for a new branch or tag.
    #[serde(default, deserialize_with = "null_as_default")]
    pub before_sha: String,
    /// Branch or tag.
    #[serde(default)]
    pub ref_type: RefType,
    /// What to fetch: `+refs/heads/main:refs/remotes/origin/main`, `+<sha>:refs/pipelines/<id>`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub refspecs: Vec<String>,
    /// How many commits; 0 is all.
    #[serde(default, deserialize_with = "null_as_default")]
    pub depth: u32,
}

/// What `ref` names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefType {
    /// A branch.
    #[default]
    Branch,
    /// A tag.
    Tag,
    /// Something newer.
    #[serde(other)]
    Other,
}

/// What the runner is to respect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerInfo {
    /// How long the job may take, in seconds; 0 is the runner's default (an hour).
    #[serde(default, deserialize_with = "null_as_default")]
    pub timeout: u64,
    /// Where a web terminal would connect; not used.
    #[serde(default)]
    pub runner_session_url: Option<String>,
}

/// One variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub key: String,
    /// Its value, before expansion.
    #[serde(default, deserialize_with = "null_as_default")]
    pub value: Secret,
    /// Anyone who may see the job may see it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub public: bool,
    /// The job gets the path of a file with the value.
    #[serde(default, deserialize_with = "null_as_default")]
    pub file: bool,
    /// `[MASKED]` in logs.
    #[serde(default, deserialize_with = "null_as_default")]
    pub masked: bool,
    /// Not expanded.
    #[serde(default, deserialize_with = "null_as_default")]
    pub raw: bool,
}

impl From<model::variable::Variable> for Variable {
    fn from(variable: model::variable::Variable) -> Self {
        Self {
            file: variable.kind == model::variable::VariableKind::File,
            key: variable.key,
            value: variable.value,
            public: variable.public,
            masked: variable.masked,
            raw: variable.raw,
        }
    }
}

/// One script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which of the job's scripts.
    pub name: StepName,
    /// Its commands; before_script comes first in `script`'s.
    #[serde(default, deserialize_with = "null_as_default")]
    pub script: Vec<String>,
    /// In seconds.
    #[serde(default, deserialize_with = "null_as_default")]
    pub timeout: u64,
    /// After what it runs.
    #[serde(default)]
    pub when: When,
    /// Whether the job is well even if this is not.
    #[serde(default, deserialize_with = "null_as_default")]
    pub allow_failure: bool,
}

/// The name of a [`Step`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// before_script and script.
    Script,
    /// after_script.
    AfterScript,
    /// Anything newer, such as `release`.
    #[serde(untagged)]
    Other(String),
}

/// What the server can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Its pages fold the log at section markers.
    #[serde(default, deserialize_with = "null_as_default")]
    pub trace_sections: bool,
    /// Texts behind these prefixes are masked as tokens.
    #[serde(default, deserialize_with = "null_as_default")]
    pub token_mask_prefixes: Vec<String>,
    /// The reasons that it knows.
    #[serde(default, deserialize_with = "null_as_default")]
    pub failure_reasons: Vec<FailureReason>,
}

/// A script around the fetching of sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// `pre_get_sources_script` or `post_get_sources_script`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
    /// Its commands.
    #[serde(default, deserialize_with = "null_as_default")]
    pub script: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::CachePolicy;

    /// Shaped as GitLab 18 writes it, nulls and unknown fields included.
    const FROM_GITLAB: &str = r#"{
        "id": 7, "token": "glcbt-x", "allow_git_fetch": true,
        "job_info": {"id": 7, "name": "build", "stage": "test", "project_id": 3,
            "project_name": "repository", "time_in_queue_seconds": 0.5,
            "project_jobs_running_on_instance_runners_count": "+Inf", "queue_size": 1},
        "git_info": {"repo_url": "https://gitlab-ci-token:glcbt-x@example.org/a/b.git",
            "ref": "v1", "sha": "abc", "before_sha": "000", "ref_type": "tag",
            "refspecs": ["+refs/tags/v1:refs/tags/v1"], "depth": 20,
            "repo_object_format": "sha1", "protected": null},
        "runner_info": {"timeout": 3600, "runner_session_url": null},
        "inputs": [],
        "variables": [{"key": "CI", "value": "true", "public": true, "masked": false},
            {"key": "EMPTY", "value": null, "public": true}],
        "steps": [{"name": "script", "script": ["true"], "timeout": 3600, "when": "on_success",
                   "allow_failure": false},
                  {"name": "after_script", "script": ["true"], "timeout": 3600, "when": "always",
                   "allow_failure": true},
                  {"name": "release", "script": [], "timeout": 1, "when": "on_success",
                   "allow_failure": false}],
        "image": null, "services": null, "artifacts": null,
        "cache": [{"key": "k-protected", "untracked": false, "policy": "pull-push",
                   "paths": ["a/"], "when": "on_success", "fallback_keys": []}],
        "credentials": [{"type": "registry", "url": "r", "username": "u", "password": "p"}],
        "dependencies": [{"id": 1, "token": "t", "name": "a",
                          "artifacts_file": {"filename": "artifacts.zip", "size": 5}}],
        "features": {"trace_sections": true, "token_mask_prefixes": null,
                     "failure_reasons": ["script_failure", "newer"]},
        "hooks": null, "run": null, "policy_options": {"execution_policy_job": false}
    }"#;

    #[test]
    fn reads_what_gitlab_sends() {
        let job: JobResponse = serde_json::from_str(FROM_GITLAB).unwrap();
        assert_eq!(job.git_info.ref_type, RefType::Tag);
        assert_eq!(job.steps[1].name, StepName::AfterScript);
        assert_eq!(job.steps[2].name, StepName::Other("release".into()));
        assert_eq!(job.variables[1].value.expose(), "");
        assert_eq!(job.cache[0].policy, CachePolicy::PullPush);
        assert_eq!(
            job.features.failure_reasons,
            [FailureReason::ScriptFailure, FailureReason::UnknownFailure]
        );
        assert!(job.image.is_none());
    }

    #[test]
    fn what_it_writes_it_reads() {
        let job: JobResponse = serde_json::from_str(FROM_GITLAB).unwrap();
        let text = serde_json::to_string(&job).unwrap();
        let again: JobResponse = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
        assert!(text.contains(r#""name":"after_script""#), "{text}");
        assert!(text.contains(r#""ref":"v1""#), "{text}");
    }

    #[test]
    fn debug_shows_no_secret() {
        let job: JobResponse = serde_json::from_str(FROM_GITLAB).unwrap();
        assert!(!format!("{job:?}").contains("glcbt-x"));
    }

    #[test]
    fn reads_the_official_runners_request() {
        let request: JobRequest = serde_json::from_str(
            r#"{"info":{"name":"gitlab-runner","features":{"variables":true},"config":{"gpus":""}},
                "token":"glrt-x","system_id":"s_1","last_update":"abc","session":{"url":"x"}}"#,
        )
        .unwrap();
        assert_eq!(request.last_update, "abc");
        assert_eq!(request.info.name, "gitlab-runner");
    }
}
