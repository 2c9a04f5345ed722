//! `lotse deploy` and `rollback` in a lab of three web servers behind a balancer, under load: nothing
//! fails, whatever happens to a release, to a host or to the deployer.
//!
//! Each story has a short form, which tests run, and some a long one (`LOTSE_LONG_TESTS=1`).

mod by_hand;
mod crowd;
mod data;
mod each_step;
mod events;
mod host_trouble;
mod killed;
mod open_registry;
mod project;
mod refused;
mod seed;
mod serving;
mod stage;
