//! What a runner gets of a job: the graph's job, put into the words of the runner protocol.

#[cfg(test)]
mod conformance;
pub(crate) mod words;

use ci::{Graph, Job};
use model::{JobId, Secret, Variable};
use runner_api::{ArtifactsFile, Credentials, Dependency, GitInfo, JobInfo, JobResponse};

use crate::App;
use crate::artifacts::{self, ARCHIVE};
use crate::dispatch::Asked;
use crate::http::ApiError;
use crate::layers::Stored;
use crate::predefined::{self, JobFacts, RunnerFacts};
use crate::store::{ArtifactRow, JobRow, PipelineRow, Project, StoreError};
use words::Checkout;

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
    let parts = Parts {
        app,
        row: &row,
        pipeline: &pipeline,
        project: &project,
        stored: Stored::new(app, &project, &pipeline)?,
        graph: &graph,
        job,
        asked,
        token,
    };
    parts.response().await
}

/// The jobs whose artifacts a job of this pipeline gets, by their place in the graph.
pub(crate) fn givers(pipeline: &PipelineRow, node: usize) -> Result<Vec<usize>, StoreError> {
    let graph: Option<Graph> = serde_json::from_str(&pipeline.graph).ok();
    let found = graph.and_then(|graph| Some(words::givers(&graph, graph.jobs.get(node)?)));
    found.ok_or_else(|| StoreError::Damaged {
        what: format!("the graph of pipeline {}", pipeline.id),
    })
}

struct Parts<'a> {
    app: &'a App,
    row: &'a JobRow,
    pipeline: &'a PipelineRow,
    project: &'a Project,
    stored: Stored<'a>,
    graph: &'a Graph,
    job: &'a Job,
    asked: &'a Asked,
    token: Secret,
}

impl Parts<'_> {
    async fn response(&self) -> Result<JobResponse, ApiError> {
        let givers = self.givers().await?;
        let variables = self.variables(&givers).await?;
        Ok(JobResponse {
            id: self.row.id.0,
            token: self.token.clone(),
            job_info: self.job_info(),
            git_info: self.git_info(),
            variables: variables.into_iter().map(Into::into).collect(),
            dependencies: self.dependencies(&givers).await?,
            credentials: vec![self.credentials()],
            ..words::of_job(self.job)
        })
    }

    /// All layers in GitLab's order of precedence, the stronger later; each name once.
    async fn variables(&self, givers: &[JobRow]) -> Result<Vec<Variable>, ApiError> {
        let predefined = self.stored.predefined().await?;
        let of_job = predefined::of_job(&self.job_facts(&self.repository_url()));
        let environment = (self.job.environment.as_ref()).map(|found| found.name.as_str());
        let protected = self.stored.is_protected();
        let settings = self.stored.settings(environment, protected).await?;
        let mut dotenv = Vec::new();
        for giver in givers {
            dotenv.extend(artifacts::variables(self.app, giver.id).await?);
        }
        let layers = [
            predefined,
            of_job,
            self.job.variables.clone(),
            dotenv,
            settings,
            self.stored.given()?,
        ];
        Ok(ci::merge(layers.iter().flatten()))
    }

    /// The newest attempts of the jobs whose artifacts and dotenv variables this one gets.
    async fn givers(&self) -> Result<Vec<JobRow>, ApiError> {
        let nodes = words::givers(self.graph, self.job);
        if nodes.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = self.app.store.jobs(self.pipeline.id).await?;
        rows.retain(|row| !row.retried && nodes.contains(&row.node));
        Ok(rows)
    }

    /// Each is fetched with this job's own token: those of jobs that have ended open nothing any more.
    async fn dependencies(&self, givers: &[JobRow]) -> Result<Vec<Dependency>, ApiError> {
        if givers.is_empty() {
            return Ok(Vec::new());
        }
        let archives = (self.app.store)
            .artifacts_of_pipeline(self.pipeline.id)
            .await?;
        let dependency = |giver: &JobRow| {
            let of_giver = |row: &&ArtifactRow| row.job == giver.id && row.kind == ARCHIVE;
            let archive = archives.iter().find(of_giver)?;
            Some(Dependency {
                id: giver.id.0,
                token: self.token.clone(),
                name: giver.name.clone(),
                artifacts_file: Some(ArtifactsFile {
                    filename: archive.name.clone(),
                    size: u64::try_from(archive.size).unwrap_or_default(),
                }),
            })
        };
        Ok(givers.iter().filter_map(dependency).collect())
    }

    fn job_facts<'b>(&'b self, repository_url: &'b Secret) -> JobFacts<'b> {
        JobFacts {
            addresses: &self.app.addresses,
            project: &self.project.path,
            pipeline: self.stored.numbers(),
            id: self.row.id,
            stage: &self.row.stage,
            started_at: self.row.started_at,
            job: self.job,
            runner: RunnerFacts {
                id: self.asked.runner.id,
                description: &self.asked.runner.description,
                tags: &self.asked.runner.tags,
            },
            timeout: words::timeout(self.job),
            token: &self.token,
            repository_url,
        }
    }

    fn repository_url(&self) -> Secret {
        predefined::repository_url(&self.app.addresses, &self.project.path, &self.token)
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
        words::git_info(&Checkout {
            repository_url: self.repository_url(),
            git_ref: &self.pipeline.git_ref,
            sha: &self.pipeline.sha,
            before_sha: &self.pipeline.before_sha,
            pipeline: self.pipeline.id,
        })
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
