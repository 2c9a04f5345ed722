//! How each kind of request of a load is made, and what its answer must be.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::ledger::{Entry, Newest};
use super::load::{Closing, Kind, Shared};

type Body = BoxBody<Bytes, Infallible>;

/// An HTTP/1 connection between two requests.
pub(super) struct Kept1 {
    sender: http1::SendRequest<Body>,
    newest: Newest,
}

/// An HTTP/2 connection.
#[derive(Clone)]
pub(super) struct Kept2 {
    sender: http2::SendRequest<Body>,
    newest: Newest,
}

/// So many HTTP/2 connections share the streams.
const HTTP2_CONNECTIONS: usize = 4;
const MEGABYTE: usize = 1 << 20;
const PARTS: usize = 10;
const PART: usize = 2000;

/// Sends one request and checks its answer.
pub(super) async fn ask(
    shared: &Shared,
    kind: Kind,
    entry: &mut Option<Entry>,
) -> Result<(), String> {
    match kind {
        Kind::Get => http1(shared, entry, "GET", "/", (empty(), 0)).await,
        Kind::Post => http1(shared, entry, "POST", "/", (full(MEGABYTE), MEGABYTE)).await,
        Kind::Slow => {
            let path = format!("/slow/{}", shared.plan.slow.as_millis());
            http1(shared, entry, "GET", &path, (empty(), 0)).await
        }
        Kind::Upload => {
            let parts = (parts(shared.plan.long), PARTS * PART);
            http1(shared, entry, "PUT", "/", parts).await
        }
        Kind::Socket => socket(shared, entry).await,
        Kind::Stream => stream(shared, entry).await,
    }
}

fn empty() -> Body {
    Full::default().boxed()
}

fn full(size: usize) -> Body {
    Full::new(Bytes::from(vec![b'x'; size])).boxed()
}

/// Without a length, so chunked; spread over the time.
fn parts(over: Duration) -> Body {
    let parts = futures_util::stream::unfold(0, move |count| async move {
        if count == PARTS {
            return None;
        }
        tokio::time::sleep(over / PARTS as u32).await;
        let part = Frame::data(Bytes::from(vec![b'x'; PART]));
        Some((Ok(part), count + 1))
    });
    let parts =
        Box::pin(parts) as std::pin::Pin<Box<dyn futures_util::Stream<Item = _> + Send + Sync>>;
    StreamBody::new(parts).boxed()
}

fn request(shared: &Shared, method: &str, path: &str, body: Body, number: u64) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", shared.address.to_string())
        .header("x-number", number)
        .body(body)
        .unwrap()
}

async fn http1(
    shared: &Shared,
    entry: &mut Option<Entry>,
    method: &str,
    path: &str,
    (body, size): (Body, usize),
) -> Result<(), String> {
    let mut kept = connection1(shared).await?;
    let entry = entry.insert(shared.ledger.enter(&kept.newest));
    let request = request(shared, method, path, body, entry.number);
    let sent = kept.sender.send_request(request).await;
    let response = sent.map_err(|error| format!("no answer: {error:?}"))?;
    let closes = response.headers().contains_key("connection");
    check(shared, entry, response, size).await?;
    match (closes, shared.plan.closing) {
        (true, Closing::Never) => return Err("the connection is closed".to_owned()),
        (true, Closing::Announced) => {}
        (false, _) => shared.kept1.lock().unwrap().push_back(kept),
    }
    Ok(())
}

/// A kept connection, or a new one when all are in use. One that was closed without a word is a
/// failure: a request that was under way at that moment would have been lost.
async fn connection1(shared: &Shared) -> Result<Kept1, String> {
    let kept = shared.kept1.lock().unwrap().pop_front();
    if let Some(mut kept) = kept {
        let ready = kept.sender.ready().await;
        ready.map_err(|error| format!("a kept connection was closed without a word: {error:?}"))?;
        return Ok(kept);
    }
    let stream = connect(shared).await?;
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|error| format!("no connection: {error:?}"))?;
    tokio::spawn(connection);
    Ok(Kept1 {
        sender,
        newest: Newest::default(),
    })
}

