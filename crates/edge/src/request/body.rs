//! Bodies on their way through: streamed, counted, and never waited for longer than agreed.
//!
//! Nothing is buffered: a frame is passed on when the other side asks for it, so the slower side
//! sets the pace.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use crate::client::io::Phase;
use crate::client::workers::Worker;
use crate::request::record::Record;
use crate::request::switch::Passage;
use crate::target::http1::Http1Connection;
use crate::target::pool::{Lease, TargetLease};

/// What a client's body is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// In bytes.
    pub(crate) size: u64,
    /// How long the client may send nothing.
    pub(crate) stall: Duration,
}

/// A request's body on its way to a target.
pub(crate) enum RequestBody {
    Empty,
    Incoming(Box<IncomingBody>),
}

/// See [`RequestBody`].
pub(crate) struct IncomingBody {
    body: Incoming,
    limits: BodyLimits,
    upload: Arc<Upload>,
    seen: u64,
    stalled: Option<Pin<Box<Sleep>>>,
    gate: Option<Gate>,
}

/// Holds a body back until the target has said `100 Continue`, or has said nothing for a while
/// (RFC 9110, section 10.1.1).
pub(crate) struct Gate {
    opened: Option<oneshot::Receiver<()>>,
    patience: Pin<Box<Sleep>>,
}

/// How far a request's body has come; shared with whoever waits for the answer.
pub(crate) struct Upload {
    started: Instant,
    finished: AtomicBool,
    answered: AtomicBool,
    over: AtomicBool,
    /// Who waits for the end of the answer.
    waiting: AtomicWaker,
    moved: AtomicU64,
    fault: AtomicU8,
}

/// What a client did wrong with its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    #[error("the request's body is too large")]
    TooLarge,
    #[error("the client stopped sending")]
    Stalled,
    #[error("the client broke its body off")]
    Broken,
    #[error("the target answered without wanting the body")]
    Refused,
}

impl RequestBody {
    pub(crate) fn new(
        body: Incoming,
        limits: BodyLimits,
        gate: Option<Gate>,
    ) -> (Self, Arc<Upload>) {
        let empty = body.is_end_stream();
        let upload = Arc::new(Upload {
            started: Instant::now(),
            finished: AtomicBool::new(empty),
            answered: AtomicBool::new(false),
            over: AtomicBool::new(false),
            waiting: AtomicWaker::new(),
            moved: AtomicU64::new(0),
            fault: AtomicU8::new(0),
        });
        if empty {
            return (Self::Empty, upload);
        }
        let body = IncomingBody {
            body,
            limits,
            upload: Arc::clone(&upload),
            seen: 0,
            stalled: None,
            gate,
        };
        (Self::Incoming(Box::new(body)), upload)
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl Gate {
    /// A gate, and what opens it.
    pub(crate) fn new(patience: Duration) -> (Self, oneshot::Sender<()>) {
        let (open, opened) = oneshot::channel();
        let patience = Box::pin(tokio::time::sleep(patience));
        let opened = Some(opened);
        (Self { opened, patience }, open)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(opened) = &mut self.opened {
            match Pin::new(opened).poll(context) {
                Poll::Ready(Ok(())) => return Poll::Ready(()),
                // A sender that is gone without a word leaves the patience.
                Poll::Ready(Err(_)) => self.opened = None,
                Poll::Pending => {}
            }
        }
        self.patience.as_mut().poll(context)
    }
}

impl Upload {
    /// Whether the target has been sent everything.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// The target has answered: a body that it did not ask for is not sent any more.
    pub(crate) fn answered(&self) {
        self.answered.store(true, Ordering::Release);
    }

    /// The answer has come to its end: nobody waits for the rest of the body.
    fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.waiting.wake();
    }

    /// When the last part was passed on, or the request began.
    pub(crate) fn last_moved(&self) -> Instant {
        self.started + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }

    pub(crate) fn fault(&self) -> Option<BodyFault> {
        match self.fault.load(Ordering::Acquire) {
            1 => Some(BodyFault::TooLarge),
            2 => Some(BodyFault::Stalled),
            3 => Some(BodyFault::Broken),
            4 => Some(BodyFault::Refused),
            _ => None,
        }
    }

    fn set_fault(&self, fault: BodyFault) -> BodyFault {
        let number = match fault {
            BodyFault::TooLarge => 1,
            BodyFault::Stalled => 2,
            BodyFault::Broken => 3,
            BodyFault::Refused => 4,
        };
        self.fault.store(number, Ordering::Release);
        fault
    }

    fn moved(&self) {
        let millis = self.started.elapsed().as_millis() as u64;
        self.moved.store(millis, Ordering::Relaxed);
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Incoming(body) => body.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Incoming(body) => body.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Incoming(body) => body.body.size_hint(),
        }
    }
}

