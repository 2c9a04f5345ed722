//! How each kind of request of a load is made, and what its answer must be.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::connection::{self, Body, Kept1};
use super::ledger::{Entry, Newest};
use super::site::Answer;
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
    /// A body that is sent in parts over this time.
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
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header("host", shared.address.to_string())
            .header("x-number", number);
        if self.over.is_some() && shared.site.wants_length {
            request = request.header(CONTENT_LENGTH, self.size);
        }
        request.body(body).unwrap()
    }
}

/// Sends one request and checks its answer.
pub(super) async fn ask(
    shared: &Shared,
    kind: Kind,
    entry: &mut Option<Entry>,
) -> Result<(), String> {
    let site = &shared.site;
    match kind {
        Kind::Get => http1(shared, entry, Ask::get(site.get)).await,
        Kind::Api => http1(shared, entry, Ask::get(site.api)).await,
        Kind::Fresh => fresh(shared, entry).await,
        Kind::Page => page(shared, entry).await,
        Kind::Post => http1(shared, entry, Ask::new("POST", site.store, MEGABYTE)).await,
        Kind::Slow => {
            let path = format!("/slow/{}", shared.plan.slow.as_millis());
            http1(shared, entry, Ask::get(&path)).await
        }
        Kind::Upload => {
            let ask = Ask {
                over: Some(shared.plan.long),
                ..Ask::new("PUT", site.store, PARTS * PART)
            };
            http1(shared, entry, ask).await
        }
        Kind::Socket => socket(shared, entry).await,
        Kind::Stream => stream(shared, entry).await,
    }
}

/// Chunked where nobody says the length; spread over the time.
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
    check(shared, entry, response, &ask).await?;
    put_back(shared, kept, closes)
}

async fn fresh(shared: &Shared, entry: &mut Option<Entry>) -> Result<(), String> {
    let mut once = connection::new1(shared).await?;
    let entry = entry.insert(shared.ledger.enter(&once.newest));
    let ask = Ask::get(shared.site.get);
    let response = send(shared, &mut once, &ask, entry.number).await?;
    check(shared, entry, response, &ask).await.map(|_| ())
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
    ask: &Ask<'_>,
) -> Result<u64, String> {
    let (head, body) = response.into_parts();
    let body = body.collect().await;
    let body = body.map_err(|error| format!("{} broken off: {error:?}", head.status))?;
    let answer = Answer {
        path: ask.path,
        sent: ask.size,
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
    };
    let release = (shared.site.release)(&answer)?;
    shared.ledger.judge(entry, release)?;
    Ok(release)
}

/// A page and what belongs to it. Where their releases differ there was a switch in between: then
/// all of it, asked again, is of one release.
async fn page(shared: &Shared, entry: &mut Option<Entry>) -> Result<(), String> {
    let mut kept = connection::kept1(shared).await?;
    let mut seen = Vec::new();
    for _ in 0..MOST_SWITCHES_IN_A_PAGE {
        let mut releases = Vec::new();
        for path in shared.site.page {
            releases.push(part(shared, &mut kept, entry, path).await?);
        }
        if releases.iter().all(|release| *release == releases[0]) {
            return put_back(shared, kept, false);
        }
        seen.push(releases);
    }
    Err(format!("mixed: pages and their parts are of {seen:?}"))
}

/// Asks for a part of a page and returns its release.
async fn part(
    shared: &Shared,
    kept: &mut Kept1,
    entry: &mut Option<Entry>,
    path: &str,
) -> Result<u64, String> {
    let ready = kept.sender.ready().await;
    ready.map_err(|error| format!("closed without a word in a page: {error:?}"))?;
    let entry = entry.insert(shared.ledger.enter(&kept.newest));
    let ask = Ask::get(path);
    let response = send(shared, kept, &ask, entry.number).await?;
    let closes = response.headers().contains_key(CONNECTION);
    let release = check(shared, entry, response, &ask).await?;
    if closes && shared.plan.closing == Closing::Announced {
        kept.renew(shared).await?;
    }
    Ok(release)
}

async fn stream(shared: &Shared, entry: &mut Option<Entry>) -> Result<(), String> {
    for _ in 0..5 {
        let mut kept = connection::kept2(shared).await?;
        let entry = entry.insert(shared.ledger.enter(&kept.newest));
        let path = |path| format!("http://{}{path}", shared.address);
        let (get, store) = (path(shared.site.get), path(shared.site.store));
        let ask = match entry.number % 2 {
            0 => Ask::get(&get),
            _ => Ask::new("POST", &store, 20_000),
        };
        let mut request = ask.request(shared, entry.number);
        kept.cookie.show(&mut request);
        let stream = kept.stream();
        let mut error = match kept.sender.try_send_request(request).await {
            Ok(response) => {
                kept.cookie.keep(&response);
                return check(shared, entry, response, &ask).await.map(|_| ());
            }
            Err(error) => error,
        };
        // Told to go elsewhere before anything was sent, or told that nobody has looked at it (RFC
        // 9113, section 6.8).
        let unseen = error.take_message().is_some() || connection::is_sent_away(error.error());
        if !unseen || shared.plan.closing == Closing::Never {
            return Err(format!("no answer to {stream}: {:?}", error.error()));
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
