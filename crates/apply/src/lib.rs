//! Hands on hosts: what is done there through the Docker Engine API, each step safe to repeat.
//!
//! [`hands`] observes one host and carries out one step of a plan at a time; [`edge`] puts the edge
//! there; [`reach`] finds the way to it, [`resolve`] and [`keyring`] what registries have for it;
//! [`drive`] gives the steps of a rollout to many hands at once. [`project`] runs a compose project
//! on one engine. Nothing here decides: what shall be comes as a value.

pub mod container;
pub mod drive;
pub mod edge;
pub mod hands;
pub mod keep;
pub mod keyring;
pub mod project;
pub mod reach;
pub mod resolve;

mod health;
mod owner;

pub use owner::Owner;