impl IncomingBody {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if let Some(gate) = &mut self.gate {
            ready!(gate.poll(context));
            if self.upload.answered.load(Ordering::Acquire) {
                return self.poll_over(context);
            }
            self.gate = None;
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(self.pass(frame))),
            Poll::Ready(Some(Err(_))) => {
                Poll::Ready(Some(Err(self.upload.set_fault(BodyFault::Broken))))
            }
            Poll::Ready(None) => {
                self.upload.finished.store(true, Ordering::Release);
                Poll::Ready(None)
            }
            Poll::Pending => self.poll_stalled(context),
        }
    }

    /// A body that was refused is held back until the answer is over, and then broken off.
    fn poll_over(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.upload.waiting.register(context.waker());
        match self.upload.over.load(Ordering::Acquire) {
            true => Poll::Ready(Some(Err(self.upload.set_fault(BodyFault::Refused)))),
            false => Poll::Pending,
        }
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyFault> {
        self.stalled = None;
        self.upload.moved();
        self.seen += frame.data_ref().map_or(0, |data| data.remaining() as u64);
        if self.seen > self.limits.size {
            return Err(self.upload.set_fault(BodyFault::TooLarge));
        }
        if self.body.is_end_stream() {
            self.upload.finished.store(true, Ordering::Release);
        }
        Ok(frame)
    }

    fn poll_stalled(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let limit = self.limits.stall;
        let sleep = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(sleep.as_mut().poll(context));
        Poll::Ready(Some(Err(self.upload.set_fault(BodyFault::Stalled))))
    }
}

/// A response's body on its way to a client.
pub(crate) struct ResponseBody {
    kind: Kind,
    /// Dropped with the body: tells the connection that its request is over, and writes the log.
    pub(crate) record: Option<Box<Record>>,
    pub(crate) phase: Option<Arc<Phase>>,
    /// Where the connection leads after this answer, if it changes its protocol.
    pub(crate) passage: Option<Box<Passage>>,
}

enum Kind {
    Full(Option<Bytes>),
    Stream(Box<Stream>),
}

/// What a target answers, and all that is held until it has been passed on.
pub(crate) struct Stream {
    pub(crate) body: Incoming,
    pub(crate) upload: Arc<Upload>,
    pub(crate) connection: Option<Http1Connection>,
    pub(crate) worker: Worker,
    pub(crate) target: TargetLease,
    pub(crate) pool: Lease,
}

impl ResponseBody {
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::of(Kind::Full(Some(bytes.into())))
    }

    pub(crate) fn stream(stream: Stream) -> Self {
        Self::of(Kind::Stream(Box::new(stream)))
    }

    pub(crate) fn switching(passage: Passage) -> Self {
        let mut body = Self::full("");
        body.passage = Some(Box::new(passage));
        body
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            record: None,
            phase: None,
            passage: None,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let polled = match &mut this.kind {
            Kind::Full(bytes) => Poll::Ready(
                bytes
                    .take()
                    .filter(|b| !b.is_empty())
                    .map(|b| Ok(Frame::data(b))),
            ),
            Kind::Stream(stream) => Pin::new(&mut stream.body).poll_frame(context),
        };
        if let (Poll::Ready(frame), Some(record)) = (&polled, &mut this.record) {
            record.saw(frame.as_ref());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Kind::Stream(stream) => stream.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Stream(stream) => stream.body.size_hint(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(phase) = &self.phase {
            phase.request_ended();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.upload.end();
        // A connection on which something is still under way must not get another request.
        if !self.body.is_end_stream()
            || !self.upload.is_finished()
            || self.pool.retired.is_cancelled()
        {
            return;
        }
        if let Some(connection) = self.connection.take() {
            self.target.idle.put(self.worker, connection);
        }
    }
}
