//! A run played through by hand: events by the names of jobs, and everything's status after each.
//!
//! What the outside world would do at once is done at once here: a free resource goes to the first
//! job that waits for it. Runners and times do nothing unless an event says so.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ci::Graph;
use serde::Serialize;

use crate::{Effect, Event, EventError, Failure, Run, Status};

/// A run with the names of its graph.
#[derive(Debug, Clone)]
pub struct Simulation<'g> {
    graph: &'g Graph,
    run: Run,
}

/// All statuses at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The pipeline's.
    pub pipeline: Status,
    /// By stage.
    pub stages: BTreeMap<String, Status>,
    /// By job.
    pub jobs: BTreeMap<String, Status>,
}

/// What happens to some jobs, written `EVENT:JOB[,JOB]`; `retry` and `cancel` without jobs mean
/// the whole pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What happens.
    pub action: Action,
    /// To which jobs, by name.
    pub jobs: Vec<String>,
}

/// The events by GitLab's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The job ends well.
    Success,
    /// The job fails.
    Drop,
    /// Somebody plays it.
    Play,
    /// Somebody retries it.
    Retry,
    /// A runner takes it.
    Run,
    /// Somebody cancels it, and its runner obeys.
    Cancel,
}

/// Why a step cannot be done.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StepError {
    /// The text is no step.
    #[error(
        "`{text}` is no event: write EVENT:JOB[,JOB] with one of success, drop, play, retry, run, cancel"
    )]
    Syntax {
        /// The text.
        text: String,
    },
    /// The graph has no job of this name.
    #[error("there is no job `{name}` in this pipeline; it has {known}")]
    NoJob {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Only `retry` and `cancel` can be for the whole pipeline.
    #[error("say which job: only `retry` and `cancel` can be for the whole pipeline")]
    NeedsJob,
    /// The job's status does not allow it.
    #[error("the step cannot be done")]
    Event {
        /// Why.
        #[source]
        source: EventError,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action.as_str())?;
        match self.jobs.is_empty() {
            true => Ok(()),
            false => write!(f, ":{}", self.jobs.join(",")),
        }
    }
}

impl Action {
    /// The word in an event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Drop => "drop",
            Self::Play => "play",
            Self::Retry => "retry",
            Self::Run => "run",
            Self::Cancel => "cancel",
        }
    }
}

impl FromStr for Action {
    type Err = StepError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "success" => Self::Success,
            "drop" => Self::Drop,
            "play" => Self::Play,
            "retry" => Self::Retry,
            "run" => Self::Run,
            "cancel" => Self::Cancel,
            _ => {
                return Err(StepError::Syntax {
                    text: text.to_owned(),
                });
            }
        })
    }
}

impl FromStr for Step {
    type Err = StepError;

    /// A job's name may itself contain `:` and, in brackets, commas.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (action, jobs) = text.split_once(':').unwrap_or((text, ""));
        let action = action.parse().map_err(|_| StepError::Syntax {
            text: text.to_owned(),
        })?;
        let mut depth = 0;
        let jobs = jobs.split(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            c == ',' && depth == 0
        });
        let jobs = jobs.map(str::trim).filter(|job| !job.is_empty());
        Ok(Self {
            action,
            jobs: jobs.map(str::to_owned).collect(),
        })
    }
}

impl<'g> Simulation<'g> {
    /// A pipeline that was just created.
    pub fn new(graph: &'g Graph) -> Self {
        let (run, _) = Run::new(graph);
        let mut simulation = Self { graph, run };
        simulation.give_resources();
        simulation
    }

    /// All statuses now.
    pub fn snapshot(&self) -> Snapshot {
        let graph = self.graph;
        let stages = graph.stages.iter().enumerate();
        let jobs = graph.jobs.iter().enumerate();
        let stage = |(at, name): (usize, &String)| Some((name.clone(), self.run.stage_status(at)?));
        let job = |(at, job): (usize, &ci::Job)| Some((job.name.clone(), self.run.job_status(at)?));
        Snapshot {
            pipeline: self.run.status(),
            stages: stages.filter_map(stage).collect(),
            jobs: jobs.filter_map(job).collect(),
        }
    }

    /// Carries out a step.
    ///
    /// # Errors
    /// When there is no such job, or a status does not allow it.
    pub fn step(&mut self, step: &Step) -> Result<(), StepError> {
        if step.jobs.is_empty() {
            let event = match step.action {
                Action::Retry => Event::RetryAll,
                Action::Cancel => Event::CancelAll,
                _ => return Err(StepError::NeedsJob),
            };
            self.apply(event)?;
        }
        for name in &step.jobs {
            let job = self.find(name)?;
            self.apply(event(step.action, job))?;
        }
        self.give_resources();
        Ok(())
    }

    fn apply(&mut self, event: Event) -> Result<(), StepError> {
        let wrap = |source| StepError::Event { source };
        let effects = self.run.apply(event).map_err(wrap)?;
        for effect in effects {
            if let Effect::Stop { job } = effect {
                self.run.apply(Event::Canceled { job }).map_err(wrap)?;
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, StepError> {
        self.graph.job(name).map(|(at, _)| at).ok_or_else(|| {
            let names: Vec<_> = (self.graph.jobs.iter().take(20))
                .map(|job| job.name.as_str())
                .collect();
            StepError::NoJob {
                name: name.to_owned(),
                known: names.join(", "),
            }
        })
    }

    fn give_resources(&mut self) {
        let jobs = &self.graph.jobs;
        for at in 0..jobs.len() {
            let Some(group) = &jobs[at].resource_group else {
                continue;
            };
            if self.run.job_status(at) != Some(Status::WaitingForResource) {
                continue;
            }
            let taken = |other: usize| {
                jobs[other].resource_group.as_ref() == Some(group)
                    && self
                        .run
                        .job(other)
                        .is_some_and(|state| state.holds_resource)
            };
            if !(0..jobs.len()).any(taken) {
                // It waits, so it can be given what it waits for.
                let _ = self.run.apply(Event::ResourceAcquired { job: at });
            }
        }
    }
}

fn event(action: Action, job: usize) -> Event {
    match action {
        Action::Success => Event::Succeeded { job },
        Action::Drop => Event::Failed {
            job,
            failure: Failure::script(1),
        },
        Action::Play => Event::Play { job },
        Action::Retry => Event::Retry { job },
        Action::Run => Event::Start { job },
        Action::Cancel => Event::Cancel { job },
    }
}
