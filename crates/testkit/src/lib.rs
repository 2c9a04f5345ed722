//! Helpers for tests.

pub mod dockerd;
pub mod lotse;
mod skip;

pub use skip::skip;
