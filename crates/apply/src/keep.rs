//! What is kept on a host between two rollouts: lock, record and which volumes are filled.
//!
//! It lies in files beside the edge's state, and the program in the edge's container writes them
//! ([`serve`]), so that all deployers meet the same clock, the same file lock and the same disk.
//! They talk to it through `exec`: lines of JSON, so that no secret is ever an argument. The same
//! way leads to the edge's own control socket, and to a look at the containers from the host.
//! Nothing here knows what a plan is.

mod client;
mod files;
mod listening;
mod message;
mod serve;

pub use client::KeepError;
pub(crate) use client::Keeper;
pub(crate) use message::{Ask, Entering, Fill, Kept, Locked};
pub use serve::serve;
