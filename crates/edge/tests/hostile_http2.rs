//! HTTP/2 that no honest client speaks: it ends in an error of the stream or of the connection, and
//! nothing comes to the target that the standard forbids in HTTP/1.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::Bench;
use common::frames::*;
use common::raw_target::RawTarget;

/// What becomes of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The stream is reset or answered with an error, or the connection ends. Nothing whole comes to
    /// the target.
    Refused,
    /// The connection ends.
    Ended,
    /// The target is asked, and the judge lets it pass.
    Passes,
    /// Either is right, as long as the judge has nothing against it.
    Either,
}

use Then::{Either, Ended, Passes, Refused};

type Case = (&'static str, Vec<u8>, Then);

fn head(name: &'static str, block: Vec<u8>, then: Then) -> Case {
    (name, frame(HEADERS, WHOLE, 1, &block), then)
}

/// A request whose head or pseudo-fields are wrong (RFC 9113, section 8).
fn heads() -> Vec<Case> {
    let with = |name, field, value: &str, then| head(name, request("GET", &[(field, value)]), then);
    let pseudo = |name, list: &[(&str, &str)], then| head(name, fields(list), then);
    let [method, scheme, path, host] = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a"),
    ];
    vec![
        head("a good one", request("GET", &[]), Passes),
        with("name in capitals", "X-Y", "z", Refused),
        with("connection", "connection", "close", Refused),
        with("keep-alive", "keep-alive", "5", Refused),
        with("proxy-connection", "proxy-connection", "close", Refused),
        with("transfer-encoding", "transfer-encoding", "chunked", Refused),
        with("upgrade", "upgrade", "websocket", Refused),
        with("te of more than trailers", "te", "gzip", Refused),
        with("te of trailers", "te", "trailers", Passes),
        with("http2-settings", "http2-settings", "AAMA", Passes),
        with("two hosts that differ", "host", "b", Either),
        with("host with a line end", "host", "a\r\nX: y", Refused),
        with(
            "line end in a value",
            "x",
            "a\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
            Refused,
        ),
        with("line feed in a value", "x", "a\ny: z", Refused),
        with("null in a value", "x", "a\0b", Refused),
        with("space in a name", "x y", "z", Refused),
        with("colon in a name", "x:y", "z", Refused),
        with("line end in a name", "x\r\ny", "z", Refused),
        with("no name", "", "z", Refused),
        with("length without a body", "content-length", "5", Refused),
        with("length with a sign", "content-length", "+0", Refused),
        with("length that is none", "content-length", "x", Refused),
        with(
            "length that overflows",
            "content-length",
            "99999999999999999999999",
            Refused,
        ),
        with("expectation", "expect", "more", Refused),
        pseudo("no method", &[scheme, path, host], Refused),
        pseudo("no scheme", &[method, path, host], Refused),
        pseudo("no path", &[method, scheme, host], Refused),
        pseudo("no authority", &[method, scheme, path], Either),
        pseudo(
            "two methods",
            &[method, method, scheme, path, host],
            Refused,
        ),
        pseudo(
            "two paths",
            &[method, scheme, path, (":path", "/hidden"), host],
            Refused,
        ),
        pseudo(
            "two authorities",
            &[method, scheme, path, host, (":authority", "b")],
            Refused,
        ),
        pseudo(
            "an unknown pseudo-field",
            &[method, scheme, path, host, (":x", "y")],
            Refused,
        ),
        pseudo(
            "an answer's pseudo-field",
            &[method, scheme, path, host, (":status", "200")],
            Refused,
        ),
        pseudo(
            "a pseudo-field after others",
            &[method, scheme, host, ("x", "y"), path],
            Refused,
        ),
        pseudo(
            "an empty path",
            &[method, scheme, (":path", ""), host],
            Refused,
        ),
        pseudo(
            "a path without a slash",
            &[method, scheme, (":path", "hidden"), host],
            Refused,
        ),
        pseudo(
            "a star for GET",
            &[method, scheme, (":path", "*"), host],
            Refused,
        ),
        pseudo(
            "a space in the path",
            &[method, scheme, (":path", "/a b"), host],
            Refused,
        ),
        pseudo(
            "a request line in the path",
            &[method, scheme, (":path", "/ HTTP/1.1\r\nX: y"), host],
            Refused,
        ),
        pseudo(
            "a null in the path",
            &[method, scheme, (":path", "/\0"), host],
            Refused,
        ),
        pseudo(
            "letters beyond ASCII in the path",
            &[method, scheme, (":path", "/ä"), host],
            Refused,
        ),
        pseudo(
            "a space in the method",
            &[(":method", "GET /hidden"), scheme, path, host],
            Refused,
        ),
        pseudo(
            "a line end in the method",
            &[(":method", "GET\r\n"), scheme, path, host],
            Refused,
        ),
        pseudo(
            "an empty method",
            &[(":method", ""), scheme, path, host],
            Refused,
        ),
        pseudo(
            "a line end in the authority",
            &[method, scheme, path, (":authority", "a\r\nX: y")],
            Refused,
        ),
        pseudo(
            "a user in the authority",
            &[method, scheme, path, (":authority", "u@a")],
            Either,
        ),
        pseudo(
            "a path in the authority",
            &[method, scheme, path, (":authority", "a/hidden")],
            Refused,
        ),
        pseudo(
            "an empty authority",
            &[method, scheme, path, (":authority", "")],
            Either,
        ),
        pseudo(
            "a space in the scheme",
            &[method, (":scheme", "ht tp"), path, host],
            Refused,
        ),
        pseudo(
            "another scheme",
            &[method, (":scheme", "ftp"), path, host],
            Either,
        ),
        pseudo(
            "CONNECT",
            &[(":method", "CONNECT"), (":authority", "a:80")],
            Refused,
        ),
        pseudo(
            "CONNECT with a path",
            &[(":method", "CONNECT"), scheme, path, host],
            Refused,
        ),
        pseudo(
            "CONNECT to a protocol",
            &[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                scheme,
                path,
                host,
            ],
            Refused,
        ),
        pseudo(
            "cookies in pieces",
            &[
                method,
                scheme,
                path,
                host,
                ("cookie", "a=1"),
                ("cookie", "b=2"),
            ],
            Passes,
        ),
    ]
}

