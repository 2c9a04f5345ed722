//! One of the pipelines at work: the one that was asked for, or a child of it.

use std::collections::BTreeSet;

use ci::{Graph, Job};
use model::{JobId, PipelineId, Secret, Variable};
use pipeline::{Failure, Run};

use super::{PROJECT, Place, Subject};
use crate::auth::JOB_TOKEN_PREFIX;
use crate::parcels::Parcel;
use crate::payload::words;
use crate::predefined::{PipelineNumbers, Upstream};
use crate::store::now;

#[derive(Debug)]
pub(super) struct Pipeline {
    /// From 1, in the order of their beginning.
    pub(super) number: i64,
    pub(super) graph: Graph,
    pub(super) subject: Subject,
    /// Variables that count more than the file's.
    pub(super) settings: Vec<Variable>,
    /// Handed on by the pipeline above; they count most.
    pub(super) given: Vec<Variable>,
    /// Manual and delayed jobs that are played as soon as they can be.
    pub(super) play: BTreeSet<usize>,
    pub(super) run: Run,
    /// The newest of each job.
    pub(super) attempts: Vec<Attempt>,
    /// The trigger job that it was made for.
    pub(super) above: Option<Above>,
}

/// An attempt of a trigger job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Above {
    pub(super) place: Place,
    /// The attempt's number.
    pub(super) id: i64,
}

/// One attempt of a job.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) id: i64,
    pub(super) number: u32,
    pub(super) token: Secret,
    /// Bytes of its log that have come.
    pub(super) received: u64,
    pub(super) failure: Option<Failure>,
    pub(super) archive: Option<Parcel>,
    /// From a `dotenv` report, for the jobs that take its artifacts.
    pub(super) dotenv: Vec<Variable>,
}

impl Attempt {
    pub(super) fn new(id: i64, number: u32) -> Self {
        Self {
            id,
            number,
            token: Secret::random(JOB_TOKEN_PREFIX),
            received: 0,
            failure: None,
            archive: None,
            dotenv: Vec::new(),
        }
    }
}

impl Pipeline {
    /// The predefined variables of the pipeline.
    pub(super) fn predefined(&self) -> Vec<Variable> {
        let upstream = self.above.map(|above| upstream(above.place, above.id));
        self.subject.variables_below(upstream)
    }

    pub(super) fn numbers(&self) -> PipelineNumbers {
        PipelineNumbers {
            id: PipelineId(self.number),
            iid: self.number,
            created_at: now(),
        }
    }

    pub(super) fn stage(&self, job: &Job) -> &str {
        &self.graph.stages[job.stage]
    }

    /// The jobs whose artifacts and dotenv variables this one gets.
    pub(super) fn giving(&self, job: &Job) -> impl Iterator<Item = &Attempt> {
        let jobs = words::givers(&self.graph, job);
        jobs.into_iter().map(|job| &self.attempts[job])
    }

    /// The variables that earlier jobs have reported to this one.
    pub(super) fn dotenv(&self, job: &Job) -> Vec<Variable> {
        let givers = self.giving(job);
        givers
            .flat_map(|giver| giver.dotenv.iter().cloned())
            .collect()
    }
}

/// What a pipeline below this trigger job is told of it.
pub(super) fn upstream(place: Place, attempt: i64) -> Upstream {
    let number = i64::try_from(place.pipeline).unwrap_or(i64::MAX - 1) + 1;
    Upstream {
        project: PROJECT,
        pipeline: PipelineId(number),
        job: JobId(attempt),
    }
}
