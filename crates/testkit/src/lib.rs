//! Helpers for tests.

pub mod busybox;
pub mod dockerd;
pub mod lotse;
mod skip;

pub use skip::skip;
