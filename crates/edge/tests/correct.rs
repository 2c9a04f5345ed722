//! Where proxies err, byte by byte: kept connections after answers without bodies, clients that wait,
//! early answers to large uploads, connections closed from one side, and kept connections that the
//! target closes in the moment of sending.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::judge::{Judged, Verdict, judge};
use common::{Bench, PATIENCE, Target, ask, client, get, raw};
use edge::spec::Protocol;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What a target does with one request on its stream.
type Answering = Arc<dyn Fn(&Judged) -> Answer + Send + Sync>;

/// What a target sends, and whether it closes then.
struct Answer {
    after: Duration,
    bytes: Vec<u8>,
    closes: bool,
}

fn says(bytes: &[u8]) -> Answer {
    Answer {
        after: Duration::ZERO,
        bytes: bytes.to_vec(),
        closes: false,
    }
}

/// A target that answers as it is told, and a route to it.
async fn bench(answering: impl Fn(&Judged) -> Answer + Send + Sync + 'static) -> Bench {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bench = Bench::new().await;
    let mut spec = bench.route(&[listener.local_addr().unwrap()]);
    spec.health.path = None;
    bench.set(spec).await.unwrap();
    let answering: Answering = Arc::new(answering);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&answering)));
        }
    });
    bench
}

async fn serve(mut stream: TcpStream, answering: Answering) {
    let mut open = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut open).await {
        while let Verdict::Whole(request) = judge(&open) {
            open.drain(..request.length);
            let answer = answering(&request);
            let _ = stream.write_all(&answer.bytes).await;
            if answer.closes {
                tokio::time::sleep(answer.after).await;
                return;
            }
        }
    }
}

/// (method, what the target answers)
const WITHOUT_BODIES: &[(&str, &str)] = &[
    ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n"),
    (
        "HEAD",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    ),
    (
        "HEAD",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 1234\r\n\r\n",
    ),
    ("GET", "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n"),
    (
        "HEAD",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 1234\r\n\r\n",
    ),
    ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
    ("DELETE", "HTTP/1.1 204 No Content\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ("OPTIONS", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    (
        "GET",
        "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n",
    ),
];

