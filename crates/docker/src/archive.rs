//! Tar archives on their way into an engine.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

use crate::transport::Body;

const SLICE: usize = 64 << 10;

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

    /// The body of a request, and how much of it has been sent.
    pub(crate) fn into_body(self) -> (Body, Sent) {
        let sent = Sent::default();
        let count = sent.clone();
        let chunks = match self.0 {
            Source::Whole(bytes) => stream::iter(slices(bytes).map(Ok)).boxed(),
            Source::Stream(chunks) => chunks,
        };
        let end = sent.clone();
        let counted = chunks.inspect(move |chunk| count.add(chunk));
        let counted = counted.chain(stream::poll_fn(move |_| {
            end.is_whole.store(true, Ordering::Relaxed);
            Poll::Ready(None)
        }));
        (bollard::body_try_stream(counted), sent)
    }
}

/// How many bytes of an archive have been sent: a slow way is no dead one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    bytes: Arc<AtomicUsize>,
    is_whole: Arc<AtomicBool>,
}

impl Sent {
    /// Of what has no archive.
    pub(crate) fn whole() -> Self {
        let sent = Self::default();
        sent.is_whole.store(true, Ordering::Relaxed);
        sent
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether nothing is left to send.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Relaxed)
    }

    fn add(&self, chunk: &io::Result<Bytes>) {
        let size = chunk.as_ref().map_or(0, Bytes::len);
        self.bytes.fetch_add(size, Ordering::Relaxed);
    }
}

/// In pieces that go out one by one.
fn slices(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let size = bytes.len().min(SLICE);
        (size > 0).then(|| bytes.split_to(size))
    })
}
