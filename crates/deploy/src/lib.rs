//! Desired, observed and policy in, a plan out; the rollout as a state machine.
//!
//! A [`Release`] is what shall run, [`HostSeen`] what runs, [`Policy`] how the one becomes the
//! other. [`Plan::make`] says every step, [`Rollout`] gives them out one after the other, hears what
//! came of each, and decides what follows: the next batch, or the way back. This crate knows no
//! engine, network, file, clock or async: whoever carries steps out has nothing left to choose.

pub mod host;
pub mod name;
pub mod release;
pub mod span;

mod gate;
mod plan;
mod policy;
mod problem;
mod record;
mod request;
mod rollout;
mod settings;
mod step;

pub use host::{HostSeen, Observed, Unreached};
pub use name::{EnvironmentName, Holder, HostName, ReleaseNumber, TextError};
pub use plan::{HostPlan, Note, Plan, PlannedStep};
pub use policy::Policy;
pub use problem::{Problem, Problems};
pub use record::{Entry, Intent, Kept, Record, Verdict, Way};
pub use release::{Draft, Release};
pub use request::{Desired, Request};
pub use rollout::{
    Action, Cause, Consequence, Event, Failure, FailureKind, Found, Ill, Leftover, Look, Moment,
    Outcome, Reason, Rollout, Seen, StepId,
};
pub use settings::{Environment, Health, Settings, SettingsError};
pub use step::{
    Awaited, FillFrom, Lease, NetworkLike, Probe, Remains, StandingUpdate, Step, Switch, Until,
};
