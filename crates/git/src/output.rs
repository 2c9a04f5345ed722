//! What goes back to the client.

use std::io;

use bytes::Bytes;
use futures_util::stream::BoxStream;

/// The bytes of an answer. Dropping it says that the client is gone.
pub type Output = BoxStream<'static, io::Result<Bytes>>;