#[tokio::test]
async fn answers_without_bodies_leave_the_connection_in_step() {
    let bench = bench(|request| {
        let number = request.target.strip_prefix('/').unwrap().parse::<usize>();
        match number {
            Ok(number) => says(WITHOUT_BODIES[number].1.as_bytes()),
            Err(_) => says(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nmarker"),
        }
    })
    .await;
    for (number, (method, answer)) in WITHOUT_BODIES.iter().enumerate() {
        let requests = format!(
            "{method} /{number} HTTP/1.1\r\nHost: a\r\n\r\nGET /marker HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        );
        let got = raw(bench.address, requests.as_bytes()).await;
        let (first, rest) = got.split_once("\r\n\r\n").unwrap();
        assert_eq!(first[..12], answer[..12], "{method} {answer:?}: {got}");
        assert!(
            rest.starts_with("HTTP/1.1 200 OK\r\n"),
            "{method} {answer:?}: {got}"
        );
        assert!(
            rest.ends_with("\r\n\r\nmarker"),
            "{method} {answer:?}: {got}"
        );
        let bodiless = answer.contains(" 204 ") || answer.contains("chunked");
        let length = first
            .lines()
            .find(|line| line.starts_with("content-length"));
        let expected = answer
            .lines()
            .find(|line| line.starts_with("content-length"));
        assert!(!bodiless || length.is_none(), "{method} {answer:?}: {got}");
        // A length that is passed on is the target's; 304 and HEAD may leave it out.
        assert!(
            length.is_none() || length == expected,
            "{method} {answer:?}: {got}"
        );
    }
}

#[tokio::test]
async fn the_same_without_bodies_in_http2() {
    let bench = bench(|request| {
        let number: usize = request.target.strip_prefix('/').unwrap().parse().unwrap();
        says(WITHOUT_BODIES[number].1.as_bytes())
    })
    .await;
    let stream = TcpStream::connect(bench.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    for (number, (method, answer)) in WITHOUT_BODIES.iter().enumerate() {
        let uri = format!("http://a/{number}");
        let request = Request::builder().method(*method).uri(uri);
        let request = request.body(Full::<bytes::Bytes>::default()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(
            response.status().as_str(),
            &answer[9..12],
            "{method} {answer:?}"
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty(), "{method} {answer:?}: {body:?}");
    }
}

#[tokio::test]
async fn trailers_pass_both_ways_in_http1() {
    let bench = bench(|request| {
        assert_eq!(request.body, b"abc");
        says(b"HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n")
    })
    .await;
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close, te\r\nTE: trailers\r\nTrailer: x-own\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-own: 5\r\n\r\n";
    let got = raw(bench.address, request).await;
    assert!(got.ends_with("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"), "{got}");
}

/// The client may send its next request on the same connection, whatever became of its body.
#[tokio::test]
async fn clients_that_wait_stay_in_step() {
    let bench = bench(|request| match request.target.as_str() {
        "/marker" => says(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nmarker"),
        _ => {
            assert_eq!(request.body, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
            says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        }
    })
    .await;
    // The target says nothing of going on: the body is sent all the same (RFC 9110, section 10.1.1).
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 28\r\n\r\n";
    let mut stream = BufReader::new(TcpStream::connect(bench.address).await.unwrap());
    stream.write_all(head).await.unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
    stream
        .write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    stream
        .write_all(b"GET /marker HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest.matches("HTTP/1.1 200 OK").count(), 2, "{rest}");
    assert!(rest.ends_with("marker"), "{rest}");
}

/// A body that was not wanted is not taken for a request, in whichever way the client goes on.
#[tokio::test]
async fn a_body_that_was_refused_is_no_request() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn({
        let asked = Arc::clone(&asked);
        async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let asked = Arc::clone(&asked);
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                        asked.lock().unwrap().push(text);
                        let no = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno";
                        let _ = stream.write_all(no).await;
                    }
                });
            }
        }
    });
    let bench = Bench::new().await;
    let mut spec = bench.route(&[address]);
    spec.health.path = None;
    bench.set(spec).await.unwrap();
    let body = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    for expect in ["Expect: 100-continue\r\n", ""] {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{expect}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 401");
        let _ = stream.write_all(body.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        let rest = String::from_utf8_lossy(&rest).into_owned();
        assert!(!rest.contains("HTTP/1.1"), "a second answer: {rest}");
    }
    let asked = asked.lock().unwrap();
    let hidden = asked.iter().any(|text| text.starts_with("GET /hidden"));
    assert!(!hidden, "{asked:?}");
}

/// The answer comes while the client still sends, and the target closes: it must not be lost.
#[tokio::test]
async fn early_answers_to_large_uploads_arrive_every_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bench = Bench::new().await;
    let mut spec = bench.route(&[listener.local_addr().unwrap()]);
    spec.health.path = None;
    spec.health.fall = 100;
    bench.set(spec).await.unwrap();
    tokio::spawn(async move {
        for count in 0_u64.. {
            let Ok((mut stream, _)) = listener.accept().await else {
                return;
            };
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let no =
                    b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno!";
                let _ = stream.write_all(no).await;
                // At once, which resets what is under way, or after a while in which it reads on.
                let reading = async { while let Ok(1..) = stream.read(&mut [0; 4096]).await {} };
                let _ = tokio::time::timeout(Duration::from_millis(count % 3 * 20), reading).await;
            });
        }
    });
    for round in 0..60 {
        let stream = TcpStream::connect(bench.address).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let sending = tokio::spawn(async move {
            let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n";
            let _ = writer.write_all(head).await;
            let part = vec![b'x'; 100_000];
            for _ in 0..200 {
                if writer.write_all(&part).await.is_err() {
                    return;
                }
            }
        });
        let mut answer = Vec::new();
        let mut bytes = [0; 4096];
        let reading = async {
            while let Ok(count @ 1..) = reader.read(&mut bytes).await {
                answer.extend(&bytes[..count]);
                if answer.ends_with(b"no!") {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.1 413"),
            "round {round}: {answer}"
        );
        assert!(answer.ends_with("no!"), "round {round}: {answer}");
        sending.abort();
    }
}

/// Either side of an upgraded or a TCP connection may end its own direction and still hear the other.
#[tokio::test]
async fn half_closed_connections_stay_open_the_other_way() {
    for protocol in [Protocol::Http, Protocol::Tcp] {
        for target_ends_first in [false, true] {
            let (address, mut told) = half_closing(protocol, target_ends_first).await;
            let bench = Bench::new().await;
            let mut spec = bench.route(&[address]);
            spec.protocol = protocol;
            spec.health.path = None;
            bench.set(spec).await.unwrap();
            let mut stream = BufReader::new(TcpStream::connect(bench.address).await.unwrap());
            if protocol == Protocol::Http {
                let head =
                    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
                stream.write_all(head).await.unwrap();
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    assert_ne!(stream.read_line(&mut line).await.unwrap(), 0);
                }
            }
            let mut heard = String::new();
            if target_ends_first {
                stream.read_to_string(&mut heard).await.unwrap();
                assert_eq!(heard, "hello");
                stream.write_all(b"and you hear me").await.unwrap();
                stream.shutdown().await.unwrap();
                let heard = tokio::time::timeout(PATIENCE, told.recv()).await;
                assert_eq!(heard.unwrap().unwrap(), "and you hear me", "{protocol:?}");
            } else {
                stream.write_all(b"all of it").await.unwrap();
                stream.shutdown().await.unwrap();
                stream.read_to_string(&mut heard).await.unwrap();
                assert_eq!(heard, "heard all of it", "{protocol:?}");
            }
        }
    }
}

