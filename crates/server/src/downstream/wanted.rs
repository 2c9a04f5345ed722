//! What a trigger job asks for, and whether it may be (GitLab, "Downstream pipelines").

use std::collections::BTreeMap;
use std::sync::Arc;

use ci::{Graph, Source, Trigger, TriggerInclude, TriggerTarget};
use model::{CommitId, GitRef, PipelineId, Variable};

use super::file::{ChildFile, Files};
use super::{Failed, Refusal, forward};
use crate::App;
use crate::artifacts::{self, ARCHIVE};
use crate::auth::{Level, level_of};
use crate::http::chain;
use crate::payload::words::givers;
use crate::predefined::Upstream;
use crate::push::{self, Made, NO_COMMIT, PushError, Triggered, Wanted};
use crate::store::{JobRow, PipelineRow, Project, StoreError};

/// Children below children: at most so many levels.
pub(crate) const LEVELS_OF_CHILDREN: usize = 2;

/// Pipelines that one pipeline leads to, with itself: at most so many.
pub(crate) const PIPELINES_OF_ONE: i64 = 1000;

/// Pipelines above one that are looked at.
const MOST_ABOVE: usize = 100;

/// Projects may start each other's pipelines in a circle, which is gone through at most so often.
const ROUNDS: usize = 2;

/// A pipeline to be made for a trigger job.
pub(super) struct Below {
    project: Project,
    git_ref: GitRef,
    commit: CommitId,
    before: Option<CommitId>,
    source: Source,
    user: String,
    variables: Vec<Variable>,
    trigger: Triggered,
}

impl Below {
    pub(super) async fn make(self, app: &Arc<App>) -> Result<Made, PushError> {
        let repository = app.repositories.create(&self.project.id.into()).await?;
        let wanted = Wanted {
            project: &self.project,
            git_ref: &self.git_ref,
            commit: &self.commit,
            target: None,
            before: self.before,
            source: self.source,
            user: &self.user,
            variables: self.variables,
            trigger: Some(self.trigger),
        };
        push::make(app, &repository, wanted).await
    }
}

/// Everything about a trigger job.
pub(super) struct Asking<'a> {
    pub(super) app: &'a App,
    pub(super) project: Project,
    pub(super) pipeline: PipelineRow,
    pub(super) job: &'a JobRow,
    pub(super) graph: Graph,
    pub(super) node: ci::Job,
    pub(super) trigger: Trigger,
}

/// What the trigger job asks for.
pub(super) async fn of(app: &App, job: &JobRow) -> Result<Result<Below, Refusal>, Failed> {
    let asking = Asking::new(app, job).await?;
    match &asking.trigger.target {
        TriggerTarget::Child(includes) => asking.child(includes).await,
        TriggerTarget::Project { project, branch } => {
            asking.elsewhere(project, branch.as_deref()).await
        }
    }
}

