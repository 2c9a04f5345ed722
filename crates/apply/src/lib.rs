//! Hands on hosts: what is done there through the Docker Engine API, each step safe to repeat.
//!
//! So far it puts the edge on a host. It decides nothing: what shall be comes as a value.

pub mod edge;
