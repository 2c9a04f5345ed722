//! A job as the runner gets it: the graph's part as on the server, with numbers, variables and
//! sources of this pipeline.

use ci::Job;
use model::{JobId, PipelineId, RunnerId, Secret, Variable};
use runner_api::{ArtifactsFile, Dependency, JobInfo, JobResponse};

use super::desk::{Attempt, State};
use super::{Blueprint, PROJECT};
use crate::payload::words::{self, Checkout};
use crate::predefined::{self, JobFacts, PipelineNumbers, RunnerFacts};
use crate::store::now;

const PIPELINE: PipelineId = PipelineId(1);

/// What the runner is called in variables.
const RUNNER: RunnerFacts<'static> = RunnerFacts {
    id: RunnerId(1),
    description: "lotse ci run",
    tags: &[],
};

pub(super) fn of(blueprint: &Blueprint, state: &State, node: usize) -> JobResponse {
    let handout = Handout {
        blueprint,
        state,
        job: &blueprint.graph.jobs[node],
        attempt: &state.attempts[node],
    };
    handout.response()
}

struct Handout<'a> {
    blueprint: &'a Blueprint,
    state: &'a State,
    job: &'a Job,
    attempt: &'a Attempt,
}

impl Handout<'_> {
    fn response(&self) -> JobResponse {
        let subject = &self.blueprint.subject;
        let repository_url = self.repository_url();
        let variables = self.variables(&repository_url);
        JobResponse {
            id: self.attempt.id,
            token: self.attempt.token.clone(),
            job_info: JobInfo {
                name: self.job.name.clone(),
                stage: self.stage().to_owned(),
                project_id: PROJECT.0,
                project_name: subject.project.name().to_owned(),
                project_full_path: subject.project.to_string(),
                ..JobInfo::default()
            },
            git_info: words::git_info(&Checkout {
                repository_url,
                git_ref: &subject.git_ref,
                sha: &subject.sha,
                before_sha: subject.before_sha(),
                pipeline: PIPELINE,
            }),
            variables: variables.into_iter().map(Into::into).collect(),
            dependencies: self.dependencies(),
            ..words::of_job(self.job)
        }
    }

    /// All layers in GitLab's order of precedence, the stronger later; each name once.
    fn variables(&self, repository_url: &Secret) -> Vec<Variable> {
        let subject = &self.blueprint.subject;
        let of_job = predefined::of_job(&JobFacts {
            addresses: &subject.addresses(),
            project: &subject.project,
            pipeline: PipelineNumbers {
                id: PIPELINE,
                iid: 1,
                created_at: now(),
            },
            id: JobId(self.attempt.id),
            stage: self.stage(),
            started_at: Some(now()),
            job: self.job,
            runner: RUNNER,
            timeout: words::timeout(self.job),
            token: &self.attempt.token,
            repository_url,
        });
        let dotenv = self.giving().flat_map(|giver| giver.dotenv.iter().cloned());
        let layers = [
            subject.variables(),
            of_job,
            self.job.variables.clone(),
            dotenv.collect(),
            self.blueprint.settings.clone(),
        ];
        ci::merge(layers.iter().flatten())
    }

    fn dependencies(&self) -> Vec<Dependency> {
        let graph = &self.blueprint.graph;
        let dependency = |giver: &Attempt| {
            let archive = giver.archive.as_ref()?;
            let job = self
                .state
                .attempts
                .iter()
                .position(|one| one.id == giver.id)?;
            Some(Dependency {
                id: giver.id,
                token: giver.token.clone(),
                name: graph.jobs[job].name.clone(),
                artifacts_file: Some(ArtifactsFile {
                    filename: archive.name.clone(),
                    size: archive.size,
                }),
            })
        };
        self.giving().filter_map(dependency).collect()
    }

    /// The jobs whose artifacts and dotenv variables this one gets.
    fn giving(&self) -> impl Iterator<Item = &Attempt> {
        let jobs = words::givers(&self.blueprint.graph, self.job);
        jobs.into_iter().map(|job| &self.state.attempts[job])
    }

    fn stage(&self) -> &str {
        &self.blueprint.graph.stages[self.job.stage]
    }

    fn repository_url(&self) -> Secret {
        Secret::new(format!("file://{}", self.blueprint.repository.display()))
    }
}
