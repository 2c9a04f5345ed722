//! What a runner gets of a job: the graph's job, put into the words of the runner protocol.

use ci::{CacheKey, Graph, Job, SaveWhen};
use model::{JobId, Secret, Variable};
use runner_api::{
    Cache, CachePolicy, Credentials, Features, GitInfo, Hook, Image, JobInfo, JobResponse, RefType,
    RunnerInfo, Step, StepName, When,
};

use crate::App;
use crate::dispatch::Asked;
use crate::http::ApiError;
use crate::predefined::{self, JobFacts, PipelineFacts};
use crate::push::{CommitFacts, is_protected};
use crate::store::{JobRow, Owner, PipelineRow, Project, StoreError, VariableRow};

/// A job's time limit when neither it nor its project has one, in seconds.
const DEFAULT_TIMEOUT: u64 = 3600;

/// The user name that goes with a job's token.
const TOKEN_USER: &str = "gitlab-ci-token";

/// Everything that the runner needs to carry out the job it has just been given.
pub(crate) async fn build(
    app: &App,
    id: JobId,
    asked: &Asked,
    token: Secret,
) -> Result<JobResponse, ApiError> {
    let gone = || ApiError::not_found(format_args!("job {id}"));
    let row = app.store.job(id).await?.ok_or_else(gone)?;
    let (pipeline, project) = tokio::try_join!(
        app.store.pipeline(row.pipeline),
        app.store.project(row.project),
    )?;
    let pipeline = pipeline.ok_or_else(gone)?;
    let project = project.ok_or_else(gone)?;
    let damaged = || StoreError::Damaged {
        what: format!("the graph of pipeline {}", pipeline.id),
    };
    let graph: Graph = serde_json::from_str(&pipeline.graph).map_err(|_| damaged())?;
    let job = graph.jobs.get(row.node).ok_or_else(damaged)?;
    let commit: CommitFacts = serde_json::from_str(&pipeline.commit_json).map_err(|_| damaged())?;
    let parts = Parts {
        app,
        row: &row,
        pipeline: &pipeline,
        project: &project,
        commit: &commit,
        job,
        asked,
        token,
    };
    parts.response().await
}

struct Parts<'a> {
    app: &'a App,
    row: &'a JobRow,
    pipeline: &'a PipelineRow,
    project: &'a Project,
    commit: &'a CommitFacts,
    job: &'a Job,
    asked: &'a Asked,
    token: Secret,
}

impl Parts<'_> {
    async fn response(&self) -> Result<JobResponse, ApiError> {
        let variables = self.variables().await?;
        Ok(JobResponse {
            id: self.row.id.0,
            token: self.token.clone(),
            allow_git_fetch: true,
            job_info: self.job_info(),
            git_info: self.git_info(),
            runner_info: RunnerInfo {
                timeout: self.timeout(),
                runner_session_url: None,
            },
            variables: variables.into_iter().map(Into::into).collect(),
            steps: self.steps(),
            image: self.job.image.as_ref().map(image),
            services: self.job.services.iter().map(service).collect(),
            // not taken by the server yet, so not asked for (`not_yet`)
            artifacts: Vec::new(),
            cache: self.job.cache.iter().map(cache).collect(),
            credentials: vec![self.credentials()],
            dependencies: Vec::new(),
            features: Features {
                trace_sections: true,
                token_mask_prefixes: vec![
                    crate::auth::JOB_TOKEN_PREFIX.to_owned(),
                    crate::http::RUNNER_PREFIX.to_owned(),
                    crate::http::TOKEN_PREFIX.to_owned(),
                ],
                failure_reasons: Vec::new(),
            },
            hooks: hooks(self.job),
        })
    }

    fn timeout(&self) -> u64 {
        self.job.timeout.unwrap_or(DEFAULT_TIMEOUT)
    }

    /// All layers in GitLab's order of precedence, the stronger later; each name once.
    async fn variables(&self) -> Result<Vec<Variable>, ApiError> {
        let store = &self.app.store;
        let group = self.project.path.group();
        let (group, project) = tokio::try_join!(
            store.group_variables(&group),
            store.variables(Owner::Project(self.project.id)),
        )?;
        let manual = self.pipeline.variables.as_ref().map(|json| {
            serde_json::from_str::<Vec<Variable>>(json.expose()).map_err(|_| StoreError::Damaged {
                what: format!("the variables of pipeline {}", self.pipeline.id),
            })
        });
        let manual = manual.transpose()?.unwrap_or_default();
        let protected = is_protected(&self.pipeline.git_ref, &self.commit.default_branch);
        let environment = self
            .job
            .environment
            .as_ref()
            .map(|found| found.name.as_str());
        let seen = |rows: Vec<VariableRow>| visible(rows, protected, environment);
        let layers = [
            predefined::of_pipeline(&self.pipeline_facts(protected)),
            predefined::of_job(&self.job_facts()),
            self.job.variables.clone(),
            seen(group),
            seen(project),
            manual,
        ];
        Ok(ci::merge(layers.iter().flatten()))
    }

    fn pipeline_facts(&self, protected: bool) -> PipelineFacts<'_> {
        PipelineFacts {
            addresses: &self.app.addresses,
            project: self.project,
            default_branch: &self.commit.default_branch,
            git_ref: &self.pipeline.git_ref,
            sha: &self.pipeline.sha,
            before_sha: &self.pipeline.before_sha,
            commit: self.commit,
            source: &self.pipeline.source,
            user_name: &self.pipeline.user_name,
            protected,
        }
    }

    fn job_facts(&self) -> JobFacts<'_> {
        JobFacts {
            addresses: &self.app.addresses,
            project: self.project,
            pipeline: self.pipeline,
            row: self.row,
            job: self.job,
            runner: &self.asked.runner,
            timeout: self.timeout(),
            token: &self.token,
        }
    }

    fn job_info(&self) -> JobInfo {
        let queued = self.row.queued_at.unwrap_or(self.row.created_at);
        let waited = self.row.started_at.unwrap_or(queued) - queued;
        JobInfo {
            name: self.row.name.clone(),
            stage: self.row.stage.clone(),
            project_id: self.project.id.0,
            project_name: self.project.path.name().to_owned(),
            project_full_path: self.project.path.to_string(),
            time_in_queue_seconds: std::time::Duration::from_millis(
                u64::try_from(waited).unwrap_or_default(),
            )
            .as_secs_f64(),
            ..JobInfo::default()
        }
    }

    fn git_info(&self) -> GitInfo {
        let git_ref = &self.pipeline.git_ref;
        let (ref_type, refspec) = if git_ref.is_tag() {
            (RefType::Tag, format!("+{0}:{0}", git_ref.full()))
        } else {
            let name = git_ref.name();
            let refspec = format!("+refs/heads/{name}:refs/remotes/origin/{name}");
            (RefType::Branch, refspec)
        };
        let sha = self.pipeline.sha.as_str();
        GitInfo {
            repo_url: predefined::repository_url(&self.app.addresses, self.project, &self.token),
            repo_object_format: if sha.len() == 64 { "sha256" } else { "sha1" }.to_owned(),
            git_ref: git_ref.name().to_owned(),
            sha: sha.to_owned(),
            before_sha: self.pipeline.before_sha.clone(),
            ref_type,
            // the commit itself under a name of the pipeline's own, then the ref: it may have moved on
            refspecs: vec![
                format!("+{sha}:refs/pipelines/{}", self.pipeline.id),
                refspec,
            ],
            depth: 20,
        }
    }

    fn steps(&self) -> Vec<Step> {
        let step = |name, script: Vec<String>, when, allow_failure| Step {
            name,
            script,
            timeout: self.timeout(),
            when,
            allow_failure,
        };
        let script = [&self.job.before_script[..], &self.job.script[..]].concat();
        let mut steps = vec![step(StepName::Script, script, When::OnSuccess, false)];
        if !self.job.after_script.is_empty() {
            let script = self.job.after_script.clone();
            steps.push(step(StepName::AfterScript, script, When::Always, true));
        }
        steps
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            kind: "registry".to_owned(),
            url: self.app.addresses.registry.clone(),
            username: TOKEN_USER.to_owned(),
            password: self.token.clone(),
        }
    }
}

