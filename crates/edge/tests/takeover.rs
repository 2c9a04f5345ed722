//! A new edge takes the place of the old one under load, again and again.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::frames::{ACK, GOAWAY, HEADERS, PING, PREFACE, SETTINGS, WHOLE, frame, request};
use common::{Bench, PATIENCE, Target, ask, client, free_port, get, post, quick, route};
use edge::{Edge, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// Starts an edge that ends when another has taken over and its connections are done.
async fn take_over(folder: &Path) -> Edge {
    let edge = Edge::take_over(Settings::new(folder)).await.unwrap();
    let leaving = edge.clone();
    tokio::spawn(async move {
        leaving.handed_over().await;
        leaving.stop(Duration::from_secs(20)).await;
    });
    edge
}

#[derive(Default)]
struct Findings {
    stop: AtomicBool,
    answers: AtomicUsize,
    failures: std::sync::Mutex<Vec<String>>,
}

/// A client as they are: it opens a new connection when the server has said that it closes this
/// one, and counts everything else as a failure.
async fn load(address: SocketAddr, findings: Arc<Findings>, size: usize) {
    let mut last = 0;
    'connections: while !findings.stop.load(Ordering::Relaxed) {
        let mut sender = client(address).await;
        while !findings.stop.load(Ordering::Relaxed) {
            let request = if size == 0 {
                get("/slow/5")
            } else {
                post("/", size)
            };
            match ask(&mut sender, request).await {
                Ok((200, release, _)) if release >= last => {
                    last = release;
                    findings.answers.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) if error.starts_with("not ready") => continue 'connections,
                other => {
                    findings
                        .failures
                        .lock()
                        .unwrap()
                        .push(format!("{other:?} after {last}"));
                    continue 'connections;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_times_under_load_without_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_port();
    let mut edge = take_over(folder.path()).await;
    let mut target = Target::start(1).await;
    edge.set(quick(vec![route(address, &[target.address])]), |_| {})
        .await
        .unwrap();

    let findings = Arc::new(Findings::default());
    let mut clients = tokio::task::JoinSet::new();
    for size in [0, 0, 0, 100_000] {
        clients.spawn(load(address, Arc::clone(&findings), size));
    }
    for round in 0..20_u64 {
        edge = take_over(folder.path()).await;
        if round % 4 == 0 {
            let next = Target::start(round + 2).await;
            edge.set(quick(vec![route(address, &[next.address])]), |_| {})
                .await
                .unwrap();
            // Drained there and here: nobody needs it.
            target.kill();
            target = next;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    findings.stop.store(true, Ordering::Relaxed);
    while clients.join_next().await.is_some() {}
    let failures = findings.failures.lock().unwrap();
    assert!(
        failures.is_empty(),
        "{} failures, such as {:?}",
        failures.len(),
        &failures[..failures.len().min(5)]
    );
    assert!(findings.answers.load(Ordering::Relaxed) > 200);
}

#[tokio::test]
async fn the_old_edge_follows_for_the_connections_it_still_has() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_port();
    let old = take_over(folder.path()).await;
    let (one, two) = (Target::start(1).await, Target::start(2).await);
    old.set(quick(vec![route(address, &[one.address])]), |_| {})
        .await
        .unwrap();
    // A connection that has been taken, but has not asked yet, stays with the old edge.
    let mut kept = TcpStream::connect(address).await.unwrap();
    while old.status().connections < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let new = take_over(folder.path()).await;
    new.set(quick(vec![route(address, &[two.address])]), |_| {})
        .await
        .unwrap();
    one.kill();
    kept.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    kept.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.contains("x-release: 2") && answer.contains("connection: close"),
        "{answer}"
    );
    let error = old
        .set(quick(vec![route(address, &[two.address])]), |_| {})
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("another edge has taken over"), "{error}");
}

#[tokio::test]
async fn a_take_over_that_breaks_off_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_port();
    let edge = take_over(folder.path()).await;
    let target = Target::start(1).await;
    edge.set(quick(vec![route(address, &[target.address])]), |_| {})
        .await
        .unwrap();
    let mut stream = UnixStream::connect(folder.path().join("edge.sock"))
        .await
        .unwrap();
    stream
        .write_all(b"{\"command\":\"takeover\"}\n")
        .await
        .unwrap();
    let mut some = [0; 5];
    stream.read_exact(&mut some).await.unwrap();
    drop(stream);
    assert_eq!(
        ask(&mut client(address).await, get("/")).await.unwrap().0,
        200
    );
    let next = Target::start(2).await;
    let set = edge.set(quick(vec![route(address, &[next.address])]), |_| {});
    tokio::time::timeout(PATIENCE, set).await.unwrap().unwrap();
    assert_eq!(
        ask(&mut client(address).await, get("/")).await.unwrap().1,
        2
    );
}

/// What the next frame of this kind says.
async fn next(stream: &mut TcpStream, wanted: u8) -> Vec<u8> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == wanted {
            return payload;
        }
    }
}

#[tokio::test]
async fn a_stream_that_comes_too_late_does_not_end_in_a_reset() {
    let bench = Bench::new().await;
    let target = Target::start(1).await;
    bench.to(&[&target]).await;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    stream.write_all(&hello).await.unwrap();
    next(&mut stream, SETTINGS).await;
    let edge = bench.edge.clone();
    let stopping = tokio::spawn(async move { edge.stop(Duration::from_secs(20)).await });
    next(&mut stream, GOAWAY).await;
    let asked = next(&mut stream, PING).await;
    stream
        .write_all(&frame(PING, ACK, 0, &asked))
        .await
        .unwrap();
    let last = next(&mut stream, GOAWAY).await;
    assert_eq!(last[..4], [0; 4], "no stream was looked at");
    for number in [1, 3, 5] {
        let late = frame(HEADERS, WHOLE, number, &request("GET", &[]));
        stream.write_all(&late).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    drop(stream);
    stopping.await.unwrap();
    assert_eq!(target.seen().len(), 0);
}
