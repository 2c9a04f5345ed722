//! Serves the counters over HTTP, for Prometheus to fetch: `GET /metrics`, and nothing else.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::edge::Edge;
use crate::error::EdgeError;

/// How long a scrape may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Edge {
    /// Listens where the settings say, if they do.
    pub(crate) async fn open_metrics(&self) -> Result<(), EdgeError> {
        let Some(address) = self.running().shared.settings.metrics else {
            return Ok(());
        };
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| EdgeError::Metrics { address, source })?;
        tokio::spawn(serve(self.clone(), listener));
        Ok(())
    }

    /// The same, as soon as the edge before has let go of the address.
    pub(crate) fn inherit_metrics(&self) {
        let edge = self.clone();
        tokio::spawn(async move {
            while let Err(error) = edge.open_metrics().await {
                tracing::debug!(%error, "not yet");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
}

async fn serve(edge: Edge, listener: TcpListener) {
    let leaving = edge.running().shared.leaving.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = leaving.cancelled() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                tokio::spawn(answer(edge.clone(), stream, address));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn answer(edge: Edge, stream: TcpStream, address: SocketAddr) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&edge, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, client = %address, "a scrape broke off");
    }
}

fn respond(edge: &Edge, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    }
    if request.method() != Method::GET {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return response;
    }
    let form = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(CONTENT_TYPE, form);
    *response.body_mut() = Full::from(edge.metrics());
    response
}
