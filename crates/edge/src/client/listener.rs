//! Listening sockets, which come and go while the edge runs, and what comes in on them.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::acme::ACME_TLS;
use crate::client::io::{ClientIo, next_bytes};
use crate::client::proxy_protocol::{self, Parsed};
use crate::client::tls;
use crate::client::workers::{Worker, Workers};
use crate::edge::shared::Shared;
use crate::edge::table::Speaks;
use crate::request::forward::Origin;
use crate::request::proxy::Client;
use crate::request::serve;
use crate::route::Listen;
use crate::tcp;

const BACKLOG: i32 = 4096;
/// The first bytes of every HTTP/2 connection (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The open listening sockets. Every worker takes connections from each.
pub(crate) struct Listeners {
    shared: Arc<Shared>,
    workers: Workers,
    open: Mutex<HashMap<Listen, Open>>,
}

/// What a connection needs to know of its port.
#[derive(Clone)]
struct Port {
    listen: Listen,
    tls: Arc<ServerConfig>,
}

struct Open {
    socket: Arc<std::net::TcpListener>,
    stop: CancellationToken,
    /// One on each worker, each with the socket in its hands until it ends.
    accepting: Vec<JoinHandle<()>>,
}

impl Listeners {
    pub(crate) fn new(shared: Arc<Shared>, workers: Workers) -> Self {
        Self {
            shared,
            workers,
            open: Mutex::default(),
        }
    }

    /// Listens on the address if that is not done yet. Says whether it was not.
    pub(crate) fn open(&self, listen: Listen) -> io::Result<bool> {
        if self.lock().contains_key(&listen) {
            return Ok(false);
        }
        self.adopt(listen, bind(listen)?)?;
        Ok(true)
    }

    /// Takes connections from a socket that listens already.
    pub(crate) fn adopt(&self, listen: Listen, socket: std::net::TcpListener) -> io::Result<()> {
        let mut open = Open {
            socket: Arc::new(socket),
            stop: CancellationToken::new(),
            accepting: Vec::new(),
        };
        let port = Port {
            listen,
            tls: Arc::new(tls::config(&self.shared, listen)),
        };
        for (worker, handle) in self.workers.each() {
            let socket = {
                let _inside = handle.enter();
                TcpListener::from_std(open.socket.try_clone()?)?
            };
            let door = Door {
                shared: Arc::clone(&self.shared),
                port: port.clone(),
                worker,
            };
            let accepting = door.accept(socket, open.stop.clone());
            let accepting = self.shared.tasks.spawn_on(accepting, handle);
            open.accepting.push(accepting);
        }
        self.lock().insert(listen, open);
        Ok(())
    }

    /// Closes the sockets that no route needs. When it returns, their addresses are free.
    pub(crate) async fn close_unused(&self) {
        let mut wanted = self.shared.acme.challenges.all_ahead();
        wanted.extend(self.shared.table.read().listens());
        let unused: Vec<Open> = {
            let mut open = self.lock();
            let unused = open.extract_if(|listen, _| !wanted.contains(listen));
            unused.map(|(_, open)| open).collect()
        };
        unused.iter().for_each(|open| open.stop.cancel());
        let accepting = unused.into_iter().flat_map(|open| open.accepting);
        futures_util::future::join_all(accepting).await;
    }

    /// Takes no more connections anywhere.
    pub(crate) fn close_all(&self) {
        for (_, open) in self.lock().drain() {
            open.stop.cancel();
        }
    }

