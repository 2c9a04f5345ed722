//! A client's connection, with the bytes that were read ahead put back and slow clients ended.
//!
//! Three things take a client's time to their deadline: waiting between two requests, the head of a
//! request that has begun to come, and bytes that the client does not take.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::request::framing::HeadWatch;
use crate::settings::Limits;

/// Deadlines of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From one request's end to the first byte of the next.
    pub(crate) idle: Duration,
    /// From the first byte of a request's head to its last.
    pub(crate) head: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub(crate) write: Duration,
}

impl Limits {
    /// What of the limits concerns one connection.
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            idle: self.idle.get(),
            head: self.head_time.get(),
            write: self.stall.get(),
        }
    }
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
}

/// Follows the heads on a connection.
struct Heads {
    phase: Arc<Phase>,
    watch: HeadWatch,
    clock: Clock,
}

/// The deadline of the phase that a connection is in. Every request passes through three phases, most of
/// them in no time: so its timer is not set anew for each, but when it rings too early.
#[derive(Default)]
struct Clock {
    /// Since when the phase has been waited in.
    since: Option<(u8, Instant)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    /// Ready when the phase has been waited in for longer than its limit.
    fn poll(&mut self, phase: u8, limit: Duration, context: &mut Context<'_>) -> Poll<()> {
        let (_, since) = *match &mut self.since {
            Some(since) if since.0 == phase => since,
            since => since.insert((phase, Instant::now())),
        };
        let deadline = since + limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl Heads {
    fn bytes_came(&mut self, bytes: &[u8]) {
        match self.phase.now.load(Ordering::Relaxed) {
            _ if bytes.is_empty() => return,
            UPGRADED => return,
            WAITING => {
                // The next wait between two requests is another one.
                self.clock.since = None;
                self.phase.now.store(IN_HEAD, Ordering::Relaxed);
            }
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
            clock: Clock::default(),
        });
        if let Some(heads) = &mut heads {
            heads.bytes_came(&ahead);
        }
        Self {
            inner,
            ahead,
            patience,
            heads,
            write: None,
        }
    }

    /// Nothing more has come: how long may that last?
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(heads) = &mut self.heads else {
            return Poll::Pending;
        };
        let phase = heads.phase.now.load(Ordering::Relaxed);
        let (limit, late) = match phase {
            WAITING => (self.patience.idle, "no further request comes"),
            IN_HEAD => (self.patience.head, "the request's head takes too long"),
            _ => return Poll::Pending,
        };
        ready!(heads.clock.poll(phase, limit, context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)))
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
            Poll::Pending => this.poll_patience(context),
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
