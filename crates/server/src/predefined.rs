//! The variables that every job finds (GitLab, "Predefined CI/CD variables reference").
//!
//! Those of the pipeline are known when the file is compiled, so `rules` see them; those of the job
//! exist only once a runner takes it.

use model::{
    CommitId, GitRef, JobId, PipelineId, ProjectId, ProjectPath, RunnerId, Secret, Variable,
    environment_slug, slug,
};

use crate::config::Addresses;
use crate::push::CommitFacts;

/// GitLab's version whose language and API are spoken.
pub(crate) const GITLAB_VERSION: (&str, &str, &str) = ("18", "0", "0");

/// What the pipeline's variables are made of.
pub(crate) struct PipelineFacts<'a> {
    pub addresses: &'a Addresses,
    pub project_id: ProjectId,
    pub project: &'a ProjectPath,
    pub default_branch: &'a str,
    pub git_ref: &'a GitRef,
    pub sha: &'a CommitId,
    pub before_sha: &'a str,
    pub commit: &'a CommitFacts,
    pub source: &'a str,
    pub user_name: &'a str,
    pub protected: bool,
    /// What it was made for, when another pipeline started it.
    pub upstream: Option<Upstream>,
}

/// The trigger job that a pipeline was made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upstream {
    pub project: ProjectId,
    pub pipeline: PipelineId,
    pub job: JobId,
}

/// The variables of a pipeline; `rules` see them too.
pub(crate) fn of_pipeline(facts: &PipelineFacts<'_>) -> Vec<Variable> {
    let mut list = List::default();
    list.server(facts.addresses);
    list.project(facts);
    list.commit(facts);
    list.add("CI_PIPELINE_SOURCE", facts.source);
    if let Some(upstream) = facts.upstream {
        list.add("CI_UPSTREAM_PROJECT_ID", upstream.project.to_string());
        list.add("CI_UPSTREAM_PIPELINE_ID", upstream.pipeline.to_string());
        list.add("CI_UPSTREAM_JOB_ID", upstream.job.to_string());
    }
    if let Some(registry) = facts.addresses.registry() {
        list.add("CI_REGISTRY", registry);
        list.add("CI_REGISTRY_IMAGE", format!("{registry}/{}", facts.project));
    }
    list.add("GITLAB_USER_LOGIN", facts.user_name);
    list.add("GITLAB_USER_NAME", facts.user_name);
    list.0
}

/// What the job's variables are made of.
pub(crate) struct JobFacts<'a> {
    pub addresses: &'a Addresses,
    pub project: &'a ProjectPath,
    pub pipeline: PipelineNumbers,
    pub id: JobId,
    pub stage: &'a str,
    /// Milliseconds since 1970.
    pub started_at: Option<i64>,
    pub job: &'a ci::Job,
    pub runner: RunnerFacts<'a>,
    /// Seconds.
    pub timeout: u64,
    pub token: &'a Secret,
    pub repository_url: &'a Secret,
}

/// A pipeline's numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PipelineNumbers {
    pub id: PipelineId,
    pub iid: i64,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// The runner that took the job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunnerFacts<'a> {
    pub id: RunnerId,
    pub description: &'a str,
    pub tags: &'a [String],
}

/// The repository's address with the job's token in it.
pub(crate) fn repository_url(
    addresses: &Addresses,
    project: &ProjectPath,
    token: &Secret,
) -> Secret {
    Secret::new(format!(
        "{}://gitlab-ci-token:{}@{}/{}.git",
        addresses.scheme(),
        token.expose(),
        addresses.url.split_once("://").map_or("", |(_, rest)| rest),
        project
    ))
}

/// The variables that exist once a runner has taken the job; only the job itself sees them.
pub(crate) fn of_job(facts: &JobFacts<'_>) -> Vec<Variable> {
    let mut list = List(of_trigger(&TriggerFacts {
        addresses: facts.addresses,
        project: facts.project,
        pipeline: facts.pipeline,
        stage: facts.stage,
        job: facts.job,
    }));
    let page = |path: String| facts.addresses.page(&path);
    let project = facts.project;
    list.add("CI_JOB_ID", facts.id.to_string());
    list.add("CI_JOB_URL", page(format!("{project}/-/jobs/{}", facts.id)));
    list.add("CI_JOB_STATUS", "running");
    list.add("CI_JOB_TIMEOUT", facts.timeout.to_string());
    if let Some(at) = facts.started_at {
        list.add("CI_JOB_STARTED_AT", time(at));
    }
    if facts.job.when == ci::When::Manual {
        list.add("CI_JOB_MANUAL", "true");
    }
    list.add("CI_RUNNER_ID", facts.runner.id.to_string());
    list.add("CI_RUNNER_DESCRIPTION", facts.runner.description);
    let tags = serde_json::to_string(facts.runner.tags).unwrap_or_default();
    list.add("CI_RUNNER_TAGS", tags);
    if facts.addresses.registry().is_some() {
        list.add("CI_REGISTRY_USER", "gitlab-ci-token");
        list.secret("CI_REGISTRY_PASSWORD", facts.token);
    }
    list.secret("CI_JOB_TOKEN", facts.token);
    list.secret("CI_REPOSITORY_URL", facts.repository_url);
    list.0
}

/// What the variables of a job that no runner has are made of.
pub(crate) struct TriggerFacts<'a> {
    pub addresses: &'a Addresses,
    pub project: &'a ProjectPath,
    pub pipeline: PipelineNumbers,
    pub stage: &'a str,
    pub job: &'a ci::Job,
}

