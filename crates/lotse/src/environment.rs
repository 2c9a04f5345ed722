//! An environment of `lotse.toml`, as commands come to it: its settings, its hosts, the release that
//! its files make, and a rollout that somebody watches.
//!
//! Commands are thin because this is here; what it does lives in `deploy` and `apply`.

mod back;
mod draft;
mod holder;
mod hosts;
mod label;
mod outcome;
mod progress;
mod rollout;
mod select;
mod settings;
mod words;

pub(crate) use back::Backward;
pub(crate) use draft::Drafting;
pub(crate) use holder::{by_hand, is_by_hand, of_process};
pub(crate) use hosts::{Host, Hosts, connect, warn_unreached};
pub(crate) use outcome::refusal;
pub(crate) use rollout::{Pace, plan, roll_out};
pub(crate) use select::{Chosen, Selection, failure};
pub(crate) use settings::{Scope, Which};
pub(crate) use words::{containers, count, serve};
