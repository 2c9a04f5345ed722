//! Bytes that no honest client sends: the edge answers as the standard says, or closes; it never
//! hangs, and the target never sees a request that the standard forbids.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Bench, Target, ask, client, get, raw};
use edge::Span;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of an input.
enum Then {
    /// An answer with this status.
    Status(u16),
    /// One of these, or a close without an answer: the standard leaves it open.
    OneOf(&'static [u16]),
    /// A close without an answer.
    Closed,
}

use Then::{Closed, OneOf, Status};

/// (what it is, the bytes, what follows, how many requests the target may see)
const CASES: &[(&str, &[u8], Then, usize)] = &[
    // Where a body ends (RFC 9112, section 6)
    ("length and coding", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Status(400), 0),
    ("coding and length", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", Status(400), 0),
    ("two lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", Status(400), 0),
    ("list of lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 5\r\n\r\nabcde", Status(400), 0),
    ("length with sign", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd", Status(400), 0),
    ("negative length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", Status(400), 0),
    ("hexadecimal length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\nabcd", Status(400), 0),
    ("length that overflows", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", Status(400), 0),
    ("length beyond the limit", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n", Status(413), 0),
    ("length with letters", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4a\r\n\r\nabcd", Status(400), 0),
    ("empty length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", Status(400), 0),
    ("space before the colon", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 4\r\n\r\nabcd", Status(400), 0),
    ("coding with space before the colon", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", Status(400), 0),
    ("unknown coding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", OneOf(&[400, 501]), 0),
    ("coding that does not end chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", OneOf(&[400, 501]), 0),
    ("coding beneath chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Status(501), 0),
    ("chunked twice", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", OneOf(&[400, 501]), 0),
    ("chunked hidden behind a tab", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", OneOf(&[400, 501]), 0),
    ("chunked in HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Status(400), 0),
    ("a second request hidden by a length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n", Status(400), 0),
    // Chunks (RFC 9112, section 7.1); the head of the request is good, so the target may see it begin
    ("chunk size with sign", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", OneOf(&[400]), 1),
    ("chunk size with prefix", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", OneOf(&[400]), 1),
    ("chunk size that overflows", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\na\r\n0\r\n\r\n", OneOf(&[400]), 1),
    ("chunk longer than its size", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", OneOf(&[400]), 1),
    ("chunk size without line end", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\rXa\r\n0\r\n\r\n", OneOf(&[400]), 1),
    ("bare line feeds around a chunk", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\n0\n\n", OneOf(&[400]), 1),
    // Field lines (RFC 9112, section 5)
    ("folded line", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", Status(400), 0),
    ("folded first line", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Status(400), 0),
    ("null in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Status(400), 0),
    ("carriage return in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Status(400), 0),
    ("null in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n", Status(400), 0),
    ("space in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX y: a\r\n\r\n", Status(400), 0),
    ("name missing", b"GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n", Status(400), 0),
    ("colon missing", b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", Status(400), 0),
    ("high bytes in a name", b"GET / HTTP/1.1\r\nHost: a\r\n\xff\xfe: a\r\n\r\n", Status(400), 0),
    // Host (RFC 9112, section 3.2)
    ("no host", b"GET / HTTP/1.1\r\n\r\n", Status(400), 0),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Status(400), 0),
    ("host with path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Status(400), 0),
    ("host with user", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Status(400), 0),
    ("host with space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Status(400), 0),
    ("host with letters for a port", b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", Status(400), 0),
    ("host with high bytes", b"GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", Status(400), 0),
    ("host of commas", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Status(400), 0),
    // Request lines (RFC 9112, section 3)
    ("no method", b" / HTTP/1.1\r\nHost: a\r\n\r\n", Status(400), 0),
    ("no version", b"GET /\r\nHost: a\r\n\r\n", Status(400), 0),
    ("a version to come", b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", OneOf(&[400, 505]), 0),
    ("a version with letters", b"GET / HTTP/x.y\r\nHost: a\r\n\r\n", Status(400), 0),
    ("lower-case protocol", b"GET / http/1.1\r\nHost: a\r\n\r\n", Status(400), 0),
    ("two spaces", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Status(400), 0),
    ("space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Status(400), 0),
    ("null in the target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Status(400), 0),
    ("target without slash", b"GET admin HTTP/1.1\r\nHost: a\r\n\r\n", Status(400), 0),
    ("star for GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", Status(400), 0),
    ("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", Status(501), 0),
    ("method with bad characters", b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", Status(400), 0),
    ("unknown expectation", b"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", Status(417), 0),
    // Other protocols
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", OneOf(&[400]), 0),
    ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Status(400), 0),
    ("nulls", &[0; 64], Status(400), 0),
    ("an answer", b"HTTP/1.1 200 OK\r\n\r\n", Status(400), 0),
    ("HTTP/2 preface and nonsense", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n", Closed, 0),
    ("HTTP/2 preface and a frame that is too long", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x04\0\0\0\0\0", Closed, 0),
    ("HTTP/2 preface and data before headers", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\0\0\0\0\0\x01x", Closed, 0),
    ("half an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", OneOf(&[400]), 0),
];

#[tokio::test]
async fn bad_bytes_get_the_standards_answer() {
    let bench = Bench::new().await;
    let mut wrong = Vec::new();
    for (name, bytes, then, most) in CASES {
        let target = Target::start(1).await;
        bench.to(&[&target]).await;
        let answer = half_closed(bench.address, bytes).await;
        let status = answer
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
        let fits = match then {
            Status(expected) => status == Some(*expected),
            OneOf(expected) => status.is_none_or(|status| expected.contains(&status)),
            Closed => status.is_none(),
        };
        let seen = target.seen().len();
        if !fits || seen > *most {
            wrong.push(format!(
                "{name}: answered {answer:?}, the target saw {seen}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        CASES.len(),
        wrong.join("\n")
    );
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    assert_eq!(
        ask(&mut client(bench.address).await, get("/"))
            .await
            .unwrap()
            .0,
        200,
        "and it still serves"
    );
}

/// Sends bytes, ends the own direction, and reads what comes.
async fn half_closed(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .expect("the edge neither answers nor closes");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn heads_are_limited_in_count_size_and_length() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(200)
    );
    let large = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "y".repeat(100_000)
    );
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(100_000));
    for (bytes, statuses) in [(many, &[431][..]), (large, &[431]), (long, &[414, 431])] {
        let answer = raw(bench.address, bytes.as_bytes()).await;
        let status = answer
            .get(9..12)
            .and_then(|status| status.parse::<u16>().ok());
        // The rest of a head that is too large is not read, so the answer may be lost to a reset.
        assert!(
            status.is_none_or(|status| statuses.contains(&status)),
            "{answer}"
        );
    }
    assert!(target.seen().is_empty());
}

#[tokio::test]
async fn slow_clients_are_ended() {
    let bench = Bench::with(|settings| {
        settings.limits.head_time = Span::millis(300);
        settings.limits.stall = Span::millis(300);
        settings.limits.idle = Span::millis(600);
    })
    .await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let cases: &[(&str, &[u8])] = &[
        ("says nothing", b""),
        ("begins a head", b"GET / HTTP/1.1\r\nHo"),
        ("begins a preface", b"PRI * HT"),
        (
            "begins a body",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        ),
        (
            "begins a chunk",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        ),
    ];
    for (name, bytes) in cases {
        let started = Instant::now();
        raw(bench.address, bytes).await;
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "{name}: {:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn a_drip_of_header_bytes_does_not_prolong_the_head() {
    let bench = Bench::with(|settings| settings.limits.head_time = Span::millis(300)).await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let started = Instant::now();
    while stream.write_all(b"X: y\r\n").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "the drip is never ended"
        );
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_ended_and_frees_the_target() {
    let bench = Bench::with(|settings| settings.limits.stall = Span::millis(300)).await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream
        .write_all(b"GET /bytes/50000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let started = Instant::now();
    loop {
        let route = &bench.edge.status().routes[0];
        if route.requests == 1 && route.in_flight == 0 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{route:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn one_client_cannot_take_all_connections() {
    let bench = Bench::with(|settings| settings.limits.connections_per_client = 5).await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut sender = client(bench.address).await;
        assert_eq!(ask(&mut sender, get("/")).await.unwrap().0, 200);
        held.push(sender);
    }
    assert!(
        ask(&mut client(bench.address).await, get("/"))
            .await
            .is_err()
    );
    held.clear();
    for _ in 0..100 {
        if ask(&mut client(bench.address).await, get("/"))
            .await
            .is_ok()
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("closed connections are counted on");
}

/// (what the target does, its bytes)
const BAD_TARGETS: &[(&str, &[u8])] = &[
    ("closes at once", b""),
    ("breaks off in the status line", b"HTTP/1.1 20"),
    ("breaks off in the head", b"HTTP/1.1 200 OK\r\nContent-Le"),
    ("speaks something else", b"SSH-2.0-OpenSSH_9.2\r\n"),
    (
        "names two lengths",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        "names a length that is none",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab",
    ),
    (
        "has a null in a field",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    ),
    (
        "changes the protocol unasked",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ),
];

#[tokio::test]
async fn bad_targets_are_answered_502() {
    for (name, bytes) in BAD_TARGETS {
        let bench = Bench::new().await;
        let (address, _) = scripted(bytes.to_vec()).await;
        let mut spec = bench.route(&[address]);
        spec.health.path = None;
        spec.health.fall = 100;
        bench.set(spec).await.unwrap();
        let (status, _, _) = ask(&mut client(bench.address).await, get("/"))
            .await
            .unwrap();
        assert_eq!(status, 502, "{name}");
    }
}

/// A target that sends these bytes after the first it reads, and closes. It keeps what it reads.
async fn scripted(bytes: Vec<u8>) -> (std::net::SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
    tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut read = [0; 4096];
                let Ok(count @ 1..) = stream.read(&mut read).await else {
                    continue;
                };
                seen.lock().unwrap().extend(&read[..count]);
                let _ = stream.write_all(&bytes).await;
            }
        }
    });
    (address, seen)
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_off() {
    let bench = Bench::new().await;
    let (address, _) =
        scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc".to_vec()).await;
    let mut spec = bench.route(&[address]);
    spec.health.path = None;
    bench.set(spec).await.unwrap();
    let error = ask(&mut client(bench.address).await, get("/"))
        .await
        .unwrap_err();
    assert!(error.contains("broken off"), "{error}");
}

#[tokio::test]
async fn an_answer_with_length_and_coding_cannot_smuggle() {
    let bench = Bench::new().await;
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    let (address, _) = scripted(answer.to_vec()).await;
    let mut spec = bench.route(&[address]);
    spec.health.path = None;
    bench.set(spec).await.unwrap();
    let answer = raw(
        bench.address,
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    let lower = answer.to_lowercase();
    assert!(
        lower.contains("transfer-encoding: chunked") && !lower.contains("content-length"),
        "{answer}"
    );
    assert!(answer.ends_with("5\r\nabcde\r\n0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn rapid_resets_of_http2_are_ended() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    // :method GET, :scheme http, :path /, :authority "a" (RFC 7541)
    let head = [0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
    let mut ended = false;
    for stream_id in (1_u32..200_001).step_by(2) {
        let mut frames = vec![0, 0, head.len() as u8, 1, 5];
        frames.extend(stream_id.to_be_bytes());
        frames.extend(head);
        frames.extend([0, 0, 4, 3, 0]);
        frames.extend(stream_id.to_be_bytes());
        frames.extend(8_u32.to_be_bytes());
        if stream.write_all(&frames).await.is_err() {
            ended = true;
            break;
        }
    }
    assert!(ended, "100000 resets were taken");
    assert_eq!(
        ask(&mut client(bench.address).await, get("/"))
            .await
            .unwrap()
            .0,
        200
    );
}

#[tokio::test]
async fn floods_of_http2_settings_and_pings_stay_bounded() {
    for frame in [
        &b"\0\0\0\x04\0\0\0\0\0"[..],
        b"\0\0\x08\x06\0\0\0\0\x0012345678",
    ] {
        let bench = Bench::new().await;
        let target = Target::start(1).await;
        bench.to(&[&target]).await;
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .unwrap();
        let flood = frame.repeat(1000);
        // Nothing is read: the edge must stop reading, or end the connection, before it has taken it all.
        let flooding = async {
            for _ in 0..20_000 {
                stream.write_all(&flood).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let flooded = tokio::time::timeout(Duration::from_secs(2), flooding).await;
        assert!(!matches!(flooded, Ok(Ok(()))), "the whole flood was taken");
        assert_eq!(
            ask(&mut client(bench.address).await, get("/"))
                .await
                .unwrap()
                .0,
            200
        );
    }
}
