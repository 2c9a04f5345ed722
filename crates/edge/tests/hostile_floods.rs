//! Clients that send without an end: the edge stays small, serves others meanwhile, and takes no
//! more than the standard makes it take.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::frames::*;
use common::{Bench, Target, ask, client, get, memory};
use edge::Span;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Whether a flood may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It is ended, or read no more, long before [`MOST`].
    Stopped,
    /// It may be read to the end, as each part of it is done with at once.
    Taken,
}

use Then::{Stopped, Taken};

/// So many bytes are sent.
const MOST: usize = 48 << 20;
/// The edge may grow by so much, with its targets and clients in the same process.
const GROWTH: usize = 48 << 20;
/// So long a flood lasts, and another client waits at the most.
const LONG: Duration = Duration::from_secs(2);
/// A write that waits so long is read no more.
const BLOCKED: Duration = Duration::from_millis(700);

type Flood = (&'static str, Vec<u8>, Vec<u8>, Then);

fn of_http1() -> Vec<Flood> {
    let chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let flood = |name, begin: &[u8], part: &[u8], then| (name, begin.to_vec(), part.to_vec(), then);
    let last = [&chunked[..], b"0\r\n"].concat();
    let extension = [&chunked[..], b"5;"].concat();
    vec![
        flood("empty lines", b"", b"\r\n", Stopped),
        flood("a method", b"", b"GET", Stopped),
        flood("a target", b"GET /", b"yyyyyyyy", Stopped),
        flood(
            "fields",
            b"GET / HTTP/1.1\r\nHost: a\r\n",
            b"X: y\r\n",
            Stopped,
        ),
        flood(
            "a field",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
            b"yyyyyyyy",
            Stopped,
        ),
        flood(
            "a name",
            b"GET / HTTP/1.1\r\nHost: a\r\n",
            b"yyyyyyyy",
            Stopped,
        ),
        flood("a chunk's extension", &extension, b"yyyyyyyy", Stopped),
        flood(
            "extensions of chunks",
            chunked,
            b"1;yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\nx\r\n",
            Stopped,
        ),
        flood("trailers", &last, b"X: y\r\n", Stopped),
        flood("chunks of a byte", chunked, b"1\r\nx\r\n", Taken),
        flood(
            "requests whose answers are not read",
            b"",
            b"GET /bytes/1000 HTTP/1.1\r\nHost: a\r\n\r\n",
            Stopped,
        ),
    ]
}

fn of_http2() -> Vec<Flood> {
    let good = request("GET", &[]);
    let begun = frame(HEADERS, END_STREAM, 1, &good);
    let open = frame(HEADERS, END_HEADERS, 1, &request("POST", &[]));
    let start = |more: &[u8]| [PREFACE, &frame(SETTINGS, 0, 0, b""), more].concat();
    let hidden = frame(DATA, PADDED, 1, &[&[255][..], &[0; 255]].concat());
    vec![
        ("settings", start(b""), frame(SETTINGS, 0, 0, b""), Stopped),
        (
            "settings that change",
            start(b""),
            frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 16, 0]),
            Stopped,
        ),
        ("pings", start(b""), frame(PING, 0, 0, b"12345678"), Stopped),
        (
            "empty continuations",
            start(&begun),
            frame(CONTINUATION, 0, 1, b""),
            Stopped,
        ),
        (
            "continuations",
            start(&begun),
            frame(CONTINUATION, 0, 1, &fields(&[("x", "yyyyyyyyyyyyyyyy")])),
            Stopped,
        ),
        ("empty data", start(&open), frame(DATA, 0, 1, b""), Taken),
        ("padding", start(&open), hidden, Taken),
        (
            "priorities",
            start(&open),
            frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
            Taken,
        ),
        (
            "unknown frames",
            start(b""),
            frame(0xee, 0, 0, b"12345678"),
            Taken,
        ),
        (
            "windows",
            start(b""),
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
            Taken,
        ),
        (
            "data beyond the window",
            start(&open),
            frame(DATA, 0, 1, &[0; 16_000]),
            Stopped,
        ),
    ]
}

