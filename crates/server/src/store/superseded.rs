//! Pipelines that newer ones of their ref make superfluous.

use model::{PipelineId, ProjectId};

use super::{During, PipelineRow, Store, StoreError, now};

/// Older pipelines than this stay (GitLab's limit), in milliseconds.
const LONG_AGO: i64 = 3 * 24 * 60 * 60 * 1000;

impl Store {
    /// Whether newer pipelines of a project cancel older ones.
    pub(crate) async fn set_auto_cancel(
        &self,
        project: ProjectId,
        on: bool,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE projects SET auto_cancel = $2 WHERE id = $1")
            .bind(project.0)
            .bind(on)
            .execute(&self.write)
            .await
            .during("changing a project")?;
        Ok(())
    }

    /// Pipelines whose older ones are still to be looked at, by number.
    pub(crate) async fn superseding(&self) -> Result<Vec<PipelineId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM pipelines WHERE supersedes AND yaml_errors IS NULL ORDER BY id",
        )
        .fetch_all(&self.read)
        .await
        .during("looking for pipelines that supersede")?;
        Ok(ids.into_iter().map(PipelineId).collect())
    }

    /// Pipelines of the same ref that are older, of another commit, and at work or waiting, by number. Those
    /// of a web IDE are nobody's concern; a child is as old as what is above it.
    pub(crate) async fn superseded_by(
        &self,
        newest: &PipelineRow,
    ) -> Result<Vec<PipelineId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM pipelines
             WHERE project_id = $1 AND ref_name = $2 AND is_tag = $3 AND id < $4 AND sha <> $5
               AND source <> 'webide' AND created_at > $6
               AND status IN ('created', 'waiting_for_resource', 'preparing', 'pending', 'running', 'scheduled')
             ORDER BY id",
        )
        .bind(newest.project.0)
        .bind(newest.git_ref.name())
        .bind(newest.git_ref.is_tag())
        .bind(newest.id.0)
        .bind(newest.sha.as_str())
        .bind(now() - LONG_AGO)
        .fetch_all(&self.read)
        .await
        .during("looking for superseded pipelines")?;
        Ok(ids.into_iter().map(PipelineId).collect())
    }

    /// Notes that the older ones have been looked at.
    pub(crate) async fn has_superseded(&self, newest: PipelineId) -> Result<(), StoreError> {
        sqlx::query("UPDATE pipelines SET supersedes = 0 WHERE id = $1")
            .bind(newest.0)
            .execute(&self.write)
            .await
            .during("noting what a pipeline has superseded")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::{CommitId, GitRef};

    use super::super::{NewPipeline, Vault};
    use super::*;

    struct Made<'a> {
        git_ref: &'a str,
        sha: char,
        source: &'a str,
        status: &'a str,
        errors: bool,
    }

    async fn make(store: &Store, project: ProjectId, made: Made<'_>) -> PipelineRow {
        let git_ref: GitRef = made.git_ref.parse().unwrap();
        let sha: CommitId = made.sha.to_string().repeat(40).parse().unwrap();
        let new = NewPipeline {
            project,
            git_ref: &git_ref,
            target: None,
            sha: &sha,
            before_sha: sha.as_str(),
            commit_json: String::new(),
            source: made.source,
            status: made.status,
            graph: String::new(),
            diagnostics: String::new(),
            yaml_errors: made.errors.then(|| "wrong".to_owned()),
            variables: None,
            user_name: "developer",
            above: None,
            jobs: Vec::new(),
        };
        store.create_pipeline(new).await.unwrap().0
    }

    #[tokio::test]
    async fn older_ones_of_the_same_ref_and_another_commit_until_they_have_been_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(&folder.path().join("key")).unwrap();
        let store = Store::open(&folder.path().join("db"), vault).await.unwrap();
        let path = "site/web".parse().unwrap();
        let project = store.create_project(&path).await.unwrap().id;
        let mut made = Vec::new();
        for (git_ref, sha, source, status, errors) in [
            ("refs/heads/main", 'a', "push", "running", false),
            ("refs/heads/main", 'a', "parent_pipeline", "pending", false),
            ("refs/heads/main", 'a', "webide", "running", false),
            ("refs/heads/main", 'a', "push", "success", false),
            ("refs/heads/main", 'a', "push", "manual", false),
            ("refs/heads/main", 'a', "push", "failed", true),
            ("refs/tags/main", 'a', "push", "running", false),
            ("refs/heads/other", 'a', "push", "running", false),
            ("refs/heads/main", 'b', "api", "running", false),
            ("refs/heads/main", 'b', "push", "running", false),
        ] {
            let wanted = Made {
                git_ref,
                sha,
                source,
                status,
                errors,
            };
            made.push(make(&store, project, wanted).await);
        }
        let newest = made.last().unwrap();
        let ids = |at: &[usize]| at.iter().map(|&at| made[at].id).collect::<Vec<_>>();
        assert_eq!(store.superseded_by(newest).await.unwrap(), ids(&[0, 1]));
        // A file with errors supersedes nothing.
        let open = ids(&[0, 1, 2, 3, 4, 6, 7, 8, 9]);
        assert_eq!(store.superseding().await.unwrap(), open);
        for id in &open {
            store.has_superseded(*id).await.unwrap();
        }
        assert_eq!(store.superseding().await.unwrap(), []);
    }
}
