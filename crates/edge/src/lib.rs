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

mod attempt;
mod connect;
mod health;
mod listener;
mod pool;
mod proxy;
mod serve;
mod table;
mod tcp;
mod tunnel;

mod affinity;
mod body;
mod forward;
mod framing;
mod io;
mod log;
mod metrics;
mod pages;
mod proxy_protocol;
mod record;
mod shared;
mod state;
mod status;
mod takeover;
mod text;
mod tls;

pub use edge::{Edge, Event, Set, raise_file_limit};
pub use error::EdgeError;
pub use settings::Settings;
pub use span::Span;
pub use state::StateError;
pub use status::{RouteStatus, Status, TargetStatus};
pub use tls::CertificateError;
