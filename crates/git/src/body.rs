//! The body of a request: decoded, counted and bounded.

use std::io;

use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::Protocol;

/// The bytes that a client sends.
pub type RequestBody = BoxStream<'static, io::Result<Bytes>>;

/// A `POST` to one of the services.
pub struct Request {
    /// The body as it comes from the connection.
    pub body: RequestBody,
    /// How the body is encoded.
    pub encoding: Encoding,
    /// The `Git-Protocol` header.
    pub protocol: Protocol,
}

/// The `Content-Encoding` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// As it is.
    #[default]
    Identity,
    /// Compressed with gzip, as git does with larger requests to fetch.
    Gzip,
}
