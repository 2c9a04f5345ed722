//! Bytes that no honest client sends: the edge answers as the standard says, or closes; it never
//! hangs, and its target, which keeps every byte, never sees a request that the standard forbids.

#![allow(clippy::unwrap_used)]

mod cases;
#[path = "../common/mod.rs"]
mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cases::{CASES, Then};
use common::judge::{Verdict, judge};
use common::raw_target::{RawTarget, Reached};
use common::{Bench, raw};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No input may keep the edge longer.
const SOON: Duration = Duration::from_secs(10);

async fn bench() -> (Bench, RawTarget) {
    let bench = Bench::new().await;
    let target = new_target(&bench).await;
    (bench, target)
}

/// A target that nothing was sent to yet.
async fn new_target(bench: &Bench) -> RawTarget {
    let target = RawTarget::start().await;
    let mut route = bench.route(&[target.address]);
    route.health.path = None;
    bench.set(route).await.unwrap();
    target
}

/// Sends bytes in parts, ends the own direction, and reads what comes.
async fn send(address: SocketAddr, parts: &[&[u8]]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for part in parts {
        let _ = stream.write_all(part).await;
        if parts.len() > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(SOON, reading).await;
    if read.is_err() {
        answer.extend(b"[the edge neither answers nor closes]");
    }
    answer
}

/// What is wrong with an answer and with what reached the target, if anything.
fn fault(answer: &[u8], reached: &Reached, then: &Then, most: usize) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let status = text.strip_prefix("HTTP/1.");
    let status = status.and_then(|rest| rest.get(2..5)?.parse::<u16>().ok());
    let fits = match then {
        Then::Status(expected) => status == Some(*expected),
        Then::OneOf(expected) => status.is_none_or(|status| expected.contains(&status)),
        Then::Closed => status.is_none(),
        Then::Passes => status == Some(200) && !reached.whole.is_empty(),
    };
    let hidden = reached
        .whole
        .iter()
        .any(|one| one.target.contains("hidden"));
    let seen = reached.whole.len() + reached.partial;
    let hangs = text.ends_with("nor closes]");
    let bad = !fits || hangs || hidden || seen > most || !reached.forbidden.is_empty();
    bad.then(|| format!("answered {text:?}, {reached:?} reached the target"))
}

#[tokio::test]
async fn bad_bytes_get_the_standards_answer() {
    assert!(CASES.len() >= 120);
    let bench = Bench::new().await;
    let mut wrong = Vec::new();
    for (name, bytes, then, most) in CASES {
        let target = new_target(&bench).await;
        let answer = send(bench.address, &[bytes]).await;
        let fault = fault(&answer, &target.reached(), then, *most);
        wrong.extend(fault.map(|fault| format!("{name}: {fault}")));
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    let good = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(bench.address, good).await;
    assert!(answer.ends_with("target"), "and it still serves: {answer}");
    let started = Instant::now();
    while bench.edge.status().connections > 0 {
        assert!(started.elapsed() < SOON, "connections are left over");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A head is watched as it comes: where it is cut must not matter.
#[tokio::test]
async fn bad_bytes_in_two_parts_are_as_bad() {
    let (bench, target) = bench().await;
    let both = CASES.iter().filter(|(name, ..)| name.starts_with("both, "));
    for (name, bytes, then, most) in both {
        for cut in 1..bytes.len() {
            let answer = send(bench.address, &[&bytes[..cut], &bytes[cut..]]).await;
            let fault = fault(&answer, &target.reached(), then, *most);
            assert!(fault.is_none(), "{name}, cut at {cut}: {fault:?}");
        }
    }
}

/// The judge has its own mind: what the edge must refuse it forbids as well.
#[test]
fn the_judge_forbids_what_the_edge_must_refuse() {
    // Refused by choice, or because a body that is not there yet would be too large.
    let allowed = [
        "CONNECT",
        "length beyond the limit",
        "unknown expectation",
        "TLS",
        "nulls",
    ];
    for (name, bytes, then, most) in CASES {
        if matches!((then, most), (Then::Status(_), 0)) && !allowed.contains(name) {
            let verdict = judge(bytes);
            assert!(
                matches!(verdict, Verdict::Forbidden(_)),
                "{name}: {verdict:?}"
            );
        }
    }
    let good = b"POST /a?b=c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let Verdict::Whole(request) = judge(good) else {
        panic!("{:?}", judge(good));
    };
    assert_eq!(
        (&request.body[..], request.length),
        (&b"abc"[..], good.len())
    );
    for cut in 0..good.len() {
        assert_eq!(judge(&good[..cut]), Verdict::Partial, "cut at {cut}");
    }
}

/// Two requests, the first with chunks, the second with a length.
const GOOD: &[u8] = b"POST /one HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n3\r\nabc\r\n0\r\n\r\n\
    PUT /two HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecond";

/// A client that closes early, politely or not, at each byte: nothing that was cut arrives whole.
#[tokio::test]
async fn an_early_close_at_each_point_completes_nothing() {
    let (bench, target) = bench().await;
    let first = GOOD.windows(4).position(|w| w == b"PUT ").unwrap();
    for cut in 0..=GOOD.len() {
        let whole = usize::from(cut >= first) + usize::from(cut == GOOD.len());
        let answer = send(bench.address, &[&GOOD[..cut]]).await;
        let reached = target.reached();
        assert!(reached.forbidden.is_empty(), "cut at {cut}: {reached:?}");
        assert_eq!(reached.whole.len(), whole, "cut at {cut}: {reached:?}");
        let answers = String::from_utf8_lossy(&answer)
            .matches("\r\n\r\ntarget")
            .count();
        assert_eq!(answers, whole, "cut at {cut}");
    }
    for cut in 0..=GOOD.len() {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        stream.write_all(&GOOD[..cut]).await.unwrap();
        drop(stream);
    }
    let started = Instant::now();
    while bench.edge.status().connections > 0 {
        assert!(started.elapsed() < SOON, "connections are left over");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let reached = target.reached();
    assert!(reached.forbidden.is_empty(), "{reached:?}");
    assert_eq!(bench.edge.status().routes[0].in_flight, 0);
}
