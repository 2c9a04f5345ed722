//! Connections to targets: opened in time, kept while they are good, never shared by two requests
//! at once unless they speak HTTP/2.
//!
//! Each connection belongs to one pool and ends when its pool is cut. Whether a request may be
//! repeated on another one is not decided here.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::client::proxy_protocol;
use crate::client::workers::Worker;
use crate::request::body::RequestBody;
use crate::target::http1::Http1Connection;
use crate::target::pool::{Pool, Target};

/// How long a target may take to accept a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Kept connections are closed when nobody used them for so long.
const KEEP: Duration = Duration::from_secs(50);
/// So many unused connections to a target are kept on each worker.
const KEEP_COUNT: usize = 512;

/// The connections of a target that wait for a request.
#[derive(Default)]
pub(crate) struct Idle {
    http1: Mutex<Vec<Kept>>,
    http2: tokio::sync::Mutex<Option<http2::SendRequest<RequestBody>>>,
}

/// The connections of one worker, and since when each waits. One from another worker would wake that for
/// every part of a request.
type Kept = Vec<(Instant, Http1Connection)>;

/// A way to send one request.
pub(crate) enum Connection {
    Http1 {
        connection: Http1Connection,
        reused: bool,
    },
    Http2 {
        sender: http2::SendRequest<RequestBody>,
        reused: bool,
    },
}

/// Why a target cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot connect to {address}: {source}")]
    Connect {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("{0} does not accept a connection within {CONNECT_TIMEOUT:?}")]
    Timeout(SocketAddr),
    #[error("{address} does not speak HTTP/2: {source}")]
    Handshake {
        address: SocketAddr,
        source: hyper::Error,
    },
}

/// Which connection is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// The worker whose kept connections will do. Without, it must be one that nobody used before:
    /// the request must not be sent twice, and a kept connection may be closed by the target in the
    /// moment of sending.
    pub(crate) kept: Option<Worker>,
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
}

/// A connection to the target that can take a request now.
pub(crate) async fn connection(
    pool: &Pool,
    target: &Target,
    wanted: Wanted,
) -> Result<Connection, ConnectError> {
    // In boxes is what few requests need, as the room for the rest is set aside for each.
    if pool.spec.target_http2 {
        return Box::pin(http2_connection(pool, target, wanted)).await;
    }
    // A connection that begins with the client's address is that client's alone.
    if let (Some(worker), None) = (wanted.kept, pool.spec.send_proxy) {
        while let Some(mut connection) = target.idle.take(worker) {
            if connection.sender.ready().await.is_ok() {
                return Ok(Connection::Http1 {
                    connection,
                    reused: true,
                });
            }
        }
    }
    Box::pin(new_http1_connection(pool, target, wanted)).await
}

async fn new_http1_connection(
    pool: &Pool,
    target: &Target,
    wanted: Wanted,
) -> Result<Connection, ConnectError> {
    let stream = open(pool, target, wanted).await?;
    let begun = Http1Connection::begin(stream, &pool.cut).await;
    let connection = begun.map_err(|source| ConnectError::Handshake {
        address: target.address,
        source,
    })?;
    Ok(Connection::Http1 {
        connection,
        reused: false,
    })
}

async fn http2_connection(
    pool: &Pool,
    target: &Target,
    wanted: Wanted,
) -> Result<Connection, ConnectError> {
    let mut kept = target.idle.http2.lock().await;
    if let Some(sender) = kept
        .as_ref()
        .filter(|sender| !sender.is_closed() && wanted.kept.is_some())
    {
        return Ok(Connection::Http2 {
            sender: sender.clone(),
            reused: true,
        });
    }
    let stream = open(pool, target, wanted).await?;
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .handshake(TokioIo::new(stream))
        .await;
    let (sender, connection) = handshake.map_err(|source| ConnectError::Handshake {
        address: target.address,
        source,
    })?;
    drive(pool.cut.clone(), connection);
    if pool.spec.send_proxy.is_none() {
        *kept = Some(sender.clone());
    }
    Ok(Connection::Http2 {
        sender,
        reused: false,
    })
}

/// A byte stream to the target, which has been told the client's address if it wants to know.
pub(crate) async fn open(
    pool: &Pool,
    target: &Target,
    wanted: Wanted,
) -> Result<TcpStream, ConnectError> {
    let address = target.address;
    let opening = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        if let Some(version) = pool.spec.send_proxy {
            let header = proxy_protocol::header(version, wanted.client, wanted.server);
            stream.write_all(&header).await?;
        }
        Ok(stream)
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(ConnectError::Connect { address, source }),
        Err(_) => Err(ConnectError::Timeout(address)),
    }
}

/// Lets a connection work until it ends or is cut.
pub(crate) fn drive<C>(cut: CancellationToken, connection: C)
where
    C: Future<Output = Result<(), hyper::Error>> + Send + 'static,
{
    tokio::spawn(async move {
        tokio::select! {
            ended = connection => {
                // The request that was on it reports the error.
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to a target ended");
                }
            }
            () = cut.cancelled() => {}
        }
    });
}

impl Idle {
    fn take(&self, worker: Worker) -> Option<Http1Connection> {
        let (_, connection) = self.lock().get_mut(worker)?.pop()?;
        Some(connection)
    }

    /// Keeps a connection whose request has been answered to the end.
    pub(crate) fn put(&self, worker: Worker, connection: Http1Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let now = Instant::now();
        let mut all = self.lock();
        if all.len() <= worker {
            all.resize_with(worker + 1, Kept::new);
        }
        let kept = &mut all[worker];
        if kept.first().is_some_and(|(since, _)| now - *since > KEEP) {
            kept.retain(|(since, connection)| {
                now - *since <= KEEP && !connection.sender.is_closed()
            });
        }
        if kept.len() < KEEP_COUNT {
            kept.push((now, connection));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.http1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes all that wait.
    pub(crate) fn clear(&self) {
        self.lock().clear();
        if let Ok(mut http2) = self.http2.try_lock() {
            *http2 = None;
        }
    }
}
