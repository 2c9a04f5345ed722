//! What goes back to the client.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::mpsc;

/// A client that reads nothing for so long is taken for gone.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// The bytes of an answer. Dropping it says that the client is gone.
pub type Output = BoxStream<'static, io::Result<Bytes>>;

/// An answer that is written by a task which may outlive it.
pub(crate) fn channel() -> (Sender, Output) {
    let (chunks, receiver) = mpsc::channel(16);
    let output = stream::unfold(receiver, |mut receiver| async move {
        let chunk = receiver.recv().await?;
        Some((Ok(chunk), receiver))
    });
    let sender = Sender {
        chunks,
        gone: AtomicBool::new(false),
    };
    (sender, output.boxed())
}

/// The writing end of an [`Output`].
pub(crate) struct Sender {
    chunks: mpsc::Sender<Bytes>,
    gone: AtomicBool,
}

impl Sender {
    /// Sends a chunk, unless the client is gone or has stopped reading: then the work goes on
    /// unseen.
    pub(crate) async fn send(&self, chunk: impl Into<Bytes>) {
        if self.gone.load(Ordering::Relaxed) {
            return;
        }
        let sent = self.chunks.send_timeout(chunk.into(), IDLE_LIMIT).await;
        self.gone.store(sent.is_err(), Ordering::Relaxed);
    }
}
