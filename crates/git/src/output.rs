//! What goes back to the client.

use std::io;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::mpsc;

/// The bytes of an answer. Dropping it says that the client is gone.
pub type Output = BoxStream<'static, io::Result<Bytes>>;

/// An answer that is written by a task which may outlive it.
pub(crate) fn channel() -> (Sender, Output) {
    let (sender, receiver) = mpsc::channel(16);
    let output = stream::unfold(receiver, |mut receiver| async move {
        let chunk = receiver.recv().await?;
        Some((Ok(chunk), receiver))
    });
    (Sender(sender), output.boxed())
}

/// The writing end of an [`Output`].
pub(crate) struct Sender(mpsc::Sender<Bytes>);

impl Sender {
    /// Sends a chunk, unless the client is gone: then the work goes on unseen.
    pub(crate) async fn send(&self, chunk: impl Into<Bytes>) {
        let _ = self.0.send(chunk.into()).await;
    }
}
