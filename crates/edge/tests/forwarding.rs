//! Correct where proxies err: lengths without bodies, early answers, trailers, half-closed
//! connections, and what targets are told.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use common::{Bench, Target, ask, client, free_port, get, post, quick, raw};
use edge::Span;
use edge::spec::{Protocol, ProxyVersion};
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// (request, what the answer has, what it lacks)
const ANSWERS: &[(&str, &[&str], &[&str])] = &[
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["HTTP/1.1 200", "\r\n\r\nrelease 1 took 0"],
        &[],
    ),
    (
        "HEAD /bytes/1234 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["HTTP/1.1 200", "content-length: 1234"],
        &["xxx", "chunked"],
    ),
    (
        "GET /length HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["HTTP/1.1 304"],
        &["chunked", "content-length: 0"],
    ),
    (
        "GET /status/204 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["HTTP/1.1 204"],
        &["content-length", "chunked"],
    ),
    (
        "GET /hop HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["HTTP/1.1 200", "\r\n\r\nhop"],
        &["x-hop", "keep-alive"],
    ),
    (
        "GET / HTTP/1.0\r\n\r\n",
        &["HTTP/1.0 200", "release 1 took 0"],
        &["chunked"],
    ),
    (
        "GET /drip HTTP/1.0\r\n\r\n",
        &["HTTP/1.0 200", "dripdripdrip"],
        &["chunked"],
    ),
    (
        "GET /drip HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["HTTP/1.1 200", "chunked", "4\r\ndrip\r\n"],
        &["content-length"],
    ),
    (
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["HTTP/1.1 200"],
        &[],
    ),
    (
        "GET http://b/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["HTTP/1.1 200"],
        &[],
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
        &["took 3"],
        &[],
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        &["took 0"],
        &[],
    ),
    (
        "\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["HTTP/1.1 200"],
        &[],
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /hop HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["took 0HTTP/1.1 200", "\r\n\r\nhop"],
        &[],
    ),
    (
        "PURGE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &["HTTP/1.1 200"],
        &[],
    ),
];

#[tokio::test]
async fn answers_come_as_they_should() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    for (request, has, lacks) in ANSWERS {
        let answer = raw(bench.address, request.as_bytes()).await;
        for part in *has {
            assert!(
                answer.contains(part),
                "{request:?} lacks {part:?}:\n{answer}"
            );
        }
        for part in *lacks {
            assert!(
                !answer.contains(part),
                "{request:?} has {part:?}:\n{answer}"
            );
        }
    }
    let absolute = target
        .seen()
        .into_iter()
        .find(|seen| seen.target == "/x")
        .unwrap();
    assert_eq!(
        absolute.headers["host"], "b",
        "what the target names goes before the field"
    );
}

#[tokio::test]
async fn targets_learn_who_asks_and_nothing_of_the_connection() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let request = "GET /x?y=%20z HTTP/1.1\r\nHost: Example.org:81\r\nConnection: close, x-mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n\
        X-Forwarded-For: 6.6.6.6\r\nAccept: */*\r\n\r\n";
    raw(bench.address, request.as_bytes()).await;
    let seen = target.seen().remove(0);
    assert_eq!(seen.target, "/x?y=%20z");
    for (name, value) in [
        ("host", "Example.org:81"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "Example.org:81"),
        ("accept", "*/*"),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    assert_eq!(seen.headers["x-request-id"].len(), 32);
    for name in ["connection", "x-mine", "keep-alive"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_waiting_client_is_told_to_go_on_only_when_the_target_wants_the_body() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
    };

    let mut stream = BufReader::new(TcpStream::connect(bench.address).await.unwrap());
    stream.write_all(head("/").as_bytes()).await.unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
    stream.write_all(b"abc").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.contains("HTTP/1.1 200") && answer.ends_with("took 3"),
        "{answer}"
    );

    let refused = raw(bench.address, head("/refuse-early").as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
}

