//! How others steer a running edge: lines of JSON through a unix socket that only its owner opens.
//!
//! A connection carries one request. The answer is a line for each step, and a last one that says
//! how it ended. A change goes on to its end even if whoever asked for it goes away.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::edge::Edge;
use crate::edge::set::{Event, Set};
use crate::error::{EdgeError, with_sources};
use crate::route::RouteKey;
use crate::span::Span;

/// A request is at most so many bytes long.
const LONGEST: u64 = 8 << 20;
/// How long a request may take to come.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// What can be asked of a running edge.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Request {
    /// New targets: [`Edge::set`].
    Set(Set),
    /// A route less: [`Edge::remove`].
    Remove {
        /// Which.
        route: RouteKey,
        /// How long its requests may take to end.
        grace: Span,
    },
    /// An address out of all routes, or in again: [`Edge::drain`].
    Drain {
        /// Which.
        target: SocketAddr,
        /// How long its requests may take to end.
        grace: Span,
        /// In again.
        #[serde(default)]
        undo: bool,
    },
    /// Whether addresses have nothing left to do: [`Edge::emptied`].
    Emptied {
        /// Which.
        addresses: Vec<IpAddr>,
        /// How long to wait for it.
        limit: Span,
    },
    /// [`Edge::pause`].
    Pause {
        /// Which; all without.
        route: Option<RouteKey>,
        /// For how long at the most.
        limit: Span,
    },
    /// [`Edge::resume`].
    Resume {
        /// Which; all without.
        route: Option<RouteKey>,
    },
    /// [`Edge::maintenance`].
    Maintenance {
        /// Which; all without.
        route: Option<RouteKey>,
        /// HTML.
        page: String,
    },
    /// [`Edge::status`].
    Status,
    /// [`Edge::metrics`].
    Metrics,
    /// The listening sockets: [`Edge::take_over`].
    Takeover,
}

/// One line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply {
    Step(Event),
    Done(Value),
    Failed(String),
}

/// Why a request to a running edge came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no edge answers at {}: is `lotse edge run` at work, with the same --folder?", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The connection ended early.
    #[error(
        "the edge went away before it had answered: what was asked may be done or not, `lotse edge list` tells"
    )]
    Broken(#[source] Option<io::Error>),
    /// The edge speaks another language.
    #[error("the edge's answer makes no sense: is it of another version?")]
    Answer(#[source] serde_json::Error),
    /// The edge refused.
    #[error("{0}")]
    Refused(String),
}

/// Asks the edge behind the socket; `tell` hears of each step. The value is what the command
/// gives: a [`crate::Status`], metrics as text, or a count of requests.
///
/// # Errors
/// What the edge says, or that there is none.
pub async fn ask(
    socket: &Path,
    request: &Request,
    mut tell: impl FnMut(Event),
) -> Result<Value, ControlError> {
    let connected = UnixStream::connect(socket).await;
    let mut stream = connected.map_err(|source| ControlError::Connect {
        path: socket.to_owned(),
        source,
    })?;
    let mut line = serde_json::to_vec(request).map_err(ControlError::Answer)?;
    line.push(b'\n');
    let broken = |error| ControlError::Broken(Some(error));
    stream.write_all(&line).await.map_err(broken)?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await.map_err(broken)? {
        match serde_json::from_str(&line).map_err(ControlError::Answer)? {
            Reply::Step(event) => tell(event),
            Reply::Done(value) => return Ok(value),
            Reply::Failed(reason) => return Err(ControlError::Refused(reason)),
        }
    }
    Err(ControlError::Broken(None))
}

/// The socket, which nobody but the owner could open at any moment.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The file gets the socket's own mode (unix(7)), so there is no moment in which it has another.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    let beside = path.with_extension("sock.new");
    match fs_err::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    rustix::net::bind(&socket, &SocketAddrUnix::new(&beside)?)?;
    rustix::net::listen(&socket, 64)?;
    fs_err::rename(&beside, path)?;
    UnixListener::from_std(StdUnixListener::from(socket))
}

impl Edge {
    /// Answers requests through the control socket until the edge ends.
    ///
    /// # Errors
    /// When the socket cannot be opened, or another edge answers there.
    pub fn serve_control(&self) -> Result<(), EdgeError> {
        let shared = &self.running().shared;
        let path = shared.settings.socket();
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(EdgeError::Runs(
                shared.settings.folder.display().to_string(),
            ));
        }
        let listener = bind(&path).map_err(EdgeError::Control)?;
        self.spawn_control(listener);
        Ok(())
    }

    pub(crate) fn spawn_control(&self, listener: UnixListener) {
        let edge = self.clone();
        let leaving = self.running().shared.leaving.clone();
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = leaving.cancelled() => return,
                };
                match accepted {
                    Ok((stream, _)) => {
                        tokio::spawn(serve(edge.clone(), stream));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot take a connection to the control socket");
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                }
            }
        });
    }
}

async fn serve(edge: Edge, mut stream: UnixStream) {
    let request = match tokio::time::timeout(PATIENCE, read(&mut stream)).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => {
            let _ = write(
                &mut stream,
                &Reply::Failed(format!("the request makes no sense: {error}")),
            )
            .await;
            return;
        }
        Err(_) => return,
    };
    if matches!(request, Request::Takeover) {
        return edge.hand_over(stream).await;
    }
    let (steps, mut told) = mpsc::unbounded_channel();
    let working = tokio::spawn(async move { carry_out(&edge, request, steps).await });
    while let Some(step) = told.recv().await {
        if write(&mut stream, &Reply::Step(step)).await.is_err() {
            break;
        }
    }
    let reply = match working.await {
        Ok(Ok(value)) => Reply::Done(value),
        Ok(Err(error)) => Reply::Failed(with_sources(&error)),
        Err(_) => Reply::Failed("the edge itself is at fault: its log says more".to_owned()),
    };
    let _ = write(&mut stream, &reply).await;
}

async fn read(stream: &mut UnixStream) -> io::Result<Request> {
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream.take(LONGEST));
    reader.read_until(b'\n', &mut line).await?;
    serde_json::from_slice(&line).map_err(io::Error::other)
}

async fn write(stream: &mut UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

async fn carry_out(
    edge: &Edge,
    request: Request,
    steps: mpsc::UnboundedSender<Event>,
) -> Result<Value, EdgeError> {
    let tell = move |event| {
        let _ = steps.send(event);
    };
    let count = match request {
        Request::Set(set) => return edge.set(set, tell).await.map(|()| Value::Null),
        Request::Takeover => return Ok(Value::Null),
        Request::Status => return Ok(serde_json::json!(edge.status())),
        Request::Metrics => return Ok(Value::String(edge.metrics())),
        Request::Remove { route, grace } => edge.remove(&route, grace).await?,
        Request::Drain {
            target,
            grace,
            undo,
        } => edge.drain(target, !undo, grace).await?,
        Request::Emptied { addresses, limit } => edge.emptied(&addresses, limit).await,
        Request::Pause { route, limit } => edge.pause(route.as_ref(), limit).await?,
        Request::Resume { route } => edge.resume(route.as_ref()).await?,
        Request::Maintenance { route, page } => edge.maintenance(route.as_ref(), &page).await?,
    };
    Ok(count.into())
}
