//! Byte streams to and from other machines, over SSH.
//!
//! A [`Client`] is one machine, reached over one connection that all streams share, and that is made
//! anew when it broke. It proves who the user is by a key, and accepts no host key that nobody
//! pinned. What runs through the streams is not its business; it starts no `ssh`, and writes no file.

mod access;
mod address;
mod client;
mod config;
mod error;
mod hidden;
mod key;
mod known_hosts;
mod login;
mod pattern;
mod session;
mod stream;

pub use access::{Access, KeySource, TrustSource};
pub use address::{AddressError, SshAddress};
pub use client::Client;
pub use error::SshError;
pub use hidden::Hidden;
pub use stream::{CommandFailure, Stream};
