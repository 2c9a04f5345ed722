//! Helpers for tests.

pub mod busybox;
pub mod dockerd;
pub mod golden;
pub mod lotse;
mod skip;

pub use skip::skip;
