//! Whatever a client sends and a target answers, the edge does not panic, does not hang, and its
//! target never sees a request that the standard forbids.
//!
//! The first byte says which protocol the target speaks and whether the client begins with the
//! preface of HTTP/2; the next two say how many of the bytes are the client's. A real edge on
//! loopback is between the two.
//!
//! `cargo fuzz run -s none bytes` (stable Rust will do without sanitizer).

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::runtime::Runtime;

#[path = "../../tests/common/arena.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod arena;
#[path = "../../tests/common/judge.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod judge;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

/// One edge for all rounds.
static STAGE: OnceLock<(Runtime, arena::Arena, TempDir)> = OnceLock::new();

fn stage() -> (Runtime, arena::Arena, TempDir) {
    // A panic in a task of the edge must end the run.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |what| {
        tell(what);
        std::process::abort();
    }));
    let folder = tempfile::tempdir().expect("a folder for the state");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let arena = runtime.block_on(arena::Arena::start(folder.path()));
    (runtime, arena, folder)
}

fuzz_target!(|data: &[u8]| {
    let [kind, high, low, bytes @ ..] = data else {
        return;
    };
    let split = usize::from(u16::from_be_bytes([*high, *low])).min(bytes.len());
    let (client, answer) = bytes.split_at(split);
    let (to_http2, from_http2) = (kind & 1 == 1, kind & 2 == 2);
    let client = if from_http2 { [PREFACE, client].concat() } else { client.to_vec() };
    let answer = if to_http2 { [SETTINGS, answer].concat() } else { answer.to_vec() };
    let (runtime, arena, _) = STAGE.get_or_init(stage);
    let told = runtime.block_on(arena.round(&client, &answer, to_http2));
    assert!(told.is_ok(), "{told:?}");
});