/// The variables of a group or project that this job sees: protected ones on protected refs only,
/// those of an environment only in it.
fn visible(rows: Vec<VariableRow>, protected: bool, environment: Option<&str>) -> Vec<Variable> {
    rows.into_iter()
        .filter(|row| protected || !row.protected)
        .filter(|row| scope_matches(&row.environment, environment))
        .map(|row| row.variable)
        .collect()
}

/// Whether a variable's scope, in which `*` stands for any text, covers the job's environment.
fn scope_matches(scope: &str, environment: Option<&str>) -> bool {
    if scope == "*" {
        return true;
    }
    let Some(mut rest) = environment else {
        return false;
    };
    let mut parts = scope.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(after_first) = rest.strip_prefix(first) else {
        return false;
    };
    rest = after_first;
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn image(image: &ci::Image) -> Image {
    Image {
        name: image.name.clone(),
        entrypoint: image.entrypoint.clone(),
        pull_policy: image.pull_policy.clone(),
        executor_opts: image.executor_opts.clone(),
        ..Image::default()
    }
}

fn service(service: &ci::Service) -> Image {
    Image {
        alias: service.alias.clone(),
        command: service.command.clone(),
        variables: service.variables.iter().cloned().map(Into::into).collect(),
        ..image(&service.image)
    }
}

fn cache(cache: &ci::Cache) -> Cache {
    let key = match &cache.key {
        CacheKey::Text(text) => text.clone(),
        CacheKey::Files { files, prefix, .. } => {
            let files = files.join("-");
            prefix
                .as_ref()
                .map_or(files.clone(), |prefix| format!("{prefix}-{files}"))
        }
    };
    Cache {
        key,
        untracked: cache.untracked,
        policy: match cache.policy.0.as_str() {
            "pull" => CachePolicy::Pull,
            "push" => CachePolicy::Push,
            _ => CachePolicy::PullPush,
        },
        paths: cache.paths.clone(),
        when: when(cache.when),
        fallback_keys: cache.fallback_keys.clone(),
    }
}

fn hooks(job: &Job) -> Vec<Hook> {
    let script = &job.hooks.pre_get_sources_script;
    if script.is_empty() {
        return Vec::new();
    }
    vec![Hook {
        name: "pre_get_sources_script".to_owned(),
        script: script.clone(),
    }]
}

fn when(when: SaveWhen) -> When {
    match when {
        SaveWhen::OnSuccess => When::OnSuccess,
        SaveWhen::OnFailure => When::OnFailure,
        SaveWhen::Always => When::Always,
    }
}

#[cfg(test)]
mod tests {
    use super::scope_matches;

    #[test]
    fn scopes() {
        for (scope, environment, expected) in [
            ("*", None, true),
            ("prod", None, false),
            ("prod", Some("prod"), true),
            ("prod", Some("production"), false),
            ("review/*", Some("review/a"), true),
            ("review/*", Some("prod"), false),
            ("*/eu", Some("prod/eu"), true),
            ("a*b*c", Some("a-b-c"), true),
            ("a*b*c", Some("a-c"), false),
        ] {
            assert_eq!(
                scope_matches(scope, environment),
                expected,
                "{scope} {environment:?}"
            );
        }
    }
}
