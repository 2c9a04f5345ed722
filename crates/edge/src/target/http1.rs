//! One connection to a target that speaks HTTP/1.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::alarm::Alarm;
use crate::request::body::RequestBody;

/// A connection that takes one request after another. It ends when this is dropped, whatever is still
/// under way on it: the rest of a body that nobody wants any more goes nowhere.
pub(crate) struct Http1Connection {
    pub(crate) sender: http1::SendRequest<RequestBody>,
    /// For the time that the target may take to answer.
    pub(crate) alarm: Alarm,
    _end: DropGuard,
}

impl Http1Connection {
    /// Begins to speak; the connection ends with `cut`, too.
    pub(crate) async fn begin(
        stream: TcpStream,
        cut: &CancellationToken,
    ) -> Result<Self, hyper::Error> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(128 * 1024)
            .handshake(TokioIo::new(TargetIo::new(stream)))
            .await?;
        let end = cut.child_token();
        super::connect::drive(end.clone(), connection.with_upgrades());
        Ok(Self {
            sender,
            alarm: Alarm::default(),
            _end: end.drop_guard(),
        })
    }
}

/// Reads to the end what a target says that takes nothing any more.
///
/// A target may answer before it has read a whole body, and close. What is written then fails, and whoever
/// stops there never sees the answer that has come (RFC 9112, section 9.3). So writing goes on
/// into nothing, and reading says how the connection ended.
struct TargetIo {
    stream: TcpStream,
    deaf: bool,
}

impl TargetIo {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            deaf: false,
        }
    }

    fn wrote(&mut self, wrote: io::Result<usize>, wanted: usize) -> io::Result<usize> {
        match wrote {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ) =>
            {
                self.deaf = true;
                Ok(wanted)
            }
            wrote => wrote,
        }
    }
}

impl AsyncRead for TargetIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, to)
    }
}

impl AsyncWrite for TargetIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let wrote = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        Poll::Ready(self.wrote(wrote, bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(wanted));
        }
        let wrote = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices));
        Poll::Ready(self.wrote(wrote, wanted))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
