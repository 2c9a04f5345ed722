//! How a byte stream to an engine is opened. One is opened for each request: an engine's answers
//! take longer than that, and no request meets a connection that died unseen.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::tls::{TlsClient, TlsError, TlsFiles};

/// A stream of bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// A stream that is being opened.
pub type Connecting<'a> =
    Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send + 'a>>;

/// Opens streams to one engine. The time it takes is limited by [`crate::Patience::connect`].
pub trait Connector: Send + Sync + 'static {
    /// Opens one stream.
    fn connect(&self) -> Connecting<'_>;
}

/// Connects to a Unix socket.
#[derive(Debug, Clone)]
pub struct UnixConnector(PathBuf);

impl UnixConnector {
    /// A connector to this socket.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl Connector for UnixConnector {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async {
            let stream = UnixStream::connect(&self.0).await?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }
}

/// Connects to a TCP port.
pub struct TcpConnector {
    host: String,
    port: u16,
    tls: Option<TlsClient>,
}

impl TcpConnector {
    /// Connects without TLS: whoever can reach the port, or listen on the way, owns the engine's
    /// machine.
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: None,
        }
    }

    /// Connects with TLS: both sides prove who they are.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub fn with_tls(
        host: impl Into<String>,
        port: u16,
        files: &TlsFiles,
    ) -> Result<Self, TlsError> {
        let host = host.into();
        Ok(Self {
            tls: Some(TlsClient::new(&host, files)?),
            host,
            port,
        })
    }
}

impl Connector for TcpConnector {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            match &self.tls {
                Some(tls) => Ok(Box::new(tls.wrap(stream).await?) as Box<dyn ByteStream>),
                None => Ok(Box::new(stream) as Box<dyn ByteStream>),
            }
        })
    }
}
