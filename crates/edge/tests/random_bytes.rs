//! Random bytes from both sides, mostly put together from words of the protocols: the edge does not
//! panic, does not hang, serves on, and its target never sees what the standard forbids.
//!
//! Each run takes another seed, which it prints; `EDGE_SEED=…` repeats a run, `EDGE_ROUNDS=…` makes
//! it longer. The fuzz target in `fuzz` does the same led by coverage.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::arena::Arena;
use common::frames::{PREFACE, frame, request};

const WORDS: &[&[u8]] = &[
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"OPTIONS ",
    b"CONNECT ",
    b"/",
    b"*",
    b"http://a/",
    b"a:80",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b" ",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\t",
    b"\0",
    b":",
    b",",
    b";",
    b"Host: a\r\n",
    b"Host: ",
    b"Content-Length: ",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: ",
    b"chunked",
    b"gzip",
    b"Connection: close\r\n",
    b"Connection: ",
    b"keep-alive",
    b"Upgrade: websocket\r\n",
    b"Connection: upgrade\r\n",
    b"Expect: 100-continue\r\n",
    b"TE: trailers\r\n",
    b"Trailer: x\r\n",
    b"X: y\r\n",
    b"0\r\n\r\n",
    b"3\r\nabc\r\n",
    b"abc",
    b"5",
    b"ffffffffffffffff",
    b"-1",
    b"+3",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n",
    b"HTTP/1.1 304 Not Modified\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 ",
    b"200",
    b"999",
    b"Set-Cookie: a=b\r\n",
    b"\xff",
    b"\x7f",
    b"\xc3\xa4",
];

/// xorshift64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Words in any order, behind a good beginning as often as not.
    fn words(&mut self, beginnings: &[&[u8]]) -> Vec<u8> {
        let mut bytes = match self.below(4) {
            0 => Vec::new(),
            _ => beginnings[self.below(beginnings.len())].to_vec(),
        };
        for _ in 0..self.below(12) {
            bytes.extend(WORDS[self.below(WORDS.len())]);
        }
        self.scratch(bytes)
    }

    /// Frames of any kind, with payloads that fit sometimes.
    fn frames(&mut self) -> Vec<u8> {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(4, 0, 0, b""));
        for _ in 0..self.below(8) {
            let payload = match self.below(4) {
                0 => request("POST", &[("x", "y")]),
                1 => self.next().to_be_bytes()[..self.below(9)].to_vec(),
                2 => WORDS[self.below(WORDS.len())].to_vec(),
                _ => Vec::new(),
            };
            let [kind, flags] = [self.below(11) as u8, [0, 1, 4, 5, 0xff][self.below(5)]];
            bytes.extend(frame(kind, flags, [0, 1, 1, 3, 2][self.below(5)], &payload));
        }
        self.scratch(bytes)
    }

    /// Changes, takes or doubles a byte now and then.
    fn scratch(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        while !bytes.is_empty() && self.below(3) == 0 {
            let place = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[place] = self.next() as u8,
                1 => drop(bytes.remove(place)),
                2 => bytes.insert(place, bytes[place]),
                _ => bytes.truncate(place),
            }
        }
        bytes
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_on_both_sides_do_no_harm() {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("EDGE_SEED").unwrap_or_else(|| clock.unwrap().as_nanos() as u64) | 1;
    let rounds = number("EDGE_ROUNDS").unwrap_or(5000);
    println!("EDGE_SEED={seed} EDGE_ROUNDS={rounds}");
    let panics: Arc<AtomicUsize> = Arc::default();
    let counter = Arc::clone(&panics);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |what| {
        counter.fetch_add(1, Ordering::SeqCst);
        before(what);
    }));

    let folder = tempfile::tempdir().unwrap();
    let arena = Arena::start(folder.path()).await;
    let mut random = Random(seed);
    let mut passed = 0;
    for round in 0..rounds {
        let client = match random.below(4) {
            0 => random.frames(),
            _ => random.words(&[
                b"GET / HTTP/1.1\r\nHost: a\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            ]),
        };
        let http2 = random.below(5) == 0;
        let answer = match http2 {
            true => random
                .frames()
                .get(PREFACE.len()..)
                .unwrap_or_default()
                .to_vec(),
            false => random.words(&[
                b"HTTP/1.1 200 OK\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            ]),
        };
        let shown = || {
            let [client, answer] =
                [&client, &answer].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            format!("seed {seed}, round {round}: {client:?} answered {answer:?}")
        };
        let told = arena.round(&client, &answer, http2).await;
        assert!(told.is_ok(), "{}: {told:?}", shown());
        passed += u64::from(told.is_ok_and(|got| got.starts_with(b"HTTP/1.1 200")));
        assert_eq!(panics.load(Ordering::SeqCst), 0, "a panic in {}", shown());
        if round % 100 == 0 {
            assert!(arena.serves().await, "no good answer after {}", shown());
        }
    }
    assert!(
        arena.serves().await,
        "no good answer after it all, seed {seed}"
    );
    println!("{passed} of {rounds} rounds were answered by the target");
    assert!(passed * 50 > rounds, "too little comes through: {passed}");
}
