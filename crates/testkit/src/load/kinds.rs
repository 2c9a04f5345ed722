//! How each kind of request of a load is made, and what its answer must be.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::connection::{self, Body, Kept1};
use super::ledger::{Entry, Newest};
use super::{Closing, Kind, Shared};

const MEGABYTE: usize = 1 << 20;
const PARTS: usize = 10;
const PART: usize = 2000;
/// Whether page and style sheet differ because of a switch shows when the page is asked again.
const MOST_SWITCHES_IN_A_PAGE: usize = 3;

/// One HTTP request.
struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    /// The length of its body.
    size: usize,
    /// A body without a length that is sent in parts over this time.
    over: Option<Duration>,
}

impl<'a> Ask<'a> {
    fn get(path: &'a str) -> Self {
        Self::new("GET", path, 0)
    }

    fn new(method: &'a str, path: &'a str, size: usize) -> Self {
        Self {
            method,
            path,
            size,
            over: None,
        }
    }

    fn request(&self, shared: &Shared, number: u64) -> Request<Body> {
        let body = match self.over {
            Some(over) => parts(over),
            None => Full::new(Bytes::from(vec![b'x'; self.size])).boxed(),
        };
        Request::builder()
            .method(self.method)
            .uri(self.path)
            .header("host", shared.address.to_string())
            .header("x-number", number)
            .body(body)
            .unwrap()
    }
}

