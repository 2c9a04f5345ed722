//! Bytes both ways between two connections, until both sides have ended or it is cut.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// Passes bytes on. A side that ends closes only its own direction, so that a half-closed
/// connection stays one. Returns the bytes that went from `client` and to it.
pub(crate) async fn run<A, B>(
    client: &mut A,
    target: &mut B,
    cut: &CancellationToken,
) -> std::io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    const BUFFER: usize = 16 * 1024;
    tokio::select! {
        copied = tokio::io::copy_bidirectional_with_sizes(client, target, BUFFER, BUFFER) => copied,
        () = cut.cancelled() => Err(std::io::ErrorKind::ConnectionAborted.into()),
    }
}