#[tokio::test]
async fn an_early_answer_to_a_large_upload_arrives() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream
        .write_all(
            b"POST /refuse-early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nabc",
        )
        .await
        .unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(common::PATIENCE, stream.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[tokio::test]
async fn a_client_that_ends_its_own_direction_still_gets_its_answer() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream
        .write_all(b"GET /slow/200 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("release 1 took 0"), "{answer}");
}

#[tokio::test]
async fn a_target_that_closes_kept_connections_just_now_is_nobodys_fault() {
    let bench = Bench::new().await;
    let address = closes_after_each().await;
    let mut spec = bench.route(&[address]);
    spec.health.path = None;
    bench.set(spec).await.unwrap();
    let mut sender = client(bench.address).await;
    for count in 0..300 {
        let request = if count % 3 == 0 {
            post("/", 10)
        } else {
            get("/")
        };
        let (status, ..) = ask(&mut sender, request).await.unwrap();
        assert_eq!(status, 200, "request {count}");
    }
    assert_eq!(bench.edge.status().routes[0].targets[0].failed, 0);
}

/// Says nothing of closing, and closes after each answer.
async fn closes_after_each() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                let mut seen = Vec::new();
                while !seen.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut bytes).await {
                        Ok(count @ 1..) => seen.extend(&bytes[..count]),
                        _ => return,
                    }
                }
                if seen.starts_with(b"POST") && seen.ends_with(b"\r\n\r\n") {
                    let _ = stream.read(&mut bytes).await;
                }
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    .await;
            });
        }
    });
    address
}

#[tokio::test]
async fn what_may_not_be_repeated_is_not() {
    let bench = Bench::new().await;
    let (address, count) = reads_and_closes().await;
    let mut spec = bench.route(&[address]);
    spec.health.path = None;
    spec.health.fall = 100;
    bench.set(spec).await.unwrap();
    let before = *count.lock().unwrap();
    assert_eq!(
        ask(&mut client(bench.address).await, post("/", 10))
            .await
            .unwrap()
            .0,
        502
    );
    assert_eq!(*count.lock().unwrap() - before, 1, "a POST was sent twice");
}

/// Reads one request and closes without an answer; counts them.
async fn reads_and_closes() -> (SocketAddr, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count: Arc<Mutex<usize>> = Arc::default();
    tokio::spawn({
        let count = Arc::clone(&count);
        async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if let Ok(1..) = stream.read(&mut [0; 4096]).await {
                    *count.lock().unwrap() += 1;
                }
            }
        }
    });
    (address, count)
}

#[tokio::test]
async fn limits_of_bodies_and_answers() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    let mut spec = bench.route(&[target.address]);
    spec.max_body = Some(1000);
    spec.response_timeout = Span::millis(300);
    bench.set(spec).await.unwrap();
    let statuses = [
        (post("/", 1000), 200),
        (post("/", 1001), 413),
        (get("/slow/2000"), 504),
        (get("/slow/50"), 200),
    ];
    for (request, status) in statuses {
        let shown = format!("{request:?}");
        assert_eq!(
            ask(&mut client(bench.address).await, request)
                .await
                .unwrap()
                .0,
            status,
            "{shown}"
        );
    }
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        "64\r\n".to_owned() + &"x".repeat(100) + "\r\n"
    );
    assert!(
        raw(
            bench.address,
            chunked
                .replace("\r\n\r\n64", "\r\nConnection: close\r\n\r\n64")
                .as_bytes()
        )
        .await
        .contains("took 100")
    );
    let large = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{}\r\n0\r\n\r\n",
        "x".repeat(2000)
    );
    assert!(
        raw(bench.address, large.as_bytes())
            .await
            .starts_with("HTTP/1.1 413")
    );
}

#[tokio::test]
async fn http2_on_both_sides() {
    for targets_speak_http2 in [false, true] {
        let bench = Bench::new().await;
        let target = match targets_speak_http2 {
            false => Target::start(1).await,
            true => Target::start_http2(1).await,
        };
        let mut spec = bench.route(&[target.address]);
        spec.target_http2 = targets_speak_http2;
        bench.set(spec).await.unwrap();

        let mut old = client(bench.address).await;
        assert_eq!(ask(&mut old, post("/", 100_000)).await.unwrap().0, 200);

        let stream = TcpStream::connect(bench.address).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let streams = (0..50).map(|count| {
            let mut sender = sender.clone();
            async move {
                let size = count * 3000;
                let body = Full::new(Bytes::from(vec![b'x'; size]));
                let request = Request::post("http://example.org/")
                    .version(Version::HTTP_2)
                    .body(body)
                    .unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), 200);
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, format!("release 1 took {size}"));
            }
        });
        futures_util::future::join_all(streams).await;
        let seen = target.seen().pop().unwrap();
        let host = seen
            .headers
            .get("host")
            .map(|host| host.to_str().unwrap().to_owned());
        assert!(
            host == Some("example.org".to_owned())
                || seen.target.starts_with("http://example.org/"),
            "{seen:?}"
        );
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let bench = Bench::new().await;
    let target = Target::start_http2(1).await;
    let mut spec = bench.route(&[target.address]);
    spec.target_http2 = true;
    bench.set(spec).await.unwrap();
    let stream = TcpStream::connect(bench.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    let frames = [Frame::data(Bytes::from("abc")), Frame::trailers(trailers)]
        .map(Ok::<_, std::convert::Infallible>);
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let request = Request::post("http://example.org/")
        .version(Version::HTTP_2)
        .body(body)
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "release 1 took 3");
}

