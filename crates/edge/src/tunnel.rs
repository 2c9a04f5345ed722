//! Bytes both ways between two connections, until both sides have ended or it is cut.
//!
//! Bytes are read onto the stack and written from there; only those that the other side does not take yet
//! are kept. So a connection on which nothing happens costs no buffer.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// As much is read at once.
const ROOM: usize = 32 * 1024;

/// Passes bytes on. A side that ends closes only its own direction, so that a half-closed
/// connection stays one. Returns the bytes that went from `client` and to it.
pub(crate) async fn run<A, B>(
    client: &mut A,
    target: &mut B,
    cut: &CancellationToken,
) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Flow::default(), Flow::default());
    let both = poll_fn(|context| {
        let up = up.poll(client, target, context)?;
        let down = down.poll(target, client, context)?;
        match (up, down) {
            (Poll::Ready(up), Poll::Ready(down)) => Poll::Ready(Ok((up, down))),
            _ => Poll::Pending,
        }
    });
    tokio::select! {
        copied = both => copied,
        () = cut.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

/// One direction.
#[derive(Default)]
struct Flow {
    /// What was read and not yet taken.
    left: Bytes,
    passed: u64,
    /// Something was written that may wait in the writer.
    unflushed: bool,
    reading: Reading,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Reading {
    #[default]
    Open,
    /// Nothing more comes: the other side is to be told.
    Ended,
    /// It has been told.
    Told,
}

impl Flow {
    /// Ready with the number of bytes when `from` has ended and `to` knows it.
    fn poll<R, W>(
        &mut self,
        from: &mut R,
        to: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while self.reading == Reading::Open {
            ready!(self.poll_left(to, context))?;
            if self.poll_pass(from, to, context)?.is_pending() {
                return self.poll_flush(to, context);
            }
        }
        if self.reading == Reading::Ended {
            ready!(self.poll_left(to, context))?;
            ready!(Pin::new(to).poll_shutdown(context))?;
            self.reading = Reading::Told;
        }
        Poll::Ready(Ok(self.passed))
    }

    /// Passes on what can be read at once.
    fn poll_pass<R, W>(
        &mut self,
        from: &mut R,
        to: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut room = [MaybeUninit::<u8>::uninit(); ROOM];
        let mut room = ReadBuf::uninit(&mut room);
        ready!(Pin::new(from).poll_read(context, &mut room))?;
        let bytes = room.filled();
        if bytes.is_empty() {
            self.reading = Reading::Ended;
            return Poll::Ready(Ok(()));
        }
        self.passed += bytes.len() as u64;
        let taken = match Pin::new(to).poll_write(context, bytes)? {
            Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(taken) => taken,
            Poll::Pending => 0,
        };
        self.unflushed = true;
        self.left = Bytes::copy_from_slice(&bytes[taken..]);
        Poll::Ready(Ok(()))
    }

    /// Writes what is left.
    fn poll_left<W>(&mut self, to: &mut W, context: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        while !self.left.is_empty() {
            match ready!(Pin::new(&mut *to).poll_write(context, &self.left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.left.advance(taken),
            }
            if self.left.is_empty() {
                self.left = Bytes::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// While nothing comes, nothing that was written may wait.
    fn poll_flush<W>(&mut self, to: &mut W, context: &mut Context<'_>) -> Poll<io::Result<u64>>
    where
        W: AsyncWrite + Unpin,
    {
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Pending
    }
}