/// Bodies and frames of a stream (RFC 9113, sections 5 and 6).
fn streams() -> Vec<Case> {
    let post = |length| {
        frame(
            HEADERS,
            END_HEADERS,
            1,
            &request("POST", &[("content-length", length)]),
        )
    };
    let open = frame(HEADERS, END_HEADERS, 1, &request("POST", &[]));
    let good = request("GET", &[]);
    let whole = |stream| frame(HEADERS, WHOLE, stream, &good);
    let trailers = |block: Vec<u8>| [open.clone(), frame(HEADERS, WHOLE, 1, &block)].concat();
    let then = |a: &[u8], b: &[u8]| [a, b].concat();
    vec![
        (
            "a body of its length",
            then(&post("3"), &frame(DATA, END_STREAM, 1, b"abc")),
            Passes,
        ),
        (
            "a body longer than its length",
            then(&post("3"), &frame(DATA, END_STREAM, 1, b"abcd")),
            Refused,
        ),
        (
            "a body shorter than its length",
            then(&post("3"), &frame(DATA, END_STREAM, 1, b"ab")),
            Refused,
        ),
        (
            "a body of no length but one",
            then(&post("0"), &frame(DATA, END_STREAM, 1, b"a")),
            Refused,
        ),
        ("trailers", trailers(fields(&[("x", "y")])), Passes),
        // Malformed; the library takes the field away instead of the request.
        (
            "trailers with a pseudo-field",
            trailers(fields(&[(":path", "/hidden")])),
            Either,
        ),
        (
            "trailers with a length",
            trailers(fields(&[("content-length", "5")])),
            Either,
        ),
        (
            "trailers with a coding",
            trailers(fields(&[("transfer-encoding", "chunked")])),
            Refused,
        ),
        (
            "trailers that are not the end",
            then(
                &open,
                &frame(HEADERS, END_HEADERS, 1, &fields(&[("x", "y")])),
            ),
            Refused,
        ),
        (
            "data before a head",
            frame(DATA, END_STREAM, 1, b"abc"),
            Ended,
        ),
        (
            "data on the connection",
            frame(DATA, END_STREAM, 0, b"abc"),
            Ended,
        ),
        (
            "data after the end",
            then(&whole(1), &frame(DATA, END_STREAM, 1, b"abc")),
            Either,
        ),
        ("a head after the end", then(&whole(1), &whole(1)), Either),
        (
            "a head on the connection",
            frame(HEADERS, WHOLE, 0, &good),
            Ended,
        ),
        ("a head on an even stream", whole(2), Ended),
        (
            "streams in descending order",
            then(&whole(5), &whole(3)),
            Ended,
        ),
        (
            "padding longer than the frame",
            frame(DATA, PADDED, 1, &[200, 1, 2]),
            Ended,
        ),
        (
            "a padded head longer than the frame",
            frame(HEADERS, WHOLE | PADDED, 1, &[200, 1, 2]),
            Ended,
        ),
        (
            "a head in pieces",
            then(
                &frame(HEADERS, END_STREAM, 1, &good[..9]),
                &frame(CONTINUATION, END_HEADERS, 1, &good[9..]),
            ),
            Passes,
        ),
        (
            "a head in pieces, another between",
            [
                frame(HEADERS, END_STREAM, 1, &good[..9]),
                whole(3),
                frame(CONTINUATION, END_HEADERS, 1, &good[9..]),
            ]
            .concat(),
            Ended,
        ),
        (
            "a ping in a head",
            [
                frame(HEADERS, END_STREAM, 1, &good[..9]),
                frame(PING, 0, 0, &[0; 8]),
                frame(CONTINUATION, END_HEADERS, 1, &good[9..]),
            ]
            .concat(),
            Ended,
        ),
        (
            "a piece of another stream",
            then(
                &frame(HEADERS, END_STREAM, 1, &good[..9]),
                &frame(CONTINUATION, END_HEADERS, 3, &good[9..]),
            ),
            Ended,
        ),
        (
            "a piece of no head",
            frame(CONTINUATION, END_HEADERS, 1, &good),
            Ended,
        ),
        (
            "a reset of nothing",
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]),
            Ended,
        ),
        (
            "a reset of the connection",
            frame(RST_STREAM, 0, 0, &[0, 0, 0, 8]),
            Ended,
        ),
        (
            "a reset of the wrong size",
            then(&open, &frame(RST_STREAM, 0, 1, &[0; 3])),
            Ended,
        ),
        (
            "a promise of a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &then(&[0, 0, 0, 2], &good)),
            Ended,
        ),
        (
            "a stream that depends on itself",
            then(&frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 0]), &whole(1)),
            Either,
        ),
        (
            "a priority of the wrong size",
            frame(PRIORITY, 0, 1, &[0; 4]),
            Either,
        ),
        (
            "a frame of an unknown kind",
            then(&frame(0xee, 0xff, 1, b"what"), &whole(1)),
            Passes,
        ),
    ]
}