    /// The sockets of routes, to hand over.
    pub(crate) fn sockets(&self) -> Vec<(Listen, Arc<std::net::TcpListener>)> {
        let wanted: Vec<Listen> = self.shared.table.read().listens().collect();
        let open = self.lock();
        let sockets = open.iter().filter(|(listen, _)| wanted.contains(listen));
        sockets
            .map(|(listen, open)| (*listen, Arc::clone(&open.socket)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Listen, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port alone listens on all addresses of both families, or of IPv4 where there is no IPv6.
fn bind(listen: Listen) -> io::Result<std::net::TcpListener> {
    let bound = bind_to(listen.0);
    match bound {
        Err(error)
            if listen.0.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && error.raw_os_error() == no_ipv6() =>
        {
            bind_to(SocketAddr::new(
                Ipv4Addr::UNSPECIFIED.into(),
                listen.0.port(),
            ))
        }
        bound => bound,
    }
}

fn no_ipv6() -> Option<i32> {
    Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn bind_to(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Where connections come in on one worker.
#[derive(Clone)]
struct Door {
    shared: Arc<Shared>,
    port: Port,
    worker: Worker,
}

impl Door {
    async fn accept(self, socket: TcpListener, stop: CancellationToken) {
        let shared = Arc::clone(&self.shared);
        loop {
            let accepting = async {
                // Beyond the limit connections wait in the kernel's queue.
                let permit = Arc::clone(&shared.connections).acquire_owned().await;
                (permit, socket.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = accepting => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let serving = take(self.clone(), stream, address);
                    shared.tasks.spawn(async move {
                        serving.await;
                        drop(permit);
                    });
                }
                Err(error) => rest_after(self.port.listen, &error).await,
            }
        }
    }
}

/// A connection that is gone before it is taken is nothing; without file handles, waiting helps.
async fn rest_after(listen: Listen, error: &io::Error) {
    if matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    ) {
        return;
    }
    tracing::warn!(%listen, %error, "cannot take a connection");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn take(door: Door, mut stream: TcpStream, address: SocketAddr) {
    let Door {
        shared,
        port,
        worker,
    } = door;
    let listen = port.listen;
    let address = canonical(address);
    let Some(_slot) = shared
        .clients
        .enter(address.ip(), shared.settings.limits.connections_per_client)
    else {
        tracing::debug!(client = %address, "closed: the client has too many connections");
        return;
    };
    let _ = stream.set_nodelay(true);
    let Ok(server) = stream.local_addr().map(canonical) else {
        return;
    };
    let patience = shared.settings.limits.head_time.get();
    let Ok(Ok(Start { client, ahead })) =
        tokio::time::timeout(patience, start(&shared, &mut stream, address)).await
    else {
        return;
    };
    match speaks(&shared, listen) {
        Some(Speaks::Tcp) => {
            let caller = tcp::Caller {
                stream,
                ahead,
                client,
                server,
            };
            Box::pin(tcp::serve(&shared, listen, caller)).await;
        }
        Some(spoken) => {
            let client = Arc::new(Client {
                origin: origin(&shared, client, server).with_tls(spoken == Speaks::Https),
                shared,
                listen,
                worker,
            });
            match client.origin.tls {
                true => Box::pin(serve_tls(client, stream, ahead, port.tls)).await,
                false => Box::pin(serve_http(client, stream, ahead)).await,
            }
        }
        None => {}
    }
}

/// A port may listen ahead of its first route. That can come between the two looks, and is found
/// by the third: a port for TLS is never taken for one without.
fn speaks(shared: &Shared, listen: Listen) -> Option<Speaks> {
    let ahead = || match shared.acme.challenges.ahead(listen)? {
        true => Some(Speaks::Https),
        false => Some(Speaks::Http),
    };
    let routed = || shared.table.speaks(listen);
    routed().or_else(ahead).or_else(routed)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn origin(shared: &Shared, client: SocketAddr, server: SocketAddr) -> Origin {
    let mut trusted = shared.settings.trusted.iter();
    let mut origin = Origin::new(client, server);
    origin.trusted = trusted.any(|network| network.contains(client.ip()));
    origin
}

/// Who the client is, and what was read to know it.
struct Start {
    client: SocketAddr,
    ahead: Bytes,
}

async fn start(shared: &Shared, stream: &mut TcpStream, address: SocketAddr) -> io::Result<Start> {
    let expected = shared
        .settings
        .proxy_protocol_from
        .iter()
        .any(|network| network.contains(address.ip()));
    if !expected {
        return Ok(Start {
            client: address,
            ahead: Bytes::new(),
        });
    }
    let mut bytes = BytesMut::with_capacity(512);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match proxy_protocol::parse(&bytes) {
            Parsed::Partial => {}
            Parsed::Bad => return Err(io::ErrorKind::InvalidData.into()),
            Parsed::Header { length, client } => {
                let ahead = bytes.split_off(length).freeze();
                return Ok(Start {
                    client: client.unwrap_or(address),
                    ahead,
                });
            }
        }
    }
}

async fn serve_tls(
    client: Arc<Client>,
    stream: TcpStream,
    ahead: Bytes,
    config: Arc<ServerConfig>,
) {
    let patience = client.shared.settings.limits.patience();
    let stream = ClientIo::new(stream, ahead, patience, None);
    let handshake = Box::pin(TlsAcceptor::from(config).accept(stream));
    // In a box, as it is large and handed on from step to step.
    let stream = match tokio::time::timeout(patience.head, handshake).await {
        Ok(Ok(stream)) => Box::new(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, client = %client.origin.client, "no TLS came about");
            return;
        }
        Err(_) => return,
    };
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => serve::serve(client, stream, Bytes::new(), true).await,
        // A CA that has seen what it wanted. No application data follows (RFC 8737, section 3).
        Some(ACME_TLS) => {}
        _ => serve_http(client, stream, Bytes::new()).await,
    }
}

async fn serve_http<S>(client: Arc<Client>, mut stream: S, ahead: Bytes)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = &client.shared.settings.limits;
    // A client that connects ahead of its need may wait as long as one between two requests.
    let looked = tokio::time::timeout(limits.idle.get(), look_ahead(&mut stream, ahead));
    let looked = tokio::select! {
        looked = looked => looked,
        () = client.shared.over.cancelled() => return,
    };
    if let Ok(Ok((ahead, http2))) = looked {
        serve::serve(client, stream, ahead, http2).await;
    }
}

/// Reads as much as tells HTTP/1 from HTTP/2.
async fn look_ahead<S: AsyncRead + Unpin>(
    stream: &mut S,
    ahead: Bytes,
) -> io::Result<(Bytes, bool)> {
    let mut bytes = BytesMut::from(ahead);
    loop {
        let shared = bytes.len().min(HTTP2_PREFACE.len());
        if !bytes.is_empty() && bytes[..shared] != HTTP2_PREFACE[..shared] {
            return Ok((bytes.freeze(), false));
        }
        if shared == HTTP2_PREFACE.len() {
            return Ok((bytes.freeze(), true));
        }
        let next = next_bytes(stream).await?;
        if next.is_empty() {
            return Ok((bytes.freeze(), false));
        }
        bytes.extend_from_slice(&next);
    }
}
