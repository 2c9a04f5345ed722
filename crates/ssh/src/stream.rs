//! A channel as a stream of bytes. What ends because the connection broke, or because a command
//! failed, ends with an error: whoever reads it must not take it for the end of what there was.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::StreamReader;

use crate::error::SshError;
use crate::session::Session;

/// As much of a command's standard error as is kept, in bytes.
const KEPT: usize = 2000;

/// A stream of bytes in both directions. Dropping it closes it.
pub struct Stream {
    reader: StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    closer: Closer,
}

/// How a command ended that should have gone on, or have succeeded.
#[derive(Debug, thiserror::Error)]
#[error("`{command}` ended on the host with status {status}{}", said(.stderr))]
pub struct CommandFailure {
    /// The command.
    pub command: String,
    /// Its exit status.
    pub status: u32,
    /// The end of what it wrote to standard error.
    pub stderr: String,
}

impl Stream {
    /// The stream of a socket.
    pub(crate) fn of_socket(channel: Channel<Msg>, session: Arc<Session>) -> Self {
        Self::new(channel, session, None)
    }

    /// The standard streams of a command that was started.
    pub(crate) fn of_command(channel: Channel<Msg>, session: Arc<Session>, command: &str) -> Self {
        Self::new(channel, session, Some(command.to_owned()))
    }

    fn new(channel: Channel<Msg>, session: Arc<Session>, command: Option<String>) -> Self {
        let (half, write_half) = channel.split();
        let writer = Box::pin(write_half.make_writer());
        let incoming = Incoming {
            half,
            session: Arc::clone(&session),
            command,
            status: None,
            stderr: Vec::new(),
        };
        Self {
            reader: StreamReader::new(incoming.into_stream()),
            writer,
            closer: Closer(Some((write_half, session))),
        }
    }
}

/// Closes the channel when the stream is dropped, and keeps the connection until then.
struct Closer(Option<(ChannelWriteHalf<Msg>, Arc<Session>)>);

impl Drop for Closer {
    fn drop(&mut self) {
        let (Some((half, session)), Ok(runtime)) =
            (self.0.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        runtime.spawn(async move {
            // The connection that is gone needs no closing.
            let _gone = half.close().await;
            drop(session);
        });
    }
}

/// What comes from the other side.
struct Incoming {
    half: ChannelReadHalf,
    session: Arc<Session>,
    command: Option<String>,
    status: Option<u32>,
    stderr: Vec<u8>,
}

impl Incoming {
    fn into_stream(self) -> BoxStream<'static, io::Result<Bytes>> {
        let pieces = stream::unfold(Some(self), async |incoming| {
            let mut incoming = incoming?;
            match incoming.next().await {
                Ok(Some(data)) => Some((Ok(data), Some(incoming))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        pieces.boxed()
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match self.half.wait().await {
                Some(ChannelMsg::Data { data }) if !data.is_empty() => return Ok(Some(data)),
                Some(ChannelMsg::ExtendedData { data, .. }) => self.keep(&data),
                Some(ChannelMsg::ExitStatus { exit_status }) => self.status = Some(exit_status),
                // A command's status can come after the end of its output.
                Some(ChannelMsg::Eof) if self.command.is_none() => return Ok(None),
                Some(ChannelMsg::Close) => return self.close(),
                None => return Err(self.broken()),
                Some(_) => {}
            }
        }
    }

    fn keep(&mut self, data: &[u8]) {
        self.stderr.extend(data);
        let beyond = self.stderr.len().saturating_sub(KEPT);
        self.stderr.drain(..beyond);
    }

    fn close(&mut self) -> io::Result<Option<Bytes>> {
        match (&self.command, self.status) {
            (Some(command), status) if status != Some(0) => Err(io::Error::other(CommandFailure {
                command: command.clone(),
                // A signal ended it; shells count from here.
                status: status.unwrap_or(128),
                stderr: String::from_utf8_lossy(&self.stderr).trim().to_owned(),
            })),
            _ => Ok(None),
        }
    }

    fn broken(&self) -> io::Error {
        let broken = SshError::Broken {
            host: self.session.host.clone(),
            why: self.session.why_ended(),
        };
        io::Error::new(io::ErrorKind::ConnectionReset, broken)
    }
}

fn said(stderr: &str) -> String {
    match stderr.is_empty() {
        true => String::new(),
        false => format!(": {stderr}"),
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // russh takes an empty piece for a mistake.
        match bytes.is_empty() {
            true => Poll::Ready(Ok(0)),
            false => self.writer.as_mut().poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_shutdown(context)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.closer.0.as_ref().map(|(_, session)| &session.host);
        write!(f, "Stream({})", session.map_or("", String::as_str))
    }
}
