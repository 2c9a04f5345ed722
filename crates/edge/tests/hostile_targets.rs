//! Targets that answer with what no server should send: the client gets a good answer, a bad gateway,
//! or an answer that is visibly broken off; never one that is cut and looks whole.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Bench, ask, client, get};
use edge::Span;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a client must get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// A page of the edge: nothing of the answer could be passed on.
    BadGateway,
    /// This status and this body, whole.
    Whole(u16, &'static str),
    /// A head and a body that does not end, or a close before the head.
    BrokenOff,
    /// 502, or an answer that breaks off.
    Either,
}

use Then::{BadGateway, BrokenOff, Either, Whole};

/// (what the target does, its bytes before it closes, what the client gets)
const CASES: &[(&str, &[u8], Then)] = &[
    ("closes at once", b"", BadGateway),
    ("breaks off in the status line", b"HTTP/1.1 20", BadGateway),
    ("breaks off in the head", b"HTTP/1.1 200 OK\r\nContent-Le", BadGateway),
    ("speaks something else", b"SSH-2.0-OpenSSH_9.2\r\n", BadGateway),
    ("speaks HTTP/0.9", b"hello", BadGateway),
    ("speaks TLS", b"\x15\x03\x01\x00\x02\x02\x46", BadGateway),
    ("speaks HTTP/2", b"\0\0\0\x04\0\0\0\0\0", BadGateway),
    ("has a later version", b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok", BadGateway),
    ("has no status", b"HTTP/1.1 \r\nContent-Length: 2\r\n\r\nok", BadGateway),
    ("has a status of letters", b"HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\nok", BadGateway),
    ("has a status that is too small", b"HTTP/1.1 020 OK\r\nContent-Length: 2\r\n\r\nok", BadGateway),
    ("has a status that is too long", b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", BadGateway),
    ("has no reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", Whole(200, "ok")),
    ("has an older version", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Whole(200, "ok")),
    ("names two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", BadGateway),
    ("names a length that is none", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab", BadGateway),
    ("names a length with a sign", b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab", BadGateway),
    ("names a negative length", b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab", BadGateway),
    ("names a length that overflows", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nab", BadGateway),
    ("names a larger length", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", BrokenOff),
    ("names length and coding", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", Whole(200, "abcde")),
    ("names coding and length", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", Whole(200, "abcde")),
    ("codes beneath chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", BadGateway),
    ("codes otherwise", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", BadGateway),
    ("sends chunks in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Either),
    ("ends with the connection", b"HTTP/1.1 200 OK\r\n\r\nok", Whole(200, "ok")),
    ("sends a bad chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nx\r\n", BrokenOff),
    ("sends a chunk that is too long", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokok\r\n0\r\n\r\n", BrokenOff),
    ("sends a chunk that overflows", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nok", BrokenOff),
    ("does not end its chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", BrokenOff),
    ("breaks off in the trailers", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: ", BrokenOff),
    ("has a null in a field", b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", BadGateway),
    ("has a carriage return in a field", b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n", BadGateway),
    ("has a folded field", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok", BadGateway),
    ("has a field without a name", b"HTTP/1.1 200 OK\r\n: a\r\n\r\n", BadGateway),
    ("has a field without a colon", b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", BadGateway),
    ("has a space in a name", b"HTTP/1.1 200 OK\r\nX y: a\r\n\r\n", BadGateway),
    ("changes the protocol unasked", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", BadGateway),
    ("hints before it answers", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Whole(200, "ok")),
    ("goes on unasked", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Whole(200, "ok")),
    ("goes on and no more", b"HTTP/1.1 100 Continue\r\n\r\n", BadGateway),
    ("has a body with 204", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", Whole(204, "")),
    ("has a body with 304", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", Whole(304, "")),
    ("says more than it announced", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", Whole(200, "ok")),
    ("says more behind its chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", Whole(200, "ok")),
];

/// An answer as a strict client reads it.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Nothing,
    Whole(u16, String),
    BrokenOff(u16),
    Bad(String),
}

/// Reads one answer on a connection that has been closed.
fn read(bytes: &[u8]) -> Got {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return if text.is_empty() {
            Got::Nothing
        } else {
            Got::Bad(text.into_owned())
        };
    };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let Some(status) = status.and_then(|rest| rest.get(..3)?.parse().ok()) else {
        return Got::Bad(text.into_owned());
    };
    let fields: Vec<_> = lines
        .map(|line| line.split_once(": ").unwrap_or((line, "")))
        .collect();
    let all = |name| -> Vec<&str> {
        let own = fields.iter().filter(|(own, _)| *own == name);
        own.map(|(_, value)| *value).collect()
    };
    let bodiless = status == 204 || status == 304;
    match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        (_, []) if bodiless && body.is_empty() => Got::Whole(status, String::new()),
        ([length], []) => match length.parse::<usize>().unwrap().cmp(&body.len()) {
            std::cmp::Ordering::Equal => Got::Whole(status, body.to_owned()),
            std::cmp::Ordering::Greater => Got::BrokenOff(status),
            std::cmp::Ordering::Less => Got::Bad(text.into_owned()),
        },
        ([], ["chunked"]) => chunks(status, body),
        _ => Got::Bad(text.into_owned()),
    }
}

fn chunks(status: u16, mut rest: &str) -> Got {
    let mut body = String::new();
    loop {
        let Some((size, after)) = rest.split_once("\r\n") else {
            return Got::BrokenOff(status);
        };
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return match after {
                "\r\n" => Got::Whole(status, body),
                _ => Got::Bad(after.to_owned()),
            };
        }
        let Some(chunk) = after.get(..size) else {
            return Got::BrokenOff(status);
        };
        body.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
}

fn fits(got: &Got, then: Then) -> bool {
    match (then, got) {
        (BadGateway, Got::Whole(502, page)) => page.contains("Bad Gateway"),
        (Whole(status, body), Got::Whole(own, page)) => *own == status && page == body,
        (BrokenOff, Got::BrokenOff(200) | Got::Nothing) => true,
        (Either, Got::Whole(502, _) | Got::BrokenOff(200) | Got::Nothing) => true,
        _ => false,
    }
}

/// How a target ends a connection.
#[derive(Debug, Clone, Copy)]
enum End {
    Closes,
    Resets,
}

/// A target that answers each connection's first bytes with these, and ends.
async fn scripted(bytes: &[u8], end: End) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bytes: Arc<[u8]> = bytes.into();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let bytes = Arc::clone(&bytes);
            tokio::spawn(async move {
                if let Ok(1..) = stream.read(&mut [0; 4096]).await {
                    let _ = stream.write_all(&bytes).await;
                    if let End::Resets = end {
                        // Let what was written arrive first.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        let _ = stream.set_zero_linger();
                    }
                }
            });
        }
    });
    address
}

async fn set_to(bench: &Bench, address: SocketAddr) {
    let mut spec = bench.route(&[address]);
    spec.health.path = None;
    spec.health.fall = 100;
    spec.response_timeout = Span::seconds(1);
    bench.set(spec).await.unwrap();
}

async fn answer(bench: &Bench) -> Vec<u8> {
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(10), reading).await;
    let _ = read.expect("the edge neither answers nor closes");
    answer
}

#[tokio::test]
async fn bad_answers_are_refused_or_broken_off() {
    assert!(CASES.len() >= 40);
    let bench = Bench::new().await;
    let mut wrong = Vec::new();
    for (name, bytes, then) in CASES {
        set_to(&bench, scripted(bytes, End::Closes).await).await;
        for _ in 0..3 {
            let got = read(&answer(&bench).await);
            if !fits(&got, *then) {
                wrong.push(format!("{name}: {got:?} in place of {then:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

const GOOD: [&[u8]; 3] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n0123456789",
];

#[tokio::test]
async fn an_answer_cut_at_each_point_is_not_taken_for_whole() {
    let bench = Bench::new().await;
    for good in GOOD {
        let head = good.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let delimited = good.starts_with(b"HTTP/1.1 200 OK\r\n\r\n");
        for cut in 0..=good.len() {
            for end in [End::Closes, End::Resets] {
                let closes = matches!(end, End::Closes);
                // Where the connection's end is the body's, a polite close cannot be told from it.
                let then = match cut {
                    _ if cut < head => BadGateway,
                    _ if delimited && closes => continue,
                    _ if delimited || cut < good.len() => BrokenOff,
                    _ => Whole(200, "0123456789"),
                };
                set_to(&bench, scripted(&good[..cut], end).await).await;
                let got = read(&answer(&bench).await);
                assert!(fits(&got, then), "cut at {cut}, {end:?}: {got:?}");
            }
        }
    }
}

/// What is sent behind an answer must not become the answer to another's request: neither in the
/// same packet, nor when it comes while the connection waits for its next request. (What comes after
/// the next request was sent no proxy can tell from its answer.)
#[tokio::test]
async fn what_follows_an_answer_poisons_nobody() {
    for apart in [false, true] {
        let bench = Bench::new().await;
        set_to(&bench, says_more(apart).await).await;
        let mut sender = client(bench.address).await;
        for count in 0..200 {
            let (status, _, body) = ask(&mut sender, get("/")).await.unwrap();
            assert_eq!((status, &body[..]), (200, &b"ok"[..]), "request {count}");
            if apart {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// Answers, and sends another answer behind it.
async fn says_more(apart: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                let poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
                while let Ok(1..) = stream.read(&mut [0; 4096]).await {
                    if apart {
                        let _ = stream.write_all(good).await;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        let _ = stream.write_all(poison).await;
                    } else {
                        let _ = stream.write_all(&[&good[..], poison].concat()).await;
                    }
                }
            });
        }
    });
    address
}

/// (what the target sends without an end, after what)
const ENDLESS: &[(&str, &[u8], &[u8])] = &[
    ("fields", b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    ("one field", b"HTTP/1.1 200 OK\r\nX: ", b"yyyyyyyyyyyyyyyy"),
    ("a status line", b"HTTP/1.1 200 ", b"yyyyyyyyyyyyyyyy"),
    ("empty lines", b"", b"\r\n"),
    ("answers to go on", b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    (
        "hints",
        b"",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
    ),
    (
        "a chunk's extension",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;",
        b"yyyyyyyyyyyyyyyy",
    ),
    (
        "extensions",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1;yyyyyyyyyyyyyyyyyyyyyyyy\r\nx\r\n",
    ),
    (
        "trailers",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X: y\r\n",
    ),
];

#[tokio::test]
async fn endless_answers_are_ended_in_bounded_memory() {
    let bench = Bench::new().await;
    for (name, begin, part) in ENDLESS {
        let (begin, part) = (*begin, part.repeat(1000));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        set_to_endless(&bench, listener, begin, part).await;
        let before = common::memory();
        let started = Instant::now();
        let got = answer(&bench).await;
        let (took, grown) = (started.elapsed(), common::memory().saturating_sub(before));
        assert!(took < Duration::from_secs(8), "{name}: {took:?}");
        assert!(grown < 32 << 20, "{name}: {grown} bytes more");
        let got = read(&got);
        let ended = matches!(
            got,
            Got::Whole(502 | 504, _) | Got::BrokenOff(200) | Got::Nothing
        );
        assert!(ended, "{name}: {got:?}");
    }
}

async fn set_to_endless(bench: &Bench, listener: TcpListener, begin: &'static [u8], part: Vec<u8>) {
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Ok(1..) = stream.read(&mut [0; 4096]).await {
                let _ = stream.write_all(begin).await;
                while stream.write_all(&part).await.is_ok() {}
            }
        }
    });
    set_to(bench, address).await;
}

/// (what a target that should speak HTTP/2 says)
const BAD_HTTP2: &[(&str, &[u8])] = &[
    ("nothing", b""),
    ("HTTP/1", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("garbage", &[0xff; 100]),
    ("no settings", b"\0\0\x08\x06\0\0\0\0\x0012345678"),
    (
        "goes away",
        b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ),
    (
        "resets",
        b"\0\0\0\x04\0\0\0\0\0\0\0\x04\x03\0\0\0\0\x01\0\0\0\x02",
    ),
    (
        "data before a head",
        b"\0\0\0\x04\0\0\0\0\0\0\0\x02\0\x01\0\0\0\x01ok",
    ),
    (
        "a head without a status",
        b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x82",
    ),
    (
        "a bad index",
        b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\xff",
    ),
    (
        "a field of the connection",
        b"\0\0\0\x04\0\0\0\0\0\0\0\x12\x01\x05\0\0\0\x01\x88\x00\x0aconnection\x04quit",
    ),
];

#[tokio::test]
async fn bad_answers_in_http2_are_a_bad_gateway() {
    let bench = Bench::new().await;
    for (name, bytes) in BAD_HTTP2 {
        let mut spec = bench.route(&[scripted(bytes, End::Closes).await]);
        spec.health.path = None;
        spec.health.fall = 100;
        spec.target_http2 = true;
        bench.set(spec).await.unwrap();
        let got = read(&answer(&bench).await);
        assert!(fits(&got, BadGateway), "{name}: {got:?}");
    }
}
