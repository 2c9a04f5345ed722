//! The load sees what it is there to see: each way in which a site can fail somebody.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use testkit::load::ledger::{Ledger, Order};
use testkit::load::{Closing, Kind, Load, Plan, Report};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What a server does at the n-th request on one connection.
type Script = fn(path: &str, count: usize) -> Reply;

enum Reply {
    Release(u64, String),
    Raw(&'static str),
}

/// A request of the load, as it is to be answered.
fn good(path: &str, release: u64) -> Reply {
    let body = match path {
        "/page" => format!("page {release} api {release}\n<link>\n"),
        "/static/site.css" => format!("/* release {release} */\n"),
        _ => format!("release {release} took 0"),
    };
    Reply::Release(release, body)
}

/// All that fails has one of these words in it; without a word nothing fails.
async fn check(kind: Kind, script: Script, word: Option<&str>) {
    let address = serve(script).await;
    let report = ask(address, kind).await;
    match word {
        None => {
            assert_eq!(report.failures.len(), 0, "{:#?}", report.failures);
            assert!(report.count(kind) > 5);
        }
        Some(word) => {
            let is_told = report.failures.iter().any(|it| it.what.contains(word));
            assert!(is_told, "no {word:?} in {:#?}", report.failures);
        }
    }
}

/// Half a second of one kind.
async fn ask(address: SocketAddr, kind: Kind) -> Report {
    let ledger = Ledger::new(Order::PerConnection);
    ledger.expect(1);
    ledger.expect(2);
    let plan = Plan {
        rates: vec![(kind, 40.0)],
        slow: Duration::ZERO,
        long: Duration::ZERO,
        closing: Closing::Announced,
    };
    let load = Load::start(address, plan, &ledger);
    tokio::time::sleep(Duration::from_millis(500)).await;
    load.end().await
}

#[tokio::test]
async fn a_load_sees_what_fails() {
    check(Kind::Get, |path, _| good(path, 1), None).await;
    check(Kind::Page, |path, _| good(path, 1), None).await;
    check(Kind::Fresh, |path, _| good(path, 2), None).await;

    let silent: Script = |path, count| match count {
        3 => Reply::Raw(""),
        _ => good(path, 1),
    };
    check(Kind::Get, silent, Some("no answer")).await;
    let cut: Script =
        |_, _| Reply::Raw("HTTP/1.1 200 OK\r\nx-release: 1\r\ncontent-length: 99\r\n\r\nr");
    check(Kind::Get, cut, Some("broken off")).await;
    let sorry: Script = |_, _| Reply::Raw("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
    check(Kind::Fresh, sorry, Some("502")).await;
    let unknown: Script = |path, _| good(path, 7);
    check(Kind::Get, unknown, Some("release 7 answers")).await;
}

#[tokio::test]
async fn a_load_sees_mixed_releases() {
    let back: Script = |path, count| good(path, if count == 3 { 2 } else { 1 });
    check(Kind::Get, back, Some("release 1 answers, at place 1")).await;
    let pair: Script = |path, _| match path {
        "/page" => Reply::Release(2, "page 2 api 1\n".to_owned()),
        _ => good(path, 2),
    };
    check(Kind::Page, pair, Some("mixed: release 2 sends")).await;
    let old_sheet: Script = |path, _| good(path, if path == "/page" { 2 } else { 1 });
    check(Kind::Page, old_sheet, Some("release 1 answers")).await;
    let new_sheet: Script = |path, _| good(path, if path == "/page" { 1 } else { 2 });
    check(Kind::Page, new_sheet, Some("release 1 answers")).await;
    let switch: Script = |path, count| good(path, if count < 2 { 1 } else { 2 });
    check(Kind::Page, switch, None).await;
}

async fn serve(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, script));
        }
    });
    address
}

async fn converse(stream: TcpStream, script: Script) {
    let mut stream = BufReader::new(stream);
    for count in 1.. {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if !matches!(stream.read_line(&mut head).await, Ok(1..)) {
                return;
            }
        }
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let (answer, ends) = match script(&path, count) {
            Reply::Raw(text) => (text.to_owned(), true),
            Reply::Release(release, body) => {
                let length = body.len();
                let head = format!("x-release: {release}\r\ncontent-length: {length}");
                (format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}"), false)
            }
        };
        if stream.write_all(answer.as_bytes()).await.is_err() || ends {
            return;
        }
    }
}
