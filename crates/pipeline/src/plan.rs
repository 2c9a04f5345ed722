//! What of the graph matters for statuses, with the edges in both directions.

use ci::{AllowFailure, Graph, JobFailureCancel, NewCommitCancel, Retry, When};

/// The fixed part of a run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) jobs: Vec<PlannedJob>,
    /// Jobs of each stage, in the graph's order.
    pub(crate) stages: Vec<Vec<usize>>,
    pub(crate) on_new_commit: NewCommitCancel,
    pub(crate) on_job_failure: JobFailureCancel,
}

#[derive(Debug, Clone)]
pub(crate) struct PlannedJob {
    pub(crate) name: String,
    pub(crate) stage: usize,
    pub(crate) when: When,
    pub(crate) start_in: u64,
    pub(crate) allow_failure: AllowFailure,
    /// `None`: it waits for all earlier stages.
    pub(crate) needs: Option<Vec<usize>>,
    /// Those that need it.
    pub(crate) needed_by: Vec<usize>,
    /// After all that it needs within its stage.
    pub(crate) rank: usize,
    pub(crate) retry: Retry,
    pub(crate) has_resource_group: bool,
    pub(crate) interruptible: bool,
    pub(crate) kind: JobKind,
}

/// What carries a job out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobKind {
    /// A runner.
    Script,
    /// The server: it makes another pipeline.
    Trigger {
        /// In the same project.
        child: bool,
        /// What the job does after the other pipeline was made.
        follows: Follows,
    },
}

/// How a trigger job goes along with the pipeline it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follows {
    /// It is done when the other pipeline was made.
    Nothing,
    /// It ends as the other pipeline ends (`strategy: depend`).
    End,
    /// It is also manual or skipped when the other pipeline is (`strategy: mirror`).
    Everything,
}

impl Plan {
    pub(crate) fn new(graph: &Graph) -> Self {
        let mut jobs: Vec<_> = graph.jobs.iter().map(planned).collect();
        let mut stages = vec![Vec::new(); graph.stages.len()];
        for index in 0..jobs.len() {
            stages[jobs[index].stage].push(index);
            for need in jobs[index].needs.clone().unwrap_or_default() {
                jobs[need].needed_by.push(index);
            }
        }
        for (rank, index) in order_by_needs(&jobs).into_iter().enumerate() {
            jobs[index].rank = rank;
        }
        Self {
            jobs,
            stages,
            on_new_commit: graph.auto_cancel.on_new_commit,
            on_job_failure: graph.auto_cancel.on_job_failure,
        }
    }
}

fn planned(job: &ci::Job) -> PlannedJob {
    let needs = job.needs.as_ref().map(|needs| {
        let mut indices: Vec<_> = needs.iter().map(|need| need.job).collect();
        indices.sort_unstable();
        indices.dedup();
        indices
    });
    PlannedJob {
        name: job.name.clone(),
        stage: job.stage,
        when: job.when,
        start_in: job.start_in.unwrap_or(0),
        allow_failure: job.allow_failure.clone(),
        needs,
        needed_by: Vec::new(),
        rank: 0,
        retry: job.retry.clone(),
        has_resource_group: job.resource_group.is_some(),
        interruptible: job.interruptible,
        kind: job.trigger.as_ref().map_or(JobKind::Script, kind),
    }
}

fn kind(trigger: &ci::Trigger) -> JobKind {
    JobKind::Trigger {
        child: matches!(trigger.target, ci::TriggerTarget::Child(_)),
        follows: match (trigger.depend, trigger.mirror) {
            (_, true) => Follows::Everything,
            (true, false) => Follows::End,
            (false, false) => Follows::Nothing,
        },
    }
}

/// All jobs, each after those it needs. A circle cannot come out of `ci`; its jobs would be absent
/// here and keep rank 0.
fn order_by_needs(jobs: &[PlannedJob]) -> Vec<usize> {
    let mut open: Vec<_> = jobs
        .iter()
        .map(|job| job.needs.as_ref().map_or(0, Vec::len))
        .collect();
    let mut order: Vec<_> = (0..jobs.len()).filter(|&job| open[job] == 0).collect();
    let mut next = 0;
    while let Some(&job) = order.get(next) {
        next += 1;
        for &other in &jobs[job].needed_by {
            open[other] -= 1;
            if open[other] == 0 {
                order.push(other);
            }
        }
    }
    order
}
