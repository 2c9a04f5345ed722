//! What a job of the graph asks of its runner, in the protocol's words. Who runs it, with which number,
//! token and variables, is for whoever hands it out.

use ci::{CacheKey, Graph, Job, SaveWhen};
use model::{CommitId, GitRef, PipelineId, Secret};
use runner_api::{
    Artifact, ArtifactFormat, Cache, CachePolicy, Features, GitInfo, Hook, Image, JobResponse,
    RefType, RunnerInfo, Step, StepName, When,
};

/// A job's time limit when neither it nor its project has one, in seconds.
const DEFAULT_TIMEOUT: u64 = 3600;

/// Commits that a runner fetches (GitLab's default).
const DEPTH: u32 = 20;

/// Everything that follows from the graph alone.
pub(crate) fn of_job(job: &Job) -> JobResponse {
    JobResponse {
        allow_git_fetch: true,
        runner_info: RunnerInfo {
            timeout: timeout(job),
            runner_session_url: None,
        },
        steps: steps(job),
        run: job.run.as_ref().map(ToString::to_string),
        image: job.image.as_ref().map(image),
        services: job.services.iter().map(service).collect(),
        artifacts: artifacts(job),
        cache: job.cache.iter().map(cache).collect(),
        features: Features {
            trace_sections: true,
            token_mask_prefixes: vec![
                crate::auth::JOB_TOKEN_PREFIX.to_owned(),
                crate::http::RUNNER_PREFIX.to_owned(),
                crate::http::TOKEN_PREFIX.to_owned(),
            ],
            failure_reasons: Vec::new(),
        },
        hooks: hooks(job),
        ..JobResponse::default()
    }
}

/// The jobs whose artifacts and dotenv variables a job gets, by their index: those of `dependencies`; else
/// those of `needs`; else all of earlier stages (GitLab, "dependencies").
pub(crate) fn givers(graph: &Graph, job: &Job) -> Vec<usize> {
    match (&job.dependencies, &job.needs) {
        (Some(jobs), _) => jobs.clone(),
        (None, Some(needs)) => {
            let with_artifacts = needs.iter().filter(|need| need.artifacts);
            with_artifacts.map(|need| need.job).collect()
        }
        (None, None) => (0..graph.jobs.len())
            .filter(|&other| graph.jobs[other].stage < job.stage)
            .collect(),
    }
}

/// Which sources a job gets, and from where.
pub(crate) struct Checkout<'a> {
    pub repository_url: Secret,
    pub git_ref: &'a GitRef,
    pub sha: &'a CommitId,
    pub before_sha: &'a str,
    pub pipeline: PipelineId,
}

/// The same in the protocol's words.
pub(crate) fn git_info(checkout: &Checkout<'_>) -> GitInfo {
    let git_ref = checkout.git_ref;
    let (ref_type, refspec) = if git_ref.is_tag() {
        (RefType::Tag, format!("+{0}:{0}", git_ref.full()))
    } else {
        let name = git_ref.name();
        let refspec = format!("+refs/heads/{name}:refs/remotes/origin/{name}");
        (RefType::Branch, refspec)
    };
    let sha = checkout.sha.as_str();
    GitInfo {
        repo_url: checkout.repository_url.clone(),
        repo_object_format: if sha.len() == 64 { "sha256" } else { "sha1" }.to_owned(),
        git_ref: git_ref.name().to_owned(),
        sha: sha.to_owned(),
        before_sha: checkout.before_sha.to_owned(),
        ref_type,
        // the commit itself under a name of the pipeline's own, then the ref: it may have moved on
        refspecs: vec![
            format!("+{sha}:refs/pipelines/{}", checkout.pipeline),
            refspec,
        ],
        depth: DEPTH,
    }
}

/// How long the job may take, in seconds.
pub(crate) fn timeout(job: &Job) -> u64 {
    job.timeout.unwrap_or(DEFAULT_TIMEOUT)
}

/// None for a job of `run`, as its steps are what it does.
fn steps(job: &Job) -> Vec<Step> {
    let step = |name, script: Vec<String>, when, allow_failure| Step {
        name,
        script,
        timeout: timeout(job),
        when,
        allow_failure,
    };
    let mut steps = Vec::new();
    let script = [&job.before_script[..], &job.script[..]].concat();
    if job.run.is_none() || !script.is_empty() {
        steps.push(step(StepName::Script, script, When::OnSuccess, false));
    }
    if !job.after_script.is_empty() {
        let script = job.after_script.clone();
        steps.push(step(StepName::AfterScript, script, When::Always, true));
    }
    steps
}

/// The archive, then a compressed file for each kind of report, which is sent whatever the outcome
/// (GitLab, "Artifacts reports").
fn artifacts(job: &Job) -> Vec<Artifact> {
    let Some(artifacts) = &job.artifacts else {
        return Vec::new();
    };
    let expire_in = match artifacts.expire_in {
        None => None,
        Some(0) => Some("never".to_owned()),
        Some(seconds) => Some(format!("{seconds} seconds")),
    };
    let mut list = Vec::new();
    if !artifacts.paths.is_empty() || artifacts.untracked {
        list.push(Artifact {
            name: artifacts.name.clone(),
            untracked: artifacts.untracked,
            paths: artifacts.paths.clone(),
            exclude: artifacts.exclude.clone(),
            when: when(artifacts.when),
            artifact_type: "archive".to_owned(),
            artifact_format: ArtifactFormat::Zip,
            expire_in: expire_in.clone(),
        });
    }
    list.extend(artifacts.reports.iter().map(|(kind, paths)| Artifact {
        name: Some(kind.clone()),
        paths: paths.clone(),
        when: When::Always,
        artifact_type: kind.clone(),
        artifact_format: ArtifactFormat::Gzip,
        expire_in: expire_in.clone(),
        ..Artifact::default()
    }));
    list
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
