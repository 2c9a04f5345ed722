//! A client's connection, with the bytes that were read ahead put back and slow clients ended.
//!
//! Three things take a client's time to their deadline: waiting between two requests, the head of a
//! request that has begun to come, and bytes that the client does not take. Whoever waits for long
//! between two requests is said to rest, so that the parser and its buffers can go meanwhile.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::alarm::Alarm;
use crate::request::framing::HeadWatch;
use crate::settings::Limits;

/// Deadlines of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From one request's end to the first byte of the next.
    pub(crate) idle: Duration,
    /// From one request's end until the connection rests.
    pub(crate) rest: Duration,
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
            rest: self.rest.get(),
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
/// Waiting, for longer already.
const RESTING: u8 = 4;

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

    /// Whether nothing of a request or an answer is under way, and has not been for a while.
    pub(crate) fn is_resting(&self) -> bool {
        self.now.load(Ordering::Relaxed) == RESTING
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
/// them in no time.
#[derive(Default)]
struct Clock {
    /// Since when the phase has been waited in.
    since: Option<(u8, Instant)>,
    alarm: Alarm,
}

impl Clock {
    /// Ready when the phase has been waited in for longer than its limit.
    fn poll(&mut self, phase: u8, limit: Duration, context: &mut Context<'_>) -> Poll<()> {
        let (_, since) = *match &mut self.since {
            Some(since) if since.0 == phase => since,
            since => since.insert((phase, Instant::now())),
        };
        self.alarm.poll(since + limit, context)
    }
}

impl Heads {
    /// Lets the connection rest when it is time to, and nothing of a request has come.
    fn poll_rest(&mut self, limit: Duration, context: &mut Context<'_>) {
        if self.watch.is_between() && self.clock.poll(WAITING, limit, context).is_ready() {
            self.phase.now.store(RESTING, Ordering::Relaxed);
        }
    }

    fn bytes_came(&mut self, bytes: &[u8]) {
        match self.phase.now.load(Ordering::Relaxed) {
            _ if bytes.is_empty() => return,
            UPGRADED => return,
            WAITING | RESTING => {
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

    /// Puts bytes back that were read and not used; they come first.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        self.ahead = match (bytes.is_empty(), self.ahead.is_empty()) {
            (true, _) => return,
            (false, true) => bytes,
            (false, false) => {
                let mut both = BytesMut::from(bytes);
                both.extend_from_slice(&self.ahead);
                both.freeze()
            }
        };
    }

    /// Nothing more has come: how long may that last?
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(heads) = &mut self.heads else {
            return Poll::Pending;
        };
        let phase = heads.phase.now.load(Ordering::Relaxed);
        let (limit, late) = match phase {
            WAITING | RESTING => (self.patience.idle, "no further request comes"),
            IN_HEAD => (self.patience.head, "the request's head takes too long"),
            _ => return Poll::Pending,
        };
        if phase == WAITING && self.write.is_none() {
            heads.poll_rest(self.patience.rest, context);
        }
        let waited_in = if phase == RESTING { WAITING } else { phase };
        ready!(heads.clock.poll(waited_in, limit, context));
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

impl<S: AsyncRead + Unpin> ClientIo<S> {
    /// Waits until the next request begins to come; false when the client has closed instead.
    ///
    /// # Errors
    /// When the connection broke, or its client took too long.
    pub(crate) async fn rest(&mut self) -> io::Result<bool> {
        if self.ahead.is_empty() {
            self.ahead = next_bytes(self).await?;
        }
        Ok(!self.ahead.is_empty())
    }
}

/// The next bytes of a stream, none at its end. Nothing is set aside for them while they are waited for.
pub(crate) async fn next_bytes<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Bytes> {
    poll_fn(|context| {
        let mut room = [MaybeUninit::<u8>::uninit(); 4096];
        let mut room = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut room))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(room.filled())))
    })
    .await
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

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn patience() -> Patience {
        Patience {
            idle: Duration::from_secs(60),
            rest: Duration::ZERO,
            head: Duration::from_secs(60),
            write: Duration::from_secs(60),
        }
    }

    /// Reads what there is, and says whether the connection rests then.
    async fn rests(io: &mut ClientIo<tokio::io::DuplexStream>, phase: &Phase) -> bool {
        for _ in 0..3 {
            while let Poll::Ready(read) = poll!(Box::pin(next_bytes(io))) {
                assert_ne!(read.unwrap(), Bytes::new());
            }
            // A timer of no time needs its turn, too.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        phase.is_resting()
    }

    #[tokio::test]
    async fn a_connection_rests_only_between_whole_requests() {
        let (mut client, server) = tokio::io::duplex(4096);
        let phase = Arc::new(Phase::default());
        let mut io = ClientIo::new(server, Bytes::new(), patience(), Some(Arc::clone(&phase)));
        assert!(rests(&mut io, &phase).await, "nothing has come");
        let request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
        for byte in &request[..request.len() - 1] {
            client.write_all(&[*byte]).await.unwrap();
            assert!(!rests(&mut io, &phase).await, "in a head or a body");
        }
        phase.request_began();
        assert!(!rests(&mut io, &phase).await, "a request is under way");
        phase.request_ended();
        assert!(
            !rests(&mut io, &phase).await,
            "answered ahead of the end of its body"
        );
        client.write_all(b"c").await.unwrap();
        assert!(!rests(&mut io, &phase).await, "something has come");
        phase.request_ended();
        assert!(rests(&mut io, &phase).await, "all that came is answered");
    }
}