#[tokio::test]
async fn tcp_is_passed_on_and_half_closed_connections_stay_so() {
    let bench = Bench::new().await;
    let (address, seen) = answers_after_the_end().await;
    let mut spec = bench.route(&[address]);
    spec.protocol = Protocol::Tcp;
    spec.health.path = None;
    spec.send_proxy = Some(ProxyVersion::V1);
    bench.set(spec).await.unwrap();
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let own = stream.local_addr().unwrap();
    stream.write_all(b"all of it").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("all of it"), "{answer}");
    let seen = seen.lock().unwrap().clone();
    let header = format!(
        "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n",
        own.port(),
        bench.address.port()
    );
    assert!(seen.contains(&header), "{seen}");
}

/// Reads to the end, then sends it all back.
async fn answers_after_the_end() -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<String>> = Arc::default();
    tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut text = String::new();
                let _ = stream.read_to_string(&mut text).await;
                seen.lock().unwrap().push_str(&text);
                let _ = stream.write_all(text.as_bytes()).await;
            }
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_proxy_before_it_names_the_client() {
    let bench =
        Bench::with(|settings| settings.proxy_protocol_from = vec!["127.0.0.1".parse().unwrap()])
            .await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let request = "PROXY TCP4 192.0.2.7 192.0.2.1 5 80\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert!(
        raw(bench.address, request.as_bytes())
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(target.seen()[0].headers["x-forwarded-for"], "192.0.2.7");
    let without = raw(bench.address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(without, "", "a connection without the header is closed");
}

#[tokio::test]
async fn a_client_comes_back_to_its_target_by_cookie() {
    let bench = Bench::new().await;
    let (one, two) = (Target::start(1).await, Target::start(2).await);
    let mut spec = bench.route(&[one.address, two.address]);
    spec.affinity = true;
    bench.set(spec).await.unwrap();
    let first = raw(
        bench.address,
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    let cookie = first
        .split("set-cookie: ")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let release = |answer: &str| answer.split("x-release: ").nth(1).unwrap()[..1].to_owned();
    let own = release(&first);
    for _ in 0..10 {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: x=1; {cookie}\r\n\r\n"
        );
        let answer = raw(bench.address, request.as_bytes()).await;
        assert_eq!(release(&answer), own);
        assert!(!answer.contains("set-cookie"));
    }
    let target = if own == "1" { &one } else { &two };
    target.kill();
    let request =
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n");
    let answer = raw(bench.address, request.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && release(&answer) != own,
        "{answer}"
    );
}

#[tokio::test]
async fn names_and_paths_choose_the_target() {
    let bench = Bench::new().await;
    let (one, two, three) = (
        Target::start(1).await,
        Target::start(2).await,
        Target::start(3).await,
    );
    let mut specs = vec![
        bench.route(&[one.address]),
        bench.route(&[two.address]),
        bench.route(&[three.address]),
    ];
    specs[1].route.host = "*.example.org".parse().unwrap();
    specs[2].route.host = "*.example.org".parse().unwrap();
    specs[2].route.path = "/api".parse().unwrap();
    bench.edge.set(quick(specs), |_| {}).await.unwrap();
    for (host, path, release) in [
        ("a", "/", 1),
        ("www.example.org:80", "/", 2),
        ("WWW.EXAMPLE.ORG", "/api/x", 3),
        ("example.org", "/api", 1),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw(bench.address, request.as_bytes()).await;
        assert!(
            answer.contains(&format!("x-release: {release}")),
            "{host}{path}: {answer}"
        );
    }
    // a port that nobody asked for stays closed
    assert!(TcpStream::connect(free_port()).await.is_err());
    tokio::time::sleep(Duration::ZERO).await;
}
