//! Tar archives on their way into an engine.

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

/// A tar archive, whole or as it comes.
pub struct Archive(Source);

enum Source {
    Whole(Bytes),
    Stream(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>),
}

impl Archive {
    /// An archive that is at hand.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Source::Whole(bytes.into()))
    }

    /// An archive that is read while it is sent.
    pub fn stream(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self(Source::Stream(chunks.boxed()))
    }

    pub(crate) fn into_body(self) -> crate::transport::Body {
        match self.0 {
            Source::Whole(bytes) => bollard::body_full(bytes),
            Source::Stream(chunks) => bollard::body_try_stream(chunks),
        }
    }
}
