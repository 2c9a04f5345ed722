//! What happens in a rollout, for whoever watches: typed, without secrets.

use compose::project::ServiceName;
use deploy::host::{Health, State};
use deploy::span::Span;
use deploy::{Awaited, Cause, Failure, HostName, Ill, Look, Outcome, Plan, Step, StepId};
use serde::Serialize;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Progress {
    /// All hosts are locked, and this is what will be done.
    Planned {
        /// The plan.
        plan: Box<Plan>,
    },
    /// A step has begun. It is told by its number until it is done, failed or stopped.
    Begun {
        /// Its number.
        id: StepId,
        /// Where.
        host: HostName,
        /// What.
        step: Step,
        /// Why.
        why: String,
    },
    /// Containers that are waited for or watched have changed.
    Looked {
        /// The step.
        id: StepId,
        /// Where.
        host: HostName,
        /// What they do, by service.
        services: Vec<ServiceLook>,
        /// Services that the edge has found ill.
        ill: Vec<Ill>,
    },
    /// A step says how far it is.
    Said {
        /// The step.
        id: StepId,
        /// Where.
        host: HostName,
        /// In words.
        text: String,
    },
    /// The host does not answer; the step is tried again.
    Retrying {
        /// The step.
        id: StepId,
        /// Where.
        host: HostName,
        /// Why it was not carried out.
        message: String,
        /// After this time.
        pause: Span,
    },
    /// A step was carried out.
    Done {
        /// Its number.
        id: StepId,
        /// Where.
        host: HostName,
        /// What.
        step: Step,
        /// How long it took.
        took: Span,
    },
    /// A step failed.
    Failed {
        /// Its number.
        id: StepId,
        /// Where.
        host: HostName,
        /// What.
        step: Step,
        /// Why.
        failure: Failure,
        /// How long it took.
        took: Span,
    },
    /// A step is not needed any more.
    Stopped {
        /// Its number.
        id: StepId,
        /// Where.
        host: HostName,
        /// What.
        step: Step,
        /// How long it took.
        took: Span,
    },
    /// Something has gone wrong that sends hosts back.
    Trouble {
        /// What.
        cause: Cause,
    },
    /// The lock of a host could not be renewed until it expired. Nothing more is done there, unless
    /// it turns out that nobody has taken it.
    LeaseLate {
        /// Where.
        host: HostName,
        /// Why.
        message: String,
    },
    /// The user wants it to end.
    Interrupted {
        /// Whether hosts go back because of it; else it ends soon anyway.
        goes_back: bool,
    },
    /// It is over.
    Finished {
        /// How.
        outcome: Outcome,
    },
}

/// What the containers of a service do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceLook {
    /// The service.
    pub service: ServiceName,
    /// How many containers it shall have.
    pub wanted: u32,
    /// Those that it has.
    pub containers: Vec<ContainerLook>,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerLook {
    /// Whether it runs.
    pub state: State,
    /// What its health check says; `None` when it has none.
    pub health: Option<Health>,
    /// How often the engine has started it again.
    pub restarts: u32,
}

/// A look by the services that a step waits for.
pub(super) fn services(step: &Step, look: &Look) -> Vec<ServiceLook> {
    let (Step::Await { waits, .. } | Step::Watch { waits, .. }) = step else {
        return Vec::new();
    };
    waits.iter().map(|wait| service(wait, look)).collect()
}

fn service(wait: &Awaited, look: &Look) -> ServiceLook {
    let found = look.containers.iter();
    let own =
        found.filter(|found| found.place == wait.place && found.container.service == wait.service);
    let containers = own.map(|found| ContainerLook {
        state: found.container.state,
        health: found.container.health,
        restarts: found.container.restarts,
    });
    ServiceLook {
        service: wait.service.clone(),
        wanted: wait.containers,
        containers: containers.collect(),
    }
}
