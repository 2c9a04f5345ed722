//! Words that two crates share: ids, paths, refs, digests, secrets and variables.
//!
//! Each is a type that is parsed once and then trusted. Nothing here does I/O, and nothing here
//! knows GitLab's language, HTTP or SQL: a type moves in only when a second crate needs it.

pub mod digest;
pub mod git_ref;
pub mod id;
pub mod path;
pub mod secret;
pub mod slug;
mod text;
pub mod variable;

pub use digest::{Digest, DigestError};
pub use git_ref::{CommitId, CommitIdError, GitRef, RefKind, RefNameError};
pub use id::{JobId, PipelineId, ProjectId, RunnerId, UserId};
pub use path::{GroupPath, PathError, ProjectPath};
pub use secret::Secret;
pub use slug::{environment_slug, slug};
pub use variable::{Variable, VariableKind};
