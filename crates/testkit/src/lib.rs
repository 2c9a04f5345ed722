//! Helpers for tests.

pub mod dockerd;
mod skip;

pub use skip::skip;
