//! A pipeline at work, in memory: its graph, its run and the rows of its newest attempts.

use ci::Graph;
use model::{JobId, PipelineId, ProjectId};
use pipeline::{Effect, JobState, Run, RunState, Status};

use super::EngineError;
use super::update::{self, Details};
use crate::store::{Store, StoreError};

/// What an event about a pipeline needs at hand.
pub(super) struct Active {
    pub(super) id: PipelineId,
    pub(super) project: ProjectId,
    /// Whether a trigger job may wait for its status.
    pub(super) is_downstream: bool,
    pub(super) graph: Graph,
    pub(super) run: Run,
    /// The newest attempt of each job of the graph.
    pub(super) attempts: Vec<Attempt>,
}

/// The newest attempt of a job, as the store has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) id: JobId,
    pub(super) status: Status,
}

impl Active {
    /// Reads a pipeline back.
    pub(super) async fn load(store: &Store, id: PipelineId) -> Result<Self, EngineError> {
        let row = store
            .pipeline(id)
            .await?
            .ok_or(EngineError::NoSuchPipeline(id))?;
        let damaged = || StoreError::Damaged {
            what: format!("pipeline {id}"),
        };
        let graph: Graph = serde_json::from_str(&row.graph).map_err(|_| damaged())?;
        let mut jobs = store.jobs(id).await?;
        jobs.retain(|job| !job.retried);
        let states = jobs
            .iter()
            .map(|job| serde_json::from_str::<JobState>(&job.state).map_err(|_| damaged()))
            .collect::<Result<Vec<_>, _>>()?;
        let state = RunState {
            jobs: states,
            stages: Vec::new(),
            pipeline: row.status.parse().ok(),
        };
        let run = Run::restore(&graph, state).map_err(|_| damaged())?;
        let attempts = jobs
            .iter()
            .map(|job| Attempt {
                id: job.id,
                status: job.status,
            })
            .collect();
        Ok(Self {
            id,
            project: row.project,
            is_downstream: row.upstream.is_some(),
            graph,
            run,
            attempts,
        })
    }

    /// The number of a job's newest attempt.
    pub(super) fn attempt(&self, node: usize) -> Option<JobId> {
        self.attempts.get(node).map(|attempt| attempt.id)
    }

    /// Writes what an event has changed, then knows it as stored.
    pub(super) async fn keep(
        &mut self,
        store: &Store,
        effects: &[Effect],
        details: Details,
    ) -> Result<(), StoreError> {
        let update = update::of(self, effects, details);
        let renewed: Vec<usize> = update.attempts.iter().map(|job| job.node).collect();
        let ids = store.update_pipeline(&update).await?;
        for (node, id) in renewed.into_iter().zip(ids) {
            self.attempts[node].id = id;
        }
        for (node, attempt) in self.attempts.iter_mut().enumerate() {
            if let Some(status) = self.run.job_status(node) {
                attempt.status = status;
            }
        }
        Ok(())
    }
}
