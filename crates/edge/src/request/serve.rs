//! One HTTP connection of a client, from its first byte to its last.
//!
//! What becomes of each request is [`crate::request::proxy`]'s.

mod http1;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::io::{ClientIo, Patience};
use crate::client::linger::{Lent, linger};
use crate::request::proxy::{Client, answer};

/// Serves a connection until it ends. `ahead` was read from it already.
pub(crate) async fn serve<S>(client: Arc<Client>, stream: S, ahead: Bytes, http2: bool)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = &client.shared.settings.limits;
    let patience = limits.patience();
    match http2 {
        false => {
            let over = client.shared.over.clone();
            tokio::select! {
                () = http1::serve(client, stream, ahead, patience) => {}
                () = over.cancelled() => {}
            }
        }
        true => Box::pin(serve_http2(client, stream, ahead, patience)).await,
    }
}

async fn serve_http2<S>(client: Arc<Client>, stream: S, ahead: Bytes, patience: Patience)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let over = client.shared.over.clone();
    let (stream, returned) = Lent::new(stream);
    serve_streams(client, stream, ahead, patience).await;
    if let Ok(stream) = returned.await {
        // The client learns which of its streams were not looked at, though it opens more.
        tokio::select! {
            () = linger(stream) => {}
            () = over.cancelled() => {}
        }
    }
}

/// Returns when the connection has nothing more to say.
async fn serve_streams<S>(client: Arc<Client>, stream: S, ahead: Bytes, patience: Patience)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let shared = Arc::clone(&client.shared);
    let limits = &shared.settings.limits;
    let io = TokioIo::new(ClientIo::new(stream, ahead, patience, None));
    let service = service_fn(move |request| {
        let client = Arc::clone(&client);
        async move { Ok::<_, Infallible>(answer(&client, request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.head_size as u32)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1 << 20)
        .max_send_buf_size(256 * 1024)
        .keep_alive_interval(limits.idle.get())
        .keep_alive_timeout(Duration::from_secs(20))
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = shared.leaving.cancelled() => connection.as_mut().graceful_shutdown(),
        () = shared.over.cancelled() => return,
    }
    tokio::select! {
        ended = connection => log_end(ended),
        () = shared.over.cancelled() => {}
    }
}

fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a client's connection ended");
    }
}
