//! Clients that are too large, too slow or too many: each is ended, and others notice nothing.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{Bench, Target, ask, client, get, raw};
use edge::Span;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Less than any limit that is not told otherwise.
const SOON: Duration = Duration::from_secs(12);

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
        assert!(started.elapsed() < SOON, "{name}: {:?}", started.elapsed());
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
        assert!(started.elapsed() < SOON, "the drip is never ended");
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

#[tokio::test]
async fn the_limits_of_heads_do_not_hold_for_what_follows_an_upgrade() {
    let bench = Bench::with(|settings| {
        settings.limits.head_time = Span::millis(200);
        settings.limits.idle = Span::millis(300);
    })
    .await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let mut stream = BufReader::new(TcpStream::connect(bench.address).await.unwrap());
    let head =
        b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut line = String::new();
    while line != "release 1\n" {
        line.clear();
        assert_ne!(stream.read_line(&mut line).await.unwrap(), 0);
    }
    for pause in [0, 100, 500, 100] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        stream.write_all(b"still there\n").await.unwrap();
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        assert_eq!(line, "still there\n", "after {pause} ms");
    }
}
