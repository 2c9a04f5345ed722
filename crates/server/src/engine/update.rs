//! From effects to rows: which attempts changed, and which are new.

use std::collections::BTreeMap;

use ci::Graph;
use pipeline::{Effect, Run, Status};

use super::active::Active;
use crate::store::{Assignment, JobUpdate, NewJob, PipelineUpdate};

/// What the event says beyond the statuses.
#[derive(Debug, Clone, Default)]
pub(super) struct Details {
    pub(super) failure_reason: Option<String>,
    pub(super) exit_code: Option<i32>,
    pub(super) assignment: Option<Assignment>,
}

/// The rows of a pipeline that was just made.
pub(super) fn first_attempts(graph: &Graph, run: &Run) -> Vec<NewJob> {
    (0..graph.jobs.len())
        .map(|node| new_job(graph, run, node))
        .collect()
}

/// The rows that these effects change. The event's details belong to the one job it is about, which
/// is the first that changed.
pub(super) fn of(active: &Active, effects: &[Effect], details: Details) -> PipelineUpdate {
    let mut changed: BTreeMap<usize, Status> = BTreeMap::new();
    let mut renewed = BTreeMap::new();
    let mut first = None;
    for effect in effects {
        match *effect {
            Effect::Job { job, status } if !renewed.contains_key(&job) => {
                first.get_or_insert(job);
                changed.insert(job, status);
            }
            Effect::Attempt { job, .. } => {
                let ended_as = changed.remove(&job).unwrap_or(active.attempts[job].status);
                renewed.insert(job, ended_as);
            }
            _ => {}
        }
    }
    let update = |node: usize, status: Status, retried: bool| JobUpdate {
        job: active.attempts[node].id,
        status,
        state: state(&active.run, node),
        failure_reason: None,
        exit_code: None,
        assignment: None,
        allow_failure: active.run.allows_failure(node),
        retried,
    };
    let mut jobs: Vec<JobUpdate> = changed
        .iter()
        .map(|(&node, &status)| update(node, status, false))
        .chain(
            renewed
                .iter()
                .map(|(&node, &status)| update(node, status, true)),
        )
        .collect();
    let about = first.map(|node| active.attempts[node].id);
    if let Some(job) = jobs.iter_mut().find(|job| Some(job.job) == about) {
        job.failure_reason = details.failure_reason;
        job.exit_code = details.exit_code.map(i64::from);
        job.assignment = details.assignment;
    }
    PipelineUpdate {
        pipeline: active.id,
        status: active.run.status().to_string(),
        finished: active.run.status().is_complete(),
        jobs,
        attempts: renewed
            .keys()
            .map(|&node| new_job(&active.graph, &active.run, node))
            .collect(),
        cancels: effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::CancelDownstream { job } => Some(active.attempts[*job].id),
                _ => None,
            })
            .collect(),
    }
}

fn new_job(graph: &Graph, run: &Run, node: usize) -> NewJob {
    let job = &graph.jobs[node];
    let state = run.job(node).cloned().unwrap_or_default();
    NewJob {
        node,
        attempt: i64::from(state.attempt),
        name: job.name.clone(),
        stage: graph.stages[job.stage].clone(),
        tags: job.tags.clone(),
        allow_failure: run.allows_failure(node),
        resource_group: job.resource_group.clone(),
        is_trigger: job.trigger.is_some(),
        status: state.status,
        state: self::state(run, node),
    }
}

fn state(run: &Run, node: usize) -> String {
    let state = run.job(node).cloned().unwrap_or_default();
    serde_json::to_string(&state).expect("a job's state is plain data, so it is JSON")
}
