//! The variables around a stored pipeline, layer by layer: those that a runner gets with a job, and those
//! that a trigger job hands on.

use model::Variable;

use crate::App;
use crate::predefined::{self, PipelineFacts, PipelineNumbers, Upstream};
use crate::push::{CommitFacts, is_protected};
use crate::store::{Owner, PipelineRow, Project, StoreError, VariableRow};

/// A pipeline as it is kept, with what its variables are made of.
pub(crate) struct Stored<'a> {
    app: &'a App,
    project: &'a Project,
    pipeline: &'a PipelineRow,
    commit: CommitFacts,
}

impl<'a> Stored<'a> {
    /// Reads what was kept of the commit.
    pub(crate) fn new(
        app: &'a App,
        project: &'a Project,
        pipeline: &'a PipelineRow,
    ) -> Result<Self, StoreError> {
        let commit = serde_json::from_str(&pipeline.commit_json);
        Ok(Self {
            app,
            project,
            pipeline,
            commit: commit.map_err(|_| damaged("the commit", pipeline))?,
        })
    }

    /// Whether protected variables are seen.
    pub(crate) fn is_protected(&self) -> bool {
        is_protected(&self.pipeline.git_ref, &self.commit.default_branch)
    }

    pub(crate) fn numbers(&self) -> PipelineNumbers {
        PipelineNumbers {
            id: self.pipeline.id,
            iid: self.pipeline.iid,
            created_at: self.pipeline.created_at,
        }
    }

    /// Those of the pipeline itself.
    pub(crate) async fn predefined(&self) -> Result<Vec<Variable>, StoreError> {
        let above = self.app.store.upstream_of(self.pipeline).await?;
        let upstream = above.map(|(job, above)| Upstream {
            project: above.project,
            pipeline: above.id,
            job: job.id,
        });
        Ok(predefined::of_pipeline(&PipelineFacts {
            addresses: &self.app.addresses,
            project_id: self.project.id,
            project: &self.project.path,
            default_branch: &self.commit.default_branch,
            git_ref: &self.pipeline.git_ref,
            sha: &self.pipeline.sha,
            before_sha: &self.pipeline.before_sha,
            commit: &self.commit,
            source: &self.pipeline.source,
            user_name: &self.pipeline.user_name,
            protected: self.is_protected(),
            upstream,
        }))
    }

    /// Those of the groups and the project that a job with this environment sees, low to high.
    pub(crate) async fn settings(
        &self,
        environment: Option<&str>,
        protected: bool,
    ) -> Result<Vec<Variable>, StoreError> {
        let store = &self.app.store;
        let group = self.project.path.group();
        let (mut rows, project) = tokio::try_join!(
            store.group_variables(&group),
            store.variables(Owner::Project(self.project.id)),
        )?;
        rows.extend(project);
        Ok(visible(rows, protected, environment))
    }

    /// Those given with the pipeline.
    pub(crate) fn given(&self) -> Result<Vec<Variable>, StoreError> {
        let Some(json) = &self.pipeline.variables else {
            return Ok(Vec::new());
        };
        serde_json::from_str(json.expose()).map_err(|_| damaged("the variables", self.pipeline))
    }
}

fn damaged(what: &str, pipeline: &PipelineRow) -> StoreError {
    StoreError::Damaged {
        what: format!("{what} of pipeline {}", pipeline.id),
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
