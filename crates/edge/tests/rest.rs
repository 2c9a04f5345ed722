//! Connections that rest between two requests: their parser is gone, their client cannot tell.
//!
//! The edge of these tests lets a connection rest at once, so each moment in which nothing comes is a rest.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, PATIENCE, Target};
use edge::Span;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What follows a rest sooner than this follows none.
const REST: Duration = Duration::from_millis(3);

async fn resting_edge() -> (Bench, Target) {
    let bench = Bench::with(|settings| settings.limits.rest = Span::millis(0)).await;
    let target = Target::start(7).await;
    bench.to(&[&target]).await;
    (bench, target)
}

/// A client's end of one connection, byte by byte.
struct Wire(TcpStream);

impl Wire {
    async fn to(bench: &Bench) -> Self {
        let stream = TcpStream::connect(bench.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// The next answer, which has a length: its head in small letters, and its body.
    async fn answer(&mut self) -> (String, String) {
        let reading = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap();
            let length = length.split("\r\n").next().unwrap().parse().unwrap();
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await.unwrap();
            (head, String::from_utf8(body).unwrap())
        };
        let answered = tokio::time::timeout(PATIENCE, reading).await;
        answered.expect("the edge answers")
    }

    /// Whether the edge closes without another word.
    async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        let reading = self.0.read_to_end(&mut rest);
        let read = tokio::time::timeout(PATIENCE, reading).await;
        read.expect("the edge closes").is_ok() && rest.is_empty()
    }
}

#[tokio::test]
async fn requests_cut_anywhere_are_answered_on_one_connection() {
    let (bench, target) = resting_edge().await;
    let mut wire = Wire::to(&bench).await;
    let requests = [
        ("GET /a HTTP/1.1\r\nhost: a\r\n\r\n", "release 7 took 0"),
        (
            "POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
            "release 7 took 5",
        ),
        (
            "PUT /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
            "release 7 took 4",
        ),
        ("\r\nGET /d HTTP/1.1\r\nhost: a\r\n\r\n", "release 7 took 0"),
    ];
    let mut sent = 0;
    for (request, expected) in requests {
        for cut in 0..request.len() {
            let (first, second) = request.as_bytes().split_at(cut);
            wire.send(first).await;
            tokio::time::sleep(REST).await;
            wire.send(second).await;
            let (head, body) = wire.answer().await;
            assert!(
                head.starts_with("http/1.1 200"),
                "{request:?} cut at {cut}: {head}"
            );
            assert!(
                !head.contains("connection: close"),
                "{request:?} cut at {cut}: {head}"
            );
            assert_eq!(body, expected, "{request:?} cut at {cut}");
            sent += 1;
        }
    }
    assert_eq!(target.seen().len(), sent, "each reached the target once");
}

#[tokio::test]
async fn requests_ahead_of_their_answers_are_answered_in_order() {
    let (bench, _target) = resting_edge().await;
    let mut wire = Wire::to(&bench).await;
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    let both = [one("/slow/20"), one("/bytes/10")].concat();
    // The second one ends after the first has been answered, and a rest would come between.
    for cut in one("/slow/20").len()..both.len() {
        let (first, second) = both.as_bytes().split_at(cut);
        wire.send(first).await;
        assert_eq!(wire.answer().await.1, "release 7 took 0", "cut at {cut}");
        tokio::time::sleep(REST).await;
        wire.send(second).await;
        assert_eq!(wire.answer().await.1, "x".repeat(10), "cut at {cut}");
    }
}

#[tokio::test]
async fn a_resting_client_may_close_and_an_idle_one_is_closed() {
    let bench = Bench::with(|settings| {
        settings.limits.rest = Span::millis(0);
        settings.limits.idle = Span::millis(300);
    })
    .await;
    let target = Target::start(7).await;
    bench.to(&[&target]).await;
    for closes in [true, false] {
        let mut wire = Wire::to(&bench).await;
        wire.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        wire.answer().await;
        if closes {
            tokio::time::sleep(REST).await;
            wire.0.shutdown().await.unwrap();
        }
        assert!(wire.is_closed().await, "closes: {closes}");
    }
}

#[tokio::test]
async fn a_half_closed_client_still_gets_its_answer() {
    let (bench, _target) = resting_edge().await;
    let mut wire = Wire::to(&bench).await;
    wire.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    wire.answer().await;
    tokio::time::sleep(REST).await;
    wire.send(b"GET /slow/50 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    wire.0.shutdown().await.unwrap();
    assert_eq!(wire.answer().await.1, "release 7 took 0");
    assert!(wire.is_closed().await);
}

#[tokio::test]
async fn a_rested_connection_becomes_a_websocket() {
    let (bench, _target) = resting_edge().await;
    let mut wire = Wire::to(&bench).await;
    wire.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    wire.answer().await;
    tokio::time::sleep(REST).await;
    // The first word comes with the request, ahead of the target's consent.
    let ask =
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nearly";
    wire.send(ask).await;
    let mut heard = String::new();
    let hearing = async {
        while !heard.ends_with("release 7\nearly") {
            heard.push(char::from(wire.0.read_u8().await.unwrap()));
        }
    };
    let heard_all = tokio::time::timeout(PATIENCE, hearing).await;
    heard_all.unwrap_or_else(|_| panic!("{heard:?}"));
    assert!(heard.starts_with("HTTP/1.1 101"), "{heard}");
}

#[tokio::test]
async fn rests_do_not_hide_smuggling() {
    let (bench, target) = resting_edge().await;
    let mut wire = Wire::to(&bench).await;
    wire.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    wire.answer().await;
    tokio::time::sleep(REST).await;
    let bad = b"POST /bad HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    wire.send(bad).await;
    assert!(wire.answer().await.0.starts_with("http/1.1 400"));
    assert!(wire.is_closed().await);
    assert_eq!(target.seen().len(), 1);
}
