//! Stores bare repositories and serves git's smart HTTP protocol with the system's git.
//!
//! Bytes come in as streams and go out as streams, so that the caller keeps HTTP, users and
//! permissions to itself. A finished push is told to the caller before the client hears that it
//! is finished: what the caller answers appears as `remote:` lines in the user's terminal.
//! This crate knows neither projects nor pipelines: a repository has a key, chosen by the caller.

mod body;
mod command;
mod commit;
mod error;
mod head;
mod key;
mod object_id;
mod output;
mod packet;
mod push;
mod read;
mod receive;
mod repositories;
mod rules;
mod service;
mod tidy;
mod upload;

pub use body::{Encoding, Request, RequestBody};
pub use commit::{CommitInfo, Signature};
pub use error::GitError;
pub use key::{KeyError, RepositoryKey};
pub use object_id::ObjectId;
pub use output::Output;
pub use push::{Push, RefUpdate, Rejected};
pub use read::{Below, Reference, TreeEntry};
pub use receive::ReceiveOptions;
pub use repositories::{Repositories, Repository};
pub use rules::{Change, DenyRule, TagPolicy};
pub use service::{Protocol, Service};
