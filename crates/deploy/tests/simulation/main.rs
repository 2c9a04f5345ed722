//! Rollouts on a simulated world of hosts, with users who look at every moment.

mod driver;
mod edge;
mod engine;
mod kills;
mod project;
mod random;
mod stories;
mod world;