impl<'a> Asking<'a> {
    async fn new(app: &'a App, job: &'a JobRow) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged {
            what: format!("trigger job {}", job.id),
        };
        let pipeline = app.store.pipeline(job.pipeline).await?;
        let pipeline = pipeline.ok_or_else(damaged)?;
        let project = app.store.project(job.project).await?.ok_or_else(damaged)?;
        let graph: Graph = serde_json::from_str(&pipeline.graph).map_err(|_| damaged())?;
        let node = graph.jobs.get(job.node).cloned().ok_or_else(damaged)?;
        let trigger = node.trigger.clone().ok_or_else(damaged)?;
        Ok(Self {
            app,
            project,
            pipeline,
            job,
            graph,
            node,
            trigger,
        })
    }

    /// The same commit of the same project, with other files.
    async fn child(&self, includes: &[TriggerInclude]) -> Result<Result<Below, Refusal>, Failed> {
        let above = above(self.app, &self.pipeline).await?;
        let parents = above.iter().take_while(|one| is_child(one)).count();
        if parents >= LEVELS_OF_CHILDREN {
            let message = format!(
                "children of pipelines go {LEVELS_OF_CHILDREN} levels deep, and this one is below pipelines {}",
                numbers(&above[1..])
            );
            return Ok(Err(Refusal::new(
                "reached_max_descendant_pipelines_depth",
                message,
            )));
        }
        let file = match self.child_file(includes).await? {
            Ok(file) => file,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let before = self.pipeline.before_sha.as_str();
        let name = format!("`trigger` of {}", self.job.name);
        Ok(Ok(Below {
            git_ref: self.pipeline.git_ref.clone(),
            commit: self.pipeline.sha.clone(),
            before: (before != NO_COMMIT).then(|| before.parse().ok()).flatten(),
            source: Source::ParentPipeline,
            user: self.pipeline.user_name.clone(),
            variables: forward::variables(self, true).await?,
            trigger: Triggered {
                upstream: self.upstream(),
                root: root(&above),
                file: Some((name, file.text())),
                files: file.files,
                inputs: BTreeMap::new(),
            },
            project: self.project.clone(),
        }))
    }

    async fn child_file(
        &self,
        includes: &[TriggerInclude],
    ) -> Result<Result<ChildFile, Refusal>, StoreError> {
        let mut file = ChildFile::default();
        for include in includes {
            match include {
                TriggerInclude::Location { location, inputs } => file.include(location, inputs),
                TriggerInclude::Artifact { path, job, inputs } => {
                    match self.artifact(path, job).await? {
                        Ok(text) => file.include_made(path, job, text, inputs),
                        Err(refusal) => return Ok(Err(refusal)),
                    }
                }
            }
        }
        Ok(Ok(file))
    }

    /// A text that an earlier job has made.
    async fn artifact(&self, path: &str, job: &str) -> Result<Result<String, Refusal>, StoreError> {
        let rows = self.app.store.jobs(self.pipeline.id).await?;
        let made = rows.iter().find(|row| row.name == job && !row.retried);
        let archive = match made {
            Some(made) => self.app.store.artifact(made.id, ARCHIVE).await?,
            None => None,
        };
        let (Some(made), Some(_)) = (made, archive) else {
            return Ok(Err(Refusal::cannot_be_made(format!(
                "{job}, which is to have made {path}, has no artifacts (any more)"
            ))));
        };
        let bytes = artifacts::file_of(self.app, made.id, path, push::CONFIG_LIMIT).await;
        Ok(match bytes {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => Err(Refusal::cannot_be_made(format!("{job}: {}", chain(&error)))),
        })
    }

    /// The variables that earlier jobs have reported.
    pub(super) async fn dotenv(&self) -> Result<Vec<Variable>, StoreError> {
        let nodes = givers(&self.graph, &self.node);
        let mut variables = Vec::new();
        for row in self.app.store.jobs(self.pipeline.id).await? {
            if !row.retried && nodes.contains(&row.node) {
                variables.extend(artifacts::variables(self.app, row.id).await?);
            }
        }
        Ok(variables)
    }

    /// Another project's branch, with the rights of whoever started this pipeline.
    async fn elsewhere(
        &self,
        path: &str,
        branch: Option<&str>,
    ) -> Result<Result<Below, Refusal>, Failed> {
        let above = above(self.app, &self.pipeline).await?;
        let project = match self.project_for_user(path).await? {
            Ok(project) => project,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if goes_round(&above) {
            let message = format!(
                "projects start each other's pipelines in a circle: pipelines {}",
                numbers(&above)
            );
            return Ok(Err(Refusal::new("pipeline_loop_detected", message)));
        }
        let (git_ref, commit) = match head(self.app, &project, branch).await? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let same_group = project.path.group() == self.project.path.group();
        let inputs = self.trigger.inputs.iter();
        Ok(Ok(Below {
            git_ref,
            commit,
            before: None,
            source: Source::Pipeline,
            user: self.pipeline.user_name.clone(),
            variables: forward::variables(self, same_group).await?,
            trigger: Triggered {
                upstream: self.upstream(),
                root: root(&above),
                file: None,
                files: Files::new(),
                inputs: inputs
                    .map(|(name, value)| (name.clone(), value.to_string()))
                    .collect(),
            },
            project,
        }))
    }

    /// The project at this path, when the user may see it and start pipelines there.
    async fn project_for_user(&self, path: &str) -> Result<Result<Project, Refusal>, StoreError> {
        let user = &self.pipeline.user_name;
        let found = self.app.store.project_by_path(path).await?;
        let level = match &found {
            Some(project) => level_of(&self.app.store, user, &project.path).await?,
            None => Level::None,
        };
        Ok(match found {
            Some(project) if project.id == self.project.id => Err(Refusal::new(
                "invalid_bridge_trigger",
                format!(
                    "{} is this project itself: start a child pipeline with `trigger: include`",
                    project.path
                ),
            )),
            Some(project) if level >= Level::Developer => Ok(project),
            Some(project) if level >= Level::Reporter => Err(Refusal::new(
                "insufficient_bridge_permissions",
                format!(
                    "{user}, who started this pipeline, may not start one in {}",
                    project.path
                ),
            )),
            _ => Err(Refusal::new(
                "downstream_bridge_project_not_found",
                format!(
                    "there is no project {path}, or {user}, who started this pipeline, may not see it"
                ),
            )),
        })
    }

    fn upstream(&self) -> Upstream {
        Upstream {
            project: self.project.id,
            pipeline: self.pipeline.id,
            job: self.job.id,
        }
    }
}

/// This pipeline and those above it, from below.
async fn above(app: &App, pipeline: &PipelineRow) -> Result<Vec<PipelineRow>, StoreError> {
    let mut all = vec![pipeline.clone()];
    while let Some(last) = all.last()
        && all.len() < MOST_ABOVE
    {
        match app.store.upstream_of(last).await? {
            Some((_, next)) => all.push(next),
            None => break,
        }
    }
    Ok(all)
}

/// The one that started it all.
fn root(above: &[PipelineRow]) -> PipelineId {
    let last = above.last();
    last.expect("a pipeline stands first in what is above it")
        .id
}

fn is_child(pipeline: &PipelineRow) -> bool {
    pipeline.source == Source::ParentPipeline.as_str()
}

fn numbers(pipelines: &[PipelineRow]) -> String {
    let numbers: Vec<_> = pipelines.iter().map(|one| format!("#{}", one.id)).collect();
    numbers.join(", ")
}

fn goes_round(above: &[PipelineRow]) -> bool {
    let mut rounds: BTreeMap<(i64, String, &str), usize> = BTreeMap::new();
    for one in above.iter().filter(|one| !is_child(one)) {
        let key = (one.project.0, one.git_ref.full(), one.source.as_str());
        *rounds.entry(key).or_default() += 1;
    }
    above.len() >= MOST_ABOVE || rounds.values().any(|&count| count > ROUNDS)
}

/// What a branch or tag points to; without a name the default branch.
async fn head(
    app: &App,
    project: &Project,
    name: Option<&str>,
) -> Result<Result<(GitRef, CommitId), Refusal>, PushError> {
    let repository = app.repositories.create(&project.id.into()).await?;
    let wanted: Vec<GitRef> = match name {
        Some(name) => push::candidates(name),
        None => vec![repository.default_branch().await?],
    };
    let refs = repository.refs().await?;
    for git_ref in wanted {
        let full = git_ref.full();
        if let Some(found) = refs.iter().find(|reference| reference.name == full) {
            return Ok(Ok((git_ref, found.commit.clone())));
        }
    }
    let name = name.map_or("a default branch".to_owned(), |name| {
        format!("a branch or tag {name}")
    });
    let message = format!("{} does not have {name}", project.path);
    Ok(Err(Refusal::cannot_be_made(message)))
}
