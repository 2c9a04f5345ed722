//! Finding the pipeline or job that a command means.

use std::convert::Infallible;
use std::str::FromStr;

use model::ProjectPath;

use super::{Client, Job, Pipeline, User, typed};
use crate::output::Failure;

/// How the user names a job.
#[derive(Debug, Clone)]
pub(crate) enum JobChoice {
    /// By its number.
    Id(i64),
    /// By its name in the latest pipeline.
    Name(String),
}

impl FromStr for JobChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.parse() {
            Ok(id) => Self::Id(id),
            Err(_) => Self::Name(text.to_owned()),
        })
    }
}

/// The number of the user of this name, for administrators.
pub(crate) async fn find_user(client: &Client, name: &str) -> Result<i64, Failure> {
    let found = client
        .list(&["users"], &[("username", name.to_owned())], 1)
        .await?;
    let found = found.first().map(|found| typed::<User>(client, found));
    match found.transpose()? {
        Some(user) if user.username == name => Ok(user.id),
        _ => {
            Err(Failure::user(format!("there is no user {name}"))
                .hint("`lotse user list` names them"))
        }
    }
}

/// This pipeline, or the latest one.
pub(crate) async fn find_pipeline(
    client: &Client,
    project: &ProjectPath,
    id: Option<i64>,
) -> Result<i64, Failure> {
    if let Some(id) = id {
        return Ok(id);
    }
    let path = ["projects", project.as_str(), "pipelines"];
    let found = client.list(&path, &[], 1).await?;
    let latest = found.first().ok_or_else(|| {
        Failure::user(format!("{project} has no pipeline yet"))
            .hint("push a branch or tag, or start one with `lotse pipeline run`")
    })?;
    Ok(typed::<Pipeline>(client, latest)?.id)
}

/// The number of the job.
pub(crate) async fn find_job(
    client: &Client,
    project: &ProjectPath,
    choice: &JobChoice,
) -> Result<i64, Failure> {
    let name = match choice {
        JobChoice::Id(id) => return Ok(*id),
        JobChoice::Name(name) => name,
    };
    let pipeline = find_pipeline(client, project, None).await?;
    let jobs = jobs_of_pipeline(client, project, pipeline).await?;
    let found = jobs.iter().find(|job| job.name == *name);
    found.map(|job| job.id).ok_or_else(|| {
        let names: Vec<_> = jobs.iter().map(|job| job.name.as_str()).collect();
        Failure::user(format!("pipeline {pipeline} has no job `{name}`"))
            .hint(format!("its jobs: {}", names.join(", ")))
    })
}

async fn jobs_of_pipeline(
    client: &Client,
    project: &ProjectPath,
    pipeline: i64,
) -> Result<Vec<Job>, Failure> {
    let id = pipeline.to_string();
    let path = ["projects", project.as_str(), "pipelines", &id, "jobs"];
    let jobs = client
        .list(&path, &[("include_bridges", "true".to_owned())], 1000)
        .await?;
    jobs.iter().map(|job| typed(client, job)).collect()
}