async fn connect(shared: &Shared) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(shared.address).await;
    let stream = stream.map_err(|error| format!("no connection: {error}"))?;
    stream.set_nodelay(true).unwrap();
    shared.connections.fetch_add(1, Ordering::Relaxed);
    Ok(stream)
}

/// The answer is a whole one, of one release, that may answer.
async fn check(
    shared: &Shared,
    entry: &Entry,
    response: Response<Incoming>,
    size: usize,
) -> Result<(), String> {
    let status = response.status();
    let stamps: Vec<_> = response.headers().get_all("x-release").iter().collect();
    let stamp = match stamps[..] {
        [stamp] => stamp.to_str().ok().and_then(|stamp| stamp.parse().ok()),
        _ => None,
    };
    let body = response.into_body().collect().await;
    let body = body.map_err(|error| format!("{status} broken off: {error:?}"))?;
    let body = body.to_bytes();
    let Some(release) = stamp.filter(|_| status == 200) else {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)));
    };
    if body != format!("release {release} took {size}") {
        return Err(format!("release {release} sends {body:?}"));
    }
    shared.ledger.judge(entry, release)
}

async fn stream(shared: &Shared, entry: &mut Option<Entry>) -> Result<(), String> {
    for _ in 0..5 {
        let mut kept = connection2(shared).await?;
        let entry = entry.insert(shared.ledger.enter(&kept.newest));
        let (method, size) = match entry.number % 2 {
            0 => ("GET", 0),
            _ => ("POST", 20_000),
        };
        let path = format!("http://{}/", shared.address);
        let body = if size == 0 { empty() } else { full(size) };
        let request = request(shared, method, &path, body, entry.number);
        let mut error = match kept.sender.try_send_request(request).await {
            Ok(response) => return check(shared, entry, response, size).await,
            Err(error) => error,
        };
        // Told to go elsewhere before anything was sent (RFC 9113, section 6.8).
        let unsent = error.take_message().is_some();
        if !unsent || shared.plan.closing == Closing::Never {
            return Err(format!("no answer: {:?}", error.error()));
        }
    }
    Err("no HTTP/2 connection takes a stream".to_owned())
}

async fn connection2(shared: &Shared) -> Result<Kept2, String> {
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
    };
    all.push_back(kept.clone());
    Ok(kept)
}

/// A WebSocket as the edge sees it: bytes after `101`.
async fn socket(shared: &Shared, entry: &mut Option<Entry>) -> Result<(), String> {
    let mut stream = BufReader::new(connect(shared).await?);
    let entry = entry.insert(shared.ledger.enter(&Newest::default()));
    let head = format!(
        "GET /socket HTTP/1.1\r\nhost: {}\r\nx-number: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
        shared.address, entry.number
    );
    let broken = |error: std::io::Error| format!("broken off: {error}");
    stream.write_all(head.as_bytes()).await.map_err(broken)?;
    let mut line = String::new();
    stream.read_line(&mut line).await.map_err(broken)?;
    if !line.starts_with("HTTP/1.1 101") {
        return Err(format!("no WebSocket: {line}"));
    }
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).await.map_err(broken)? == 0 {
            return Err("broken off in the head".to_owned());
        }
    }
    line.clear();
    stream.read_line(&mut line).await.map_err(broken)?;
    let release = line.trim().strip_prefix("release ").unwrap_or_default();
    let release = release.parse().map_err(|_| format!("greeted {line:?}"))?;
    shared.ledger.judge(entry, release)?;
    for count in 0..PARTS {
        tokio::time::sleep(shared.plan.long / PARTS as u32).await;
        let word = format!("word {count} of {}\n", entry.number);
        stream.write_all(word.as_bytes()).await.map_err(broken)?;
        line.clear();
        stream.read_line(&mut line).await.map_err(broken)?;
        if line != word {
            return Err(format!("said {word:?} and heard {line:?}"));
        }
    }
    Ok(())
}