/// The variables of a job beside the pipeline's, as far as they are known before a runner has it.
pub(crate) fn of_trigger(facts: &TriggerFacts<'_>) -> Vec<Variable> {
    let mut list = List::default();
    let id = facts.pipeline.id;
    let page = format!("{}/-/pipelines/{id}", facts.project);
    list.add("CI_PIPELINE_ID", id.to_string());
    list.add("CI_PIPELINE_IID", facts.pipeline.iid.to_string());
    list.add("CI_PIPELINE_URL", facts.addresses.page(&page));
    list.add("CI_PIPELINE_CREATED_AT", time(facts.pipeline.created_at));
    list.add("CI_JOB_NAME", &facts.job.name);
    list.add("CI_JOB_NAME_SLUG", slug(&facts.job.name));
    list.add("CI_JOB_GROUP_NAME", &facts.job.group);
    list.add("CI_JOB_STAGE", facts.stage);
    let parallel = facts.job.parallel.as_ref();
    let total = parallel.map_or(1, |parallel| parallel.total);
    list.add("CI_NODE_TOTAL", total.to_string());
    if let Some(parallel) = parallel {
        list.add("CI_NODE_INDEX", parallel.index.to_string());
    }
    list.environment(facts.job);
    list.0
}

#[derive(Default)]
struct List(Vec<Variable>);

impl List {
    fn add(&mut self, key: &str, value: impl Into<String>) {
        self.0.push(Variable::public(key, value).raw());
    }

    fn secret(&mut self, key: &str, value: &Secret) {
        self.0.push(Variable::masked(key, value.clone()));
    }

    fn server(&mut self, addresses: &Addresses) {
        let (major, minor, patch) = GITLAB_VERSION;
        self.add("CI", "true");
        self.add("GITLAB_CI", "true");
        self.add("GITLAB_FEATURES", "");
        self.add("CI_SERVER_URL", &addresses.url);
        self.add("CI_SERVER_HOST", addresses.host());
        self.add("CI_SERVER_FQDN", addresses.authority());
        self.add("CI_SERVER_PORT", addresses.port());
        self.add("CI_SERVER_PROTOCOL", addresses.scheme());
        self.add("CI_SERVER_NAME", "GitLab");
        self.add("CI_SERVER_VERSION", format!("{major}.{minor}.{patch}"));
        self.add("CI_SERVER_VERSION_MAJOR", major);
        self.add("CI_SERVER_VERSION_MINOR", minor);
        self.add("CI_SERVER_VERSION_PATCH", patch);
        self.add("CI_SERVER_REVISION", env!("CARGO_PKG_VERSION"));
        self.add("CI_API_V4_URL", addresses.page("api/v4"));
    }

    fn project(&mut self, facts: &PipelineFacts<'_>) {
        let path = facts.project;
        let group = path.group();
        let root = path.as_str().split('/').next().unwrap_or_default();
        self.add("CI_PROJECT_ID", facts.project_id.to_string());
        self.add("CI_PROJECT_NAME", path.name());
        self.add("CI_PROJECT_TITLE", path.name());
        self.add("CI_PROJECT_PATH", path.as_str());
        self.add("CI_PROJECT_PATH_SLUG", slug(path.as_str()));
        self.add("CI_PROJECT_NAMESPACE", group.as_str());
        self.add("CI_PROJECT_NAMESPACE_SLUG", slug(group.as_str()));
        self.add("CI_PROJECT_ROOT_NAMESPACE", root);
        self.add("CI_PROJECT_URL", facts.addresses.page(path.as_str()));
        self.add("CI_PROJECT_VISIBILITY", "private");
        self.add("CI_PROJECT_REPOSITORY_LANGUAGES", "");
        self.add("CI_DEFAULT_BRANCH", facts.default_branch);
        self.add("CI_CONFIG_PATH", crate::push::CONFIG_FILE);
    }

    fn commit(&mut self, facts: &PipelineFacts<'_>) {
        let name = facts.git_ref.name();
        self.add("CI_COMMIT_SHA", facts.sha.as_str());
        self.add("CI_COMMIT_SHORT_SHA", facts.sha.short());
        self.add("CI_COMMIT_BEFORE_SHA", facts.before_sha);
        self.add("CI_COMMIT_REF_NAME", name);
        self.add("CI_COMMIT_REF_SLUG", slug(name));
        if facts.git_ref.is_tag() {
            self.add("CI_COMMIT_TAG", name);
            let message = facts.commit.tag_message.as_deref().unwrap_or_default();
            self.add("CI_COMMIT_TAG_MESSAGE", message);
        } else {
            self.add("CI_COMMIT_BRANCH", name);
        }
        let protected = if facts.protected { "true" } else { "false" };
        self.add("CI_COMMIT_REF_PROTECTED", protected);
        self.add("CI_COMMIT_MESSAGE", &facts.commit.message);
        self.add("CI_COMMIT_TITLE", &facts.commit.title);
        self.add("CI_COMMIT_DESCRIPTION", &facts.commit.description);
        self.add("CI_COMMIT_AUTHOR", &facts.commit.author);
        self.add("CI_COMMIT_TIMESTAMP", &facts.commit.timestamp);
    }

    fn environment(&mut self, job: &ci::Job) {
        let Some(environment) = &job.environment else {
            return;
        };
        self.add("CI_ENVIRONMENT_NAME", &environment.name);
        self.add("CI_ENVIRONMENT_SLUG", environment_slug(&environment.name));
        if let Some(url) = &environment.url {
            self.0.push(Variable::public("CI_ENVIRONMENT_URL", url));
        }
        if let Some(tier) = &environment.tier {
            self.add("CI_ENVIRONMENT_TIER", tier);
        }
    }
}

/// RFC 3339 in UTC, to the second.
pub(crate) fn time(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds)
        .unwrap_or_default()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}
