//! A client's connection, with the bytes that were read ahead put back and slow clients ended.
//!
//! Two things take a client's time to their deadline: the head of a request that has begun to come,
//! and bytes that the client does not take. Waiting between requests is limited elsewhere.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::request::framing::HeadWatch;

/// Deadlines of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From the first byte of a request's head to its last.
    pub(crate) head: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub(crate) write: Duration,
}

/// Where an HTTP/1 connection stands between two requests.
#[derive(Debug, Default)]
pub(crate) struct Phase {
    now: AtomicU8,
    ambiguous: AtomicBool,
}

const WAITING: u8 = 0;
const IN_HEAD: u8 = 1;
const IN_REQUEST: u8 = 2;
const UPGRADED: u8 = 3;

impl Phase {
    /// The head is complete.
    pub(crate) fn request_began(&self) {
        self.now.store(IN_REQUEST, Ordering::Relaxed);
    }

    /// The answer has been handed over.
    pub(crate) fn request_ended(&self) {
        self.now.store(WAITING, Ordering::Relaxed);
    }

    /// What comes from now on is not HTTP.
    pub(crate) fn upgraded(&self) {
        self.now.store(UPGRADED, Ordering::Relaxed);
    }

    /// Whether a head on this connection said twice where its body ends.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.ambiguous.load(Ordering::Relaxed)
    }

    fn is_in_head(&self) -> bool {
        self.now.load(Ordering::Relaxed) == IN_HEAD
    }
}

/// Follows the heads on a connection.
struct Heads {
    phase: Arc<Phase>,
    watch: HeadWatch,
}

impl Heads {
    fn bytes_came(&mut self, bytes: &[u8]) {
        match self.phase.now.load(Ordering::Relaxed) {
            _ if bytes.is_empty() => return,
            UPGRADED => return,
            WAITING => self.phase.now.store(IN_HEAD, Ordering::Relaxed),
            _ => {}
        }
        self.watch.feed(bytes);
        if self.watch.is_ambiguous() {
            self.phase.ambiguous.store(true, Ordering::Relaxed);
        }
    }
}

/// See the module.
pub(crate) struct ClientIo<S> {
    inner: S,
    ahead: Bytes,
    patience: Patience,
    heads: Option<Heads>,
    head: Option<Pin<Box<Sleep>>>,
    write: Option<Pin<Box<Sleep>>>,
}

impl<S> ClientIo<S> {
    /// `ahead` are bytes that were read from `inner` already. Without a phase, heads take as long
    /// as they take.
    pub(crate) fn new(
        inner: S,
        ahead: Bytes,
        patience: Patience,
        phase: Option<Arc<Phase>>,
    ) -> Self {
        let mut heads = phase.map(|phase| Heads {
            phase,
            watch: HeadWatch::default(),
        });
        if let Some(heads) = &mut heads {
            heads.bytes_came(&ahead);
        }
        Self {
            inner,
            ahead,
            patience,
            heads,
            head: None,
            write: None,
        }
    }

    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let heads = self.heads.as_ref();
        let in_head = heads.is_some_and(|heads| heads.phase.is_in_head());
        if !in_head {
            self.head = None;
            return Poll::Pending;
        }
        let limit = self.patience.head;
        let sleep = self
            .head
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(sleep.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the request's head takes too long",
        )))
    }

    fn poll_written<T>(
        &mut self,
        context: &mut Context<'_>,
        wrote: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.write = None;
            return wrote;
        }
        let limit = self.patience.write;
        let sleep = self
            .write
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(sleep.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client takes nothing",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.ahead.is_empty() {
            let count = this.ahead.len().min(to.remaining());
            to.put_slice(&this.ahead[..count]);
            this.ahead.advance(count);
            if this.ahead.is_empty() {
                this.ahead = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = to.filled().len();
        match Pin::new(&mut this.inner).poll_read(context, to) {
            Poll::Ready(read) => {
                if let Some(heads) = &mut this.heads {
                    heads.bytes_came(&to.filled()[before..]);
                }
                Poll::Ready(read)
            }
            Poll::Pending => this.poll_head(context),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.poll_written(context, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.poll_written(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.poll_written(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
