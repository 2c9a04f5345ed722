//! Stores and serves OCI images.
//!
//! One axum router speaks the OCI distribution specification 1.1 and the token protocol of Docker's
//! registries over plain files in one folder. It knows no projects, users or rights: whoever mounts
//! it answers those questions through [`Access`]. It never looks inside a layer.
//!
//! ```no_run
//! # async fn mount(access: std::sync::Arc<dyn registry::Access>) -> Result<(), registry::Error> {
//! use registry::{Registry, TokenKey};
//!
//! let images = Registry::open("/var/lib/lotse/registry")?;
//! let routes: axum::Router = registry::router(images.clone(), access, TokenKey::random());
//! // `routes` answers under `/v2` and `/jwt/auth`; merge it into the server's router.
//!
//! // Once an hour or so:
//! images.expire_uploads(std::time::Duration::from_secs(24 * 3600)).await?;
//! # drop(routes); Ok(()) }
//! ```
//!
//! Tokens live for ten minutes and say only who asked. Rights are asked of [`Access`] at every
//! request, so taking a right away works at once.

mod access;
mod http;
mod manifest;
mod name;
mod store;
mod token;

pub use access::{Access, AccessError, Action, Identity, Permission};
pub use http::router;
pub use name::{NameError, RepositoryName};
pub use store::{Error, Registry};
pub use token::TokenKey;
