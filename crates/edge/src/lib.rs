//! The edge: owns a host's published ports and sends each request to the current targets.
//!
//! Targets are swapped in one step, after they have been checked, and without a request being
//! lost: those in flight end where they began, later ones go to the new targets. An [`Edge`] is
//! steered from Rust or, by `lotse edge`, through [`control`]. It knows nothing of containers and
//! releases: targets are addresses.

pub mod control;
mod edge;
mod error;
pub mod route;
pub mod settings;
pub mod span;
pub mod spec;

mod acme;
mod alarm;
mod client;
mod request;
mod target;
mod tcp;
mod tunnel;

mod log;
mod metrics;
mod text;

pub use acme::AcmeError;
pub use client::tls::CertificateError;
pub use edge::set::{Event, Set};
pub use edge::state::StateError;
pub use edge::status::{CertificateStatus, RouteStatus, Status, TargetStatus};
pub use edge::{Edge, raise_file_limit};
pub use error::EdgeError;
pub use settings::Settings;
pub use span::Span;
pub use target::probe::probe;
