//! Given a graph and events, says each status and what runs next.
//!
//! The rules are GitLab's: when a job is ready, what skips it, what a stage and a pipeline show.
//! An event goes in, effects come out, and the same events always give the same result. There is
//! no clock, queue, runner or database here: times come in as events, rows are the caller's.

mod event;
mod plan;
mod process;
mod resource;
mod run;
mod simulate;
mod state;
mod status;

pub use event::{Downstream, Effect, Event, EventError, Failure};
pub use resource::{ProcessMode, Waiting, next_resource};
pub use run::Run;
pub use simulate::{Action, Simulation, Snapshot, Step, StepError};
pub use state::{JobState, RunState};
pub use status::Status;
