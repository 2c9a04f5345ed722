//! A new edge takes the place of a running one, and no connection is lost.
//!
//! The old one hands its listening sockets over (unix(7), `SCM_RIGHTS`), so that at every moment
//! somebody takes connections from them. Until the new one says that it does, the old one serves as
//! if nothing had been; from then on it takes no more, lets the connections it has come to their
//! end, and follows every change of the new one for their sake.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use crate::control::{self, Request};
use crate::edge::Edge;
use crate::edge::state::State;
use crate::error::EdgeError;
use crate::route::Listen;
use crate::settings::Settings;
use crate::span::Span;

/// How long the other side may take for one step.
const PATIENCE: Duration = Duration::from_secs(20);
const TAKEN: &[u8; 6] = b"taken\n";

/// What the old edge says before it sends its sockets, one by one.
#[derive(Serialize, Deserialize)]
struct Offer {
    listens: Vec<Listen>,
}

/// A change that those who still have connections must follow.
#[derive(Serialize, Deserialize)]
struct Change {
    state: State,
    grace: Span,
}

/// The way to an old edge that follows.
pub(crate) struct Follower(mpsc::UnboundedSender<(String, oneshot::Sender<usize>)>);

impl Edge {
    /// Starts an edge in the place of the one that runs with the same folder, or simply starts one
    /// when none runs. Serves the control socket as well.
    ///
    /// # Errors
    /// When the edge cannot start; the old one then serves on.
    pub async fn take_over(settings: Settings) -> Result<Self, EdgeError> {
        let Ok(mut stream) = UnixStream::connect(settings.socket()).await else {
            let edge = Self::start(settings).await?;
            edge.serve_control()?;
            return Ok(edge);
        };
        let sockets = tokio::time::timeout(PATIENCE, receive(&mut stream)).await;
        let sockets = sockets.map_err(|_| EdgeError::TakeOver(io::ErrorKind::TimedOut.into()))?;
        let sockets = sockets.map_err(EdgeError::TakeOver)?;
        // The old edge changes nothing while it waits, so its file holds good.
        let edge = Self::prepare(settings).await?;
        let control =
            control::bind(&edge.running().shared.settings.socket()).map_err(EdgeError::Control)?;
        for (listen, socket) in sockets {
            let adopted = edge.running().listeners.adopt(listen, socket);
            adopted.map_err(EdgeError::TakeOver)?;
        }
        stream.write_all(TAKEN).await.map_err(EdgeError::TakeOver)?;
        edge.spawn_control(control);
        edge.inherit_metrics();
        edge.keep_certificates();
        edge.add_follower(Follower::new(stream));
        Ok(edge)
    }

    /// Hands the sockets to whoever asked for them through the control socket.
    pub(crate) async fn hand_over(&self, mut stream: UnixStream) {
        if let Err(error) = self.give(&mut stream).await {
            tracing::warn!(%error, "the hand-over failed: this edge serves on");
            return;
        }
        tracing::info!("handed over: open connections come to their end here");
        self.running().shared.leaving.cancel();
        self.running().listeners.close_all();
        self.follow(stream).await;
    }

    async fn give(&self, stream: &mut UnixStream) -> Result<(), EdgeError> {
        let _changing = self.change().await?;
        let giving = async {
            send(stream, &self.running().listeners.sockets()).await?;
            let mut word = [0; TAKEN.len()];
            stream.read_exact(&mut word).await?;
            match &word == TAKEN {
                true => Ok(()),
                false => Err(io::ErrorKind::InvalidData.into()),
            }
        };
        let given = tokio::time::timeout(PATIENCE, giving).await;
        given
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(EdgeError::TakeOver)?;
        self.running().shared.leaving.cancel();
        Ok(())
    }

    /// Does what the new edge did, until that is gone.
    async fn follow(&self, stream: UnixStream) {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while let Ok(1..) = stream.read_line(&mut line).await {
            let Ok(change) = serde_json::from_str::<Change>(&line) else {
                return;
            };
            line.clear();
            let cut = self.apply(change.state, change.grace).await;
            if stream
                .write_all(format!("{cut}\n").as_bytes())
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Returns when another edge has taken over.
    pub async fn handed_over(&self) {
        self.running().shared.leaving.cancelled().await;
    }
}

impl Follower {
    fn new(stream: UnixStream) -> Self {
        let (changes, mut waiting) = mpsc::unbounded_channel::<(String, oneshot::Sender<usize>)>();
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut answer = String::new();
            while let Some((line, done)) = waiting.recv().await {
                answer.clear();
                if stream.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
                match stream.read_line(&mut answer).await {
                    Ok(1..) => drop(done.send(answer.trim().parse().unwrap_or(0))),
                    _ => return,
                }
            }
        });
        Self(changes)
    }

    /// Passes a change on; the receiver hears how many requests were cut, or nothing when the
    /// follower has ended. Nothing at once when it ended before.
    pub(crate) fn tell(&self, state: State, grace: Span) -> Option<oneshot::Receiver<usize>> {
        let mut line = serde_json::to_string(&Change { state, grace }).ok()?;
        line.push('\n');
        let (done, drained) = oneshot::channel();
        self.0.send((line, done)).ok()?;
        Some(drained)
    }
}

async fn send(stream: &mut UnixStream, sockets: &[(Listen, Arc<TcpListener>)]) -> io::Result<()> {
    let listens = sockets.iter().map(|(listen, _)| *listen).collect();
    let mut offer = serde_json::to_vec(&Offer { listens })?;
    offer.push(b'\n');
    stream.write_all(&offer).await?;
    for (_, socket) in sockets {
        send_one(stream, socket.as_fd()).await?;
    }
    Ok(())
}

async fn send_one(stream: &UnixStream, socket: BorrowedFd<'_>) -> io::Result<()> {
    let sending = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let sockets = [socket];
        ancillary.push(SendAncillaryMessage::ScmRights(&sockets));
        rustix::net::sendmsg(
            stream,
            &[IoSlice::new(b"s")],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        )?;
        Ok(())
    };
    stream.async_io(Interest::WRITABLE, sending).await
}

async fn receive(stream: &mut UnixStream) -> io::Result<Vec<(Listen, TcpListener)>> {
    let mut line = serde_json::to_vec(&Request::Takeover)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let offer: Offer = serde_json::from_slice(&read_line(stream).await?)?;
    let mut sockets = Vec::new();
    for listen in offer.listens {
        let socket = TcpListener::from(receive_one(stream).await?);
        socket.set_nonblocking(true)?;
        sockets.push((listen, socket));
    }
    Ok(sockets)
}

/// Byte by byte: what is read beyond the line would lose the sockets that come with it.
async fn read_line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => return Ok(line),
            _ if line.len() > 1 << 20 => return Err(io::ErrorKind::InvalidData.into()),
            byte => line.push(byte),
        }
    }
}

async fn receive_one(stream: &UnixStream) -> io::Result<OwnedFd> {
    let receiving = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let flags = RecvFlags::CMSG_CLOEXEC;
        rustix::net::recvmsg(
            stream,
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            flags,
        )?;
        let mut messages = ancillary.drain();
        let socket = messages.find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        socket.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    };
    stream.async_io(Interest::READABLE, receiving).await
}