/// Streams one after the other, each made by the function.
fn numbered(each: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    let start = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    let streams = (1..200_000).step_by(2).map(each);
    let mut all = start;
    for stream in streams {
        all.extend(stream);
        if all.len() > MOST / 4 {
            break;
        }
    }
    all
}

/// Floods in which no two parts are the same.
fn of_streams() -> Vec<Flood> {
    let good = request("GET", &[]);
    let reset = |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    let whole = |stream| frame(HEADERS, WHOLE, stream, &good);
    // A field of 4000 bytes enters the table once and is named by a byte from then on.
    let mut large = vec![0x40, 1, b'x', 0x7f];
    large.extend([0xa1, 0x1e]);
    large.extend([b'y'; 4000]);
    let mut bomb = request("GET", &[]);
    bomb.extend(large);
    bomb.extend([0xbe; 12_000]);
    let bad = request("GET", &[("connection", "close")]);
    let slow = fields(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/slow/60000"),
        (":authority", "a"),
    ]);
    vec![
        (
            "resets",
            numbered(|id| [whole(id), reset(id)].concat()),
            Vec::new(),
            Stopped,
        ),
        (
            "errors of streams",
            numbered(|id| frame(HEADERS, WHOLE, id, &bad)),
            Vec::new(),
            Stopped,
        ),
        (
            "windows that overflow",
            numbered(|id| {
                [
                    frame(HEADERS, END_HEADERS, id, &good),
                    frame(WINDOW_UPDATE, 0, id, &[0x7f, 255, 255, 255]),
                ]
                .concat()
            }),
            Vec::new(),
            Stopped,
        ),
        (
            "streams that do not end",
            numbered(|id| frame(HEADERS, END_HEADERS, id, &request("POST", &[]))),
            Vec::new(),
            Stopped,
        ),
        (
            "streams that wait",
            numbered(|id| frame(HEADERS, WHOLE, id, &slow)),
            Vec::new(),
            Stopped,
        ),
        (
            "heads that are large when unpacked",
            numbered(|id| frame(HEADERS, WHOLE, id, &bomb)),
            Vec::new(),
            Taken,
        ),
    ]
}

/// Sends a flood and reads nothing. Says how much was taken, and how it ended.
async fn send(bench: &Bench, begin: &[u8], part: &[u8]) -> (usize, bool) {
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let parts = part.repeat(64 * 1024 / part.len().max(1));
    let mut sent = 0;
    let sending = async {
        for piece in begin.chunks(64 * 1024) {
            tokio::time::timeout(BLOCKED, stream.write_all(piece)).await??;
            sent += piece.len();
        }
        while !parts.is_empty() && sent < MOST {
            tokio::time::timeout(BLOCKED, stream.write_all(&parts)).await??;
            sent += parts.len();
        }
        Ok::<_, std::io::Error>(())
    };
    let all = matches!(tokio::time::timeout(LONG, sending).await, Ok(Ok(())));
    (sent, all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_are_stopped_or_done_with_in_bounded_memory() {
    let bench = Bench::with(|settings| settings.limits.stall = Span::seconds(2)).await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let mut wrong = Vec::new();
    for (name, begin, part, then) in [of_http1(), of_http2(), of_streams()].concat() {
        target.seen.lock().unwrap().clear();
        let before = memory();
        let flooding = send(&bench, &begin, &part);
        let asking = async {
            let started = Instant::now();
            tokio::time::sleep(Duration::from_millis(300)).await;
            let answer = ask(&mut client(bench.address).await, get("/")).await;
            (answer.map(|(status, ..)| status), started.elapsed())
        };
        let ((sent, all), (answer, waited)) = tokio::join!(flooding, asking);
        let grown = memory().saturating_sub(before);
        println!("{name}: {sent} bytes taken, {grown} bytes grown, another waited {waited:?}");
        let fits = (then == Taken || !all) && grown < GROWTH;
        if !fits || answer != Ok(200) || waited > LONG {
            wrong.push(format!(
                "{name}: {sent} taken, all {all}, {grown} grown, {answer:?} after {waited:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    let started = Instant::now();
    while bench.edge.status().connections > 0 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "connections are left over"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
