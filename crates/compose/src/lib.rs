//! Turns compose files into one typed project, or into every diagnostic they deserve.
//!
//! The way is: YAML, interpolation, long forms, `extends`, merging, `include`, normal form, types.
//! Files, variables and folders come in as values; the crate knows no file system, process, network
//! or clock, and not what a deploy is. What it does not support is an error that says so.

mod load;
mod request;

mod check;
mod dotenv;
mod extends;
mod file;
mod fill;
mod include;
mod interpolate;
mod merge;
mod normal;
mod path;
pub mod project;
mod read;
mod render;
mod schema;
mod settings;
mod shape;
mod template;
mod value;

pub use fill::fill;
pub use load::{Loaded, load, project_name};
pub use project::Project;
pub use request::{Files, Found, Request};
pub use yaml::{Diagnostic, Level, Place, Sources};
