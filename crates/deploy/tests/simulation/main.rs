//! Rollouts on a simulated world of hosts, with users who look at every moment.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
#![allow(unreachable_pub, reason = "a test has no users")]

mod driver;
mod edge;
mod engine;
mod kills;
mod project;
mod random;
mod stories;
mod world;
