//! The connections of a load: those that are kept between two requests, and new ones.

use std::convert::Infallible;
use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::ledger::Newest;
use super::{Closing, Shared};

pub(super) type Body = BoxBody<Bytes, Infallible>;

/// An HTTP/1 connection between two requests, of one client.
pub(super) struct Kept1 {
    pub(super) sender: http1::SendRequest<Body>,
    pub(super) newest: Newest,
    pub(super) cookie: Cookie,
}

/// An HTTP/2 connection, of one client.
#[derive(Clone)]
pub(super) struct Kept2 {
    pub(super) sender: http2::SendRequest<Body>,
    pub(super) newest: Newest,
    pub(super) cookie: Cookie,
    opened: Instant,
    streams: Arc<AtomicUsize>,
}

/// By which a balancer knows a client again.
#[derive(Clone, Default)]
pub(super) struct Cookie(Arc<Mutex<Option<HeaderValue>>>);

/// So many HTTP/2 connections share the streams.
const HTTP2_CONNECTIONS: usize = 4;

impl Cookie {
    /// Shows it, as browsers do.
    pub(super) fn show<T>(&self, request: &mut Request<T>) {
        if let Some(cookie) = self.0.lock().unwrap().clone() {
            request.headers_mut().insert(COOKIE, cookie);
        }
    }

    /// Keeps that of an answer.
    pub(super) fn keep<T>(&self, response: &Response<T>) {
        let told = response.headers().get(SET_COOKIE);
        let pair = told.and_then(|told| told.to_str().ok()?.split(';').next());
        if let Some(pair) = pair {
            *self.0.lock().unwrap() = HeaderValue::from_str(pair).ok();
        }
    }
}

impl Kept2 {
    /// Counts a stream, and says which one it is, of how old a connection.
    pub(super) fn stream(&self) -> String {
        let count = self.streams.fetch_add(1, Ordering::Relaxed) + 1;
        format!("stream {count} after {:?}", self.opened.elapsed())
    }
}

impl Kept1 {
    /// The same client on a new connection.
    pub(super) async fn renew(&mut self, shared: &Shared) -> Result<(), String> {
        self.sender = new1(shared).await?.sender;
        Ok(())
    }
}

/// A kept connection, or a new one when all are in use. One that was closed without a word is a
/// failure: a request that was under way at that moment would have been lost.
pub(super) async fn kept1(shared: &Shared) -> Result<Kept1, String> {
    let kept = shared.kept1.lock().unwrap().pop_front();
    let Some(mut kept) = kept else {
        return new1(shared).await;
    };
    let ready = kept.sender.ready().await;
    ready.map_err(|error| format!("a kept connection was closed without a word: {error:?}"))?;
    Ok(kept)
}

pub(super) async fn new1(shared: &Shared) -> Result<Kept1, String> {
    let stream = connect(shared).await?;
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|error| format!("no connection: {error:?}"))?;
    tokio::spawn(connection);
    Ok(Kept1 {
        sender,
        newest: Newest::default(),
        cookie: Cookie::default(),
    })
}

pub(super) async fn kept2(shared: &Shared) -> Result<Kept2, String> {
    let mut all = shared.kept2.lock().await;
    if all.len() == HTTP2_CONNECTIONS
        && let Some(kept) = all.pop_front()
    {
        if !kept.sender.is_closed() {
            all.push_back(kept.clone());
            return Ok(kept);
        }
        if shared.plan.closing == Closing::Never {
            return Err("an HTTP/2 connection was closed".to_owned());
        }
    }
    let stream = connect(shared).await?;
    let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|error| format!("no connection: {error:?}"))?;
    tokio::spawn(connection);
    let kept = Kept2 {
        sender,
        newest: Newest::default(),
        cookie: Cookie::default(),
        opened: Instant::now(),
        streams: Arc::default(),
    };
    all.push_back(kept.clone());
    Ok(kept)
}

/// Whether the other end said by GOAWAY that it has not looked at the stream. No other error reads so:
/// a stream that it has looked at and not answered ends with the connection.
pub(super) fn is_sent_away(error: &hyper::Error) -> bool {
    let cause = error.source().map(|cause| format!("{cause:?}"));
    cause.is_some_and(|cause| cause.contains("GoAway") && cause.contains("NO_ERROR, Remote"))
}

pub(super) async fn connect(shared: &Shared) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(shared.address).await;
    let stream = stream.map_err(|error| format!("no connection: {error}"))?;
    stream.set_nodelay(true).unwrap();
    shared.connections.fetch_add(1, Ordering::Relaxed);
    Ok(stream)
}