/// Sends one request and checks its answer.
pub(super) async fn ask(
    shared: &Shared,
    kind: Kind,
    entry: &mut Option<Entry>,
) -> Result<(), String> {
    match kind {
        Kind::Get => http1(shared, entry, Ask::get("/")).await,
        Kind::Api => http1(shared, entry, Ask::get("/api/")).await,
        Kind::Fresh => fresh(shared, entry).await,
        Kind::Page => page(shared, entry).await,
        Kind::Post => http1(shared, entry, Ask::new("POST", "/", MEGABYTE)).await,
        Kind::Slow => {
            let path = format!("/slow/{}", shared.plan.slow.as_millis());
            http1(shared, entry, Ask::get(&path)).await
        }
        Kind::Upload => {
            let ask = Ask {
                over: Some(shared.plan.long),
                ..Ask::new("PUT", "/", PARTS * PART)
            };
            http1(shared, entry, ask).await
        }
        Kind::Socket => socket(shared, entry).await,
        Kind::Stream => stream(shared, entry).await,
    }
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

async fn http1(shared: &Shared, entry: &mut Option<Entry>, ask: Ask<'_>) -> Result<(), String> {
    let mut kept = connection::kept1(shared).await?;
    let entry = entry.insert(shared.ledger.enter(&kept.newest));
    let response = send(shared, &mut kept, &ask, entry.number).await?;
    let closes = response.headers().contains_key(CONNECTION);
    check(shared, entry, response, ask.size).await?;
    put_back(shared, kept, closes)
}

async fn fresh(shared: &Shared, entry: &mut Option<Entry>) -> Result<(), String> {
    let mut once = connection::new1(shared).await?;
    let entry = entry.insert(shared.ledger.enter(&once.newest));
    let response = send(shared, &mut once, &Ask::get("/"), entry.number).await?;
    check(shared, entry, response, 0).await
}

async fn send(
    shared: &Shared,
    kept: &mut Kept1,
    ask: &Ask<'_>,
    number: u64,
) -> Result<Response<Incoming>, String> {
    let mut request = ask.request(shared, number);
    kept.cookie.show(&mut request);
    let response = kept.sender.send_request(request).await;
    let response = response.map_err(|error| format!("no answer: {error:?}"))?;
    kept.cookie.keep(&response);
    Ok(response)
}

/// The connection is for the next request, unless it closes.
fn put_back(shared: &Shared, kept: Kept1, closes: bool) -> Result<(), String> {
    match (closes, shared.plan.closing) {
        (true, Closing::Never) => Err("the connection is closed".to_owned()),
        (true, Closing::Announced) => Ok(()),
        (false, _) => {
            shared.kept1.lock().unwrap().push_back(kept);
            Ok(())
        }
    }
}

/// The answer is a whole one, of one release, that may answer.
async fn check(
    shared: &Shared,
    entry: &Entry,
    response: Response<Incoming>,
    size: usize,
) -> Result<(), String> {
    let (release, body) = whole(response).await?;
    if body != format!("release {release} took {size}") {
        return Err(format!("release {release} sends {body:?}"));
    }
    shared.ledger.judge(entry, release)
}

/// The release and the body of a good answer.
async fn whole(response: Response<Incoming>) -> Result<(u64, Bytes), String> {
    let status = response.status();
    let stamps: Vec<_> = response.headers().get_all("x-release").iter().collect();
    let stamp = match stamps[..] {
        [stamp] => stamp.to_str().ok().and_then(|stamp| stamp.parse().ok()),
        _ => None,
    };
    let body = response.into_body().collect().await;
    let body = body.map_err(|error| format!("{status} broken off: {error:?}"))?;
    let body = body.to_bytes();
    match stamp.filter(|_| status == 200) {
        Some(release) => Ok((release, body)),
        None => Err(format!("{status}: {}", String::from_utf8_lossy(&body))),
    }
}

/// A page and its style sheet. Where their releases differ there was a switch between the two: then
/// the page, asked again, is of the style sheet's release.
async fn page(shared: &Shared, entry: &mut Option<Entry>) -> Result<(), String> {
    let mut kept = connection::kept1(shared).await?;
    let mut seen = Vec::new();
    for _ in 0..MOST_SWITCHES_IN_A_PAGE {
        let page = part(shared, &mut kept, entry, "/page").await?;
        let sheet = part(shared, &mut kept, entry, "/static/site.css").await?;
        seen.extend([page, sheet]);
        if page == sheet {
            return put_back(shared, kept, false);
        }
    }
    Err(format!("mixed: pages and style sheets in turn {seen:?}"))
}

/// Asks for a part of a page and returns the release that its text names.
async fn part(
    shared: &Shared,
    kept: &mut Kept1,
    entry: &mut Option<Entry>,
    path: &str,
) -> Result<u64, String> {
    let ready = kept.sender.ready().await;
    ready.map_err(|error| format!("closed without a word in a page: {error:?}"))?;
    let entry = entry.insert(shared.ledger.enter(&kept.newest));
    let response = send(shared, kept, &Ask::get(path), entry.number).await?;
    let closes = response.headers().contains_key(CONNECTION);
    let (stamp, body) = whole(response).await?;
    if closes && shared.plan.closing == Closing::Announced {
        kept.renew(shared).await?;
    }
    let text = String::from_utf8_lossy(&body);
    let named: Vec<u64> = text.split(' ').filter_map(number).collect();
    match named[..] {
        [release, ref others @ ..] if others.iter().all(|other| *other == release) => {
            shared.ledger.judge(entry, release)?;
            Ok(release)
        }
        _ => Err(format!("mixed: release {stamp} sends {text:?}")),
    }
}

/// `3` or `3\n<link`.
fn number(word: &str) -> Option<u64> {
    word.lines().next()?.parse().ok()
}

async fn stream(shared: &Shared, entry: &mut Option<Entry>) -> Result<(), String> {
    for _ in 0..5 {
        let mut kept = connection::kept2(shared).await?;
        let entry = entry.insert(shared.ledger.enter(&kept.newest));
        let path = format!("http://{}/", shared.address);
        let ask = match entry.number % 2 {
            0 => Ask::get(&path),
            _ => Ask::new("POST", &path, 20_000),
        };
        let mut request = ask.request(shared, entry.number);
        kept.cookie.show(&mut request);
        let mut error = match kept.sender.try_send_request(request).await {
            Ok(response) => {
                kept.cookie.keep(&response);
                return check(shared, entry, response, ask.size).await;
            }
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

/// A WebSocket as the edge sees it: bytes after `101`.
async fn socket(shared: &Shared, entry: &mut Option<Entry>) -> Result<(), String> {
    let mut stream = BufReader::new(connection::connect(shared).await?);
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
