//! Helpers for tests.

pub mod application;
pub mod busybox;
pub mod dockerd;
pub mod golden;
pub mod load;
pub mod lotse;
mod skip;
pub mod sshd;
pub mod yaml_text;

pub use skip::skip;
