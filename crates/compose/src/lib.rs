//! Turns compose files into one typed project, or into every diagnostic they deserve.
//!
//! The way is: YAML, interpolation, `include` and `extends`, merging, normal form, types. Files,
//! variables and folders come in as values; the crate knows no file system, process, network or
//! clock, and not what a deploy is. What it does not support is an error that says so.

pub mod project;

pub use project::Project;
