//! The Docker Engine API over any byte stream.
//!
//! An [`Engine`] is one Docker engine, reached through a [`Connector`]: a Unix socket, TCP with
//! TLS, or a stream that somebody else opens. It speaks the words of the Engine API with types of
//! this crate, from API 1.41 (Docker 20.10) on. It knows nothing of stacks and releases, decides
//! nothing and repeats nothing: a call is one request, and its error says what was asked of what.

mod address;
mod connector;
mod engine;
mod error;
mod lines;
mod name;
mod version;

pub mod container;
pub mod disk;
pub mod event;
pub mod exec;
pub mod image;
pub mod network;
pub mod volume;

mod archive;
mod filter;
mod time;
mod tls;
mod transport;

pub use address::{AddressError, EngineAddress};
pub use archive::Archive;
pub use connector::{ByteStream, Connecting, Connector, TcpConnector, UnixConnector};
pub use engine::{Engine, Patience};
pub use error::{DockerError, Problem, if_found};
pub use filter::Filter;
pub use lines::Lines;
pub use name::{ImageRef, Name, NameError};
pub use tls::{TlsError, TlsFiles};
pub use version::{ApiVersion, EngineVersion};
