//! A connection of HTTP/1: requests, and the rests between them.
//!
//! A parser and its buffers take some 20 KB, most kept connections wait most of the time. So they go
//! while a connection rests, and only its stream stays. When bytes come, a new parser begins with them:
//! nothing of a request had come, nothing of an answer was left, so the client cannot tell.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Parts};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::log_end;
use crate::client::io::{ClientIo, Patience, Phase};
use crate::request::body::ResponseBody;
use crate::request::pages;
use crate::request::proxy::{Client, answer};
use crate::request::switch::Passage;
use crate::settings::Limits;

/// What a connection is when it no longer speaks HTTP, or not for now.
enum Left<S> {
    Resting(ClientIo<S>),
    /// The target has agreed to speak something else.
    Switched(ClientIo<S>, Passage),
    Ended,
}

/// Serves a connection until it ends. `ahead` was read from it already.
pub(super) async fn serve<S>(client: Arc<Client>, stream: S, ahead: Bytes, patience: Patience)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let phase = Arc::new(Phase::default());
    let mut io = ClientIo::new(stream, ahead, patience, Some(Arc::clone(&phase)));
    loop {
        // In a box, so that what it takes is given back.
        match Box::pin(speak(&client, &phase, io)).await {
            Left::Ended => return,
            Left::Switched(io, passage) => return Box::pin(passage.run(io)).await,
            Left::Resting(resting) => io = resting,
        }
        if !matches!(io.rest().await, Ok(true)) {
            let _ = io.shutdown().await;
            return;
        }
    }
}

/// Answers requests for as long as they come.
async fn speak<S>(client: &Client, phase: &Arc<Phase>, io: ClientIo<S>) -> Left<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let passage = Mutex::new(None);
    let service = service_fn(|request| respond(client, phase, &passage, request));
    let mut connection =
        builder(&client.shared.settings.limits).serve_connection(TokioIo::new(io), service);
    let ended = poll_fn(|context| match Pin::new(&mut connection).poll(context) {
        Poll::Pending if phase.is_resting() => Poll::Ready(None),
        polled => polled.map(Some),
    });
    match ended.await {
        Some(Ok(())) => {
            let io = take_back(connection.into_parts());
            let passage = passage.into_inner().unwrap_or_else(PoisonError::into_inner);
            passage.map_or(Left::Ended, |passage| Left::Switched(io, passage))
        }
        Some(ended) => {
            log_end(ended);
            Left::Ended
        }
        None => {
            // Between two requests this ends the parser at once, without a word to the client.
            Pin::new(&mut connection).graceful_shutdown();
            match connection.without_shutdown().await {
                Ok(parts) => Left::Resting(take_back(parts)),
                Err(error) => {
                    log_end(Err(error));
                    Left::Ended
                }
            }
        }
    }
}

fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        // Its own timer would be set anew for each request.
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_size.max(8192))
        .half_close(true);
    builder
}

fn take_back<S, V>(parts: Parts<TokioIo<ClientIo<S>>, V>) -> ClientIo<S> {
    let mut io = parts.io.into_inner();
    io.unread(parts.read_buf);
    io
}

async fn respond(
    client: &Client,
    phase: &Arc<Phase>,
    passage: &Mutex<Option<Passage>>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    phase.request_began();
    let mut response = match is_smuggling(phase, &request) {
        true => refuse_smuggling(),
        false => answer(client, request).await,
    };
    if client.shared.leaving.is_cancelled() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    match response.body_mut().passage.take() {
        Some(agreed) => {
            phase.upgraded();
            *passage.lock().unwrap_or_else(PoisonError::into_inner) = Some(*agreed);
        }
        None => response.body_mut().phase = Some(Arc::clone(phase)),
    }
    Ok(response)
}

fn is_smuggling(phase: &Phase, request: &Request<Incoming>) -> bool {
    phase.is_ambiguous() && request.headers().contains_key(TRANSFER_ENCODING)
}

fn refuse_smuggling() -> Response<ResponseBody> {
    let mut response = pages::plain(StatusCode::BAD_REQUEST);
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}
