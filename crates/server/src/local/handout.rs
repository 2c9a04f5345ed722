//! A job as the runner gets it: the graph's part as on the server, with numbers, variables and
//! sources of this pipeline.

use std::path::Path;

use ci::Job;
use model::{JobId, RunnerId, Secret, Variable};
use runner_api::{ArtifactsFile, Dependency, JobInfo, JobResponse};

use super::desk::{Desk, State};
use super::running::{Attempt, Pipeline};
use super::{PROJECT, Place};
use crate::payload::words::{self, Checkout};
use crate::predefined::{self, JobFacts, RunnerFacts};
use crate::store::now;

/// What the runner is called in variables.
const RUNNER: RunnerFacts<'static> = RunnerFacts {
    id: RunnerId(1),
    description: "lotse ci run",
    tags: &[],
};

pub(super) fn of(desk: &Desk, state: &State, place: Place) -> JobResponse {
    let pipeline = &state.pipelines[place.pipeline];
    let handout = Handout {
        repository: &desk.repository,
        pipeline,
        job: &pipeline.graph.jobs[place.job],
        attempt: &pipeline.attempts[place.job],
    };
    handout.response()
}

struct Handout<'a> {
    repository: &'a Path,
    pipeline: &'a Pipeline,
    job: &'a Job,
    attempt: &'a Attempt,
}

impl Handout<'_> {
    fn response(&self) -> JobResponse {
        let subject = &self.pipeline.subject;
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
                pipeline: self.pipeline.numbers().id,
            }),
            variables: variables.into_iter().map(Into::into).collect(),
            dependencies: self.dependencies(),
            ..words::of_job(self.job)
        }
    }

    /// All layers in GitLab's order of precedence, the stronger later; each name once.
    fn variables(&self, repository_url: &Secret) -> Vec<Variable> {
        let subject = &self.pipeline.subject;
        let of_job = predefined::of_job(&JobFacts {
            addresses: &subject.addresses(),
            project: &subject.project,
            pipeline: self.pipeline.numbers(),
            id: JobId(self.attempt.id),
            stage: self.stage(),
            started_at: Some(now()),
            job: self.job,
            runner: RUNNER,
            timeout: words::timeout(self.job),
            token: &self.attempt.token,
            repository_url,
        });
        let layers = [
            self.pipeline.predefined(),
            of_job,
            self.job.variables.clone(),
            self.pipeline.dotenv(self.job),
            self.pipeline.settings.clone(),
            self.pipeline.given.clone(),
        ];
        ci::merge(layers.iter().flatten())
    }

    fn dependencies(&self) -> Vec<Dependency> {
        let pipeline = self.pipeline;
        let dependency = |giver: &Attempt| {
            let archive = giver.archive.as_ref()?;
            let mut attempts = pipeline.attempts.iter();
            let job = attempts.position(|one| one.id == giver.id)?;
            Some(Dependency {
                id: giver.id,
                token: giver.token.clone(),
                name: pipeline.graph.jobs[job].name.clone(),
                artifacts_file: Some(ArtifactsFile {
                    filename: archive.name.clone(),
                    size: archive.size,
                }),
            })
        };
        pipeline.giving(self.job).filter_map(dependency).collect()
    }

    fn stage(&self) -> &str {
        self.pipeline.stage(self.job)
    }

    fn repository_url(&self) -> Secret {
        Secret::new(format!("file://{}", self.repository.display()))
    }
}