/// A target that hears the client to its end before it speaks, or the other way round.
/// Tells what it heard.
async fn half_closing(
    protocol: Protocol,
    ends_first: bool,
) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            if protocol == Protocol::Http {
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                let yes = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
                let _ = stream.write_all(yes).await;
            }
            let mut heard = String::new();
            if ends_first {
                let _ = stream.write_all(b"hello").await;
                let _ = stream.shutdown().await;
                let _ = stream.read_to_string(&mut heard).await;
                // A health check says nothing.
                if !heard.is_empty() {
                    let _ = tell.send(heard);
                }
            } else {
                let _ = stream.read_to_string(&mut heard).await;
                let _ = stream.write_all(format!("heard {heard}").as_bytes()).await;
            }
        }
    });
    (address, told)
}

/// Kept connections are closed by the target a moment after its answer, without a word: now before
/// the next request is sent, now while it is on its way. 4000 requests, one in three a POST: none
/// fails, and no POST is taken twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_connections_that_close_just_now_lose_nothing() {
    let taken: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let counter = Arc::clone(&taken);
    let bench = bench(move |request| {
        let mut taken = counter.lock().unwrap();
        let count = taken.len() as u64;
        if request.method == "POST" {
            *taken.entry(request.target.clone()).or_default() += 1;
        }
        Answer {
            after: Duration::from_micros(count * 37 % 2500),
            bytes: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(),
            closes: true,
        }
    })
    .await;
    let mut clients = tokio::task::JoinSet::new();
    for own in 0..8 {
        let address = bench.address;
        clients.spawn(async move {
            let mut sender = client(address).await;
            for count in 0..500_u64 {
                let request = match count % 3 {
                    0 => common::post(&format!("/{own}/{count}"), 100),
                    _ => get("/"),
                };
                let answer = ask(&mut sender, request).await;
                let status = answer.map(|(status, ..)| status);
                assert_eq!(status, Ok(200), "request {count} of client {own}");
                tokio::time::sleep(Duration::from_micros(count * 61 % 2500)).await;
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let taken = taken.lock().unwrap();
    assert_eq!(taken.len(), 8 * 167, "POSTs");
    assert!(
        taken.values().all(|count| *count == 1),
        "a POST was taken twice"
    );
}

/// Nobody hears of a target's `100 Continue` in HTTP/2: the body goes after a while.
#[tokio::test]
async fn a_waiting_client_before_a_target_of_http2_is_answered() {
    let bench = Bench::new().await;
    let target = Target::start_http2(1).await;
    let mut spec = bench.route(&[target.address]);
    spec.target_http2 = true;
    bench.set(spec).await.unwrap();
    let body = "x".repeat(100_000);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n{body}"
    );
    for _ in 0..3 {
        let waiting = raw(bench.address, request.as_bytes());
        let other = async {
            let mut sender = client(bench.address).await;
            ask(&mut sender, common::post("/slow/300", 50_000)).await
        };
        let (answer, other) = tokio::join!(waiting, other);
        assert!(answer.ends_with("took 100000"), "{answer}");
        assert_eq!(other.unwrap().0, 200);
    }
}