/// Frames of the connection, and compression (RFC 9113, section 6; RFC 7541).
fn connections() -> Vec<Case> {
    let settings = |number: u8, value: u32| {
        let value = value.to_be_bytes();
        frame(SETTINGS, 0, 0, &[&[0, number][..], &value].concat())
    };
    let open = frame(HEADERS, END_HEADERS, 1, &request("POST", &[]));
    let full = frame(WINDOW_UPDATE, 0, 1, &0x7fff_ffff_u32.to_be_bytes());
    vec![
        (
            "settings of a wrong size",
            frame(SETTINGS, 0, 0, &[0; 5]),
            Ended,
        ),
        ("settings of a stream", frame(SETTINGS, 0, 1, b""), Ended),
        (
            "settings acknowledged with words",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            Ended,
        ),
        (
            "settings never sent, acknowledged",
            frame(SETTINGS, ACK, 0, b"").repeat(3),
            Either,
        ),
        (
            "a window that is too large",
            settings(4, 0x8000_0000),
            Ended,
        ),
        ("frames that are too small", settings(5, 100), Ended),
        ("frames that are too large", settings(5, 0x0100_0000), Ended),
        ("push that is neither on nor off", settings(2, 2), Ended),
        ("a ping of a stream", frame(PING, 0, 1, &[0; 8]), Ended),
        ("a ping of a wrong size", frame(PING, 0, 0, &[0; 7]), Ended),
        (
            "a farewell of a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
            Ended,
        ),
        (
            "a window opened by nothing",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
            Ended,
        ),
        (
            "a window opened too far",
            frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
            Ended,
        ),
        (
            "a stream's window opened by nothing",
            [open.clone(), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat(),
            Refused,
        ),
        (
            "a stream's window opened too far",
            [open, full.clone()].concat(),
            Refused,
        ),
        ("a window of no stream", full, Ended),
        (
            "a window update of a wrong size",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            Ended,
        ),
        (
            "a frame that is too large",
            frame(DATA, 0, 1, &[0; 16_385]),
            Ended,
        ),
        head("an index of nothing", vec![0xff, 0x20], Ended),
        head("index 0", vec![0x80], Ended),
        head("a number without an end", vec![0xff; 30], Ended),
        head("a length beyond the block", vec![0, 0x20, b'a'], Ended),
        head(
            "a table that is too large",
            [&[0x3f, 0xff, 0xff, 0xff, 0x07][..], &request("GET", &[])].concat(),
            Ended,
        ),
        head(
            "a wrong Huffman code",
            vec![0, 0x84, 0xff, 0xff, 0xff, 0xff, 0],
            Ended,
        ),
        head("no block", Vec::new(), Refused),
    ]
}

fn fault(said: &Said, whole: usize, then: Then) -> bool {
    let ended =
        said.goaway.is_some_and(|code| code != 0) || (said.closed && said.goaway != Some(0));
    // The static table has 200 at 8, 400 at 12, and further statuses are literals.
    let good = said.heads.iter().any(|(_, first)| *first == 0x88);
    let refused = ended || !said.resets.is_empty() || !said.heads.is_empty();
    match then {
        Passes => !good || whole == 0,
        Refused => !refused || good || whole > 0,
        Ended => !ended,
        Either => false,
    }
}

#[tokio::test]
async fn bad_frames_are_errors_and_targets_see_none_of_it() {
    let cases = [heads(), streams(), connections()].concat();
    assert!(cases.len() >= 100, "{}", cases.len());
    let bench = Bench::new().await;
    let mut wrong = Vec::new();
    for (name, bytes, then) in cases {
        let target = RawTarget::start().await;
        let mut route = bench.route(&[target.address]);
        route.health.path = None;
        bench.set(route).await.unwrap();
        let answered = |said: &Said| {
            let streams = !said.heads.is_empty() || !said.resets.is_empty();
            then != Ended && (streams || said.goaway.is_some())
        };
        let said = talk(bench.address, &bytes, answered).await;
        let reached = target.reached();
        let hidden = reached
            .whole
            .iter()
            .any(|one| one.target.contains("hidden"));
        if fault(&said, reached.whole.len(), then) || hidden || !reached.forbidden.is_empty() {
            wrong.push(format!("{name}: {then:?}, but {said:?}, {reached:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    let started = Instant::now();
    while bench.edge.status().connections > 0 {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "connections are left over"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
