//! Replaces secrets in a stream by `[MASKED]`, however the stream is cut into writes.
//!
//! An Aho-Corasick automaton (Aho and Corasick, 1975) knows after each byte how long a prefix of a
//! secret the stream ends with; so many bytes are held back, and no more. A held prefix is let go
//! only when it has become clear that it is none, or at the end of the stream: silence alone
//! releases nothing.

use std::collections::VecDeque;

/// What stands in a secret's place.
pub(crate) const REPLACEMENT: &[u8] = b"[MASKED]";

/// A line of a secret of several lines is masked by itself when it is at least this long: shorter
/// ones (`}`, `-----`) would blacken half of the log.
const SHORTEST_LINE: usize = 6;

/// Masks one stream.
#[derive(Debug)]
pub(crate) struct Masker {
    nodes: Vec<Node>,
    /// Bytes that start a secret: all others pass at once while nothing is held.
    starts: Box<[bool; 256]>,
    state: u32,
    held: VecDeque<u8>,
    /// Offset of the first held byte in the stream.
    offset: u64,
    /// Parts of what is held, and later, that are secrets: ascending, apart from each other.
    covered: VecDeque<(u64, u64)>,
    /// The replacement for the secret that the held bytes begin within is already written.
    replaced: bool,
}

#[derive(Debug, Default, Clone)]
struct Node {
    edges: Vec<(u8, u32)>,
    /// The longest proper suffix that is a prefix of a secret.
    fail: u32,
    depth: u32,
    /// Length of the longest secret that ends here; 0 is none.
    ends: u32,
}

const ROOT: u32 = 0;

impl Masker {
    /// Masks these secrets, each also line by line. Empty ones are left out.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut masker = Self {
            nodes: vec![Node::default()],
            starts: Box::new([false; 256]),
            state: ROOT,
            held: VecDeque::new(),
            offset: 0,
            covered: VecDeque::new(),
            replaced: false,
        };
        for secret in secrets {
            for pattern in patterns(secret) {
                masker.insert(pattern.as_bytes());
            }
        }
        masker.link();
        masker
    }

    /// Takes the next part of the stream; appends to `out` what is certain.
    pub(crate) fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            if self.state == ROOT && self.held.is_empty() {
                input = self.pass(input, out);
            }
            let Some((&byte, rest)) = input.split_first() else {
                break;
            };
            self.step(byte);
            let keep = self.nodes[self.state as usize].depth as usize;
            self.release(self.held.len() - keep, out);
            input = rest;
        }
    }

    /// The stream has ended: what is still held goes out.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.release(self.held.len(), out);
        self.state = ROOT;
    }

    /// Copies up to the first byte that may start a secret; returns the rest.
    fn pass<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let clear = input
            .iter()
            .position(|&byte| self.starts[usize::from(byte)])
            .unwrap_or(input.len());
        out.extend_from_slice(&input[..clear]);
        self.offset += clear as u64;
        self.replaced &= clear == 0;
        &input[clear..]
    }

    fn step(&mut self, byte: u8) {
        self.held.push_back(byte);
        self.state = self.next(self.state, byte);
        let ends = u64::from(self.nodes[self.state as usize].ends);
        if ends > 0 {
            let end = self.offset + self.held.len() as u64;
            self.cover(end - ends, end);
        }
    }

    fn next(&self, mut state: u32, byte: u8) -> u32 {
        loop {
            let node = &self.nodes[state as usize];
            if let Some(&(_, next)) = node.edges.iter().find(|(edge, _)| *edge == byte) {
                return next;
            }
            if state == ROOT {
                return ROOT;
            }
            state = node.fail;
        }
    }

    fn cover(&mut self, mut start: u64, end: u64) {
        while let Some(&(last_start, last_end)) = self.covered.back() {
            if last_end < start {
                break;
            }
            start = start.min(last_start);
            self.covered.pop_back();
        }
        self.covered.push_back((start, end));
    }

    /// Lets the first `count` held bytes out, masked where they are covered.
    fn release(&mut self, count: usize, out: &mut Vec<u8>) {
        for byte in self.held.drain(..count) {
            let hidden = self
                .covered
                .front()
                .is_some_and(|&(start, end)| (start..end).contains(&self.offset));
            if hidden && !self.replaced {
                out.extend_from_slice(REPLACEMENT);
            } else if !hidden {
                out.push(byte);
            }
            self.replaced = hidden;
            self.offset += 1;
            if self
                .covered
                .front()
                .is_some_and(|&(_, end)| end <= self.offset)
            {
                self.covered.pop_front();
            }
        }
    }

    fn insert(&mut self, pattern: &[u8]) {
        let mut state = ROOT as usize;
        for &byte in pattern {
            let known = self.nodes[state]
                .edges
                .iter()
                .find(|(edge, _)| *edge == byte);
            state = match known {
                Some(&(_, next)) => next as usize,
                None => {
                    let next = self.nodes.len();
                    let depth = self.nodes[state].depth + 1;
                    self.nodes.push(Node {
                        depth,
                        ..Node::default()
                    });
                    self.nodes[state].edges.push((byte, index(next)));
                    next
                }
            };
        }
        self.nodes[state].ends = self.nodes[state].depth;
        if let Some(&first) = pattern.first() {
            self.starts[usize::from(first)] = true;
        }
    }

    /// Sets each node's `fail`, breadth first, so that a node's own suffixes are set before it.
    fn link(&mut self) {
        let mut queue: VecDeque<u32> = self.nodes[0].edges.iter().map(|&(_, n)| n).collect();
        while let Some(state) = queue.pop_front() {
            for (byte, child) in self.nodes[state as usize].edges.clone() {
                let fail = self.next(self.nodes[state as usize].fail, byte);
                let inherited = self.nodes[fail as usize].ends;
                let node = &mut self.nodes[child as usize];
                node.fail = fail;
                node.ends = node.ends.max(inherited);
                queue.push_back(child);
            }
        }
    }
}

/// What to look for: the secret, without the line break at its end that an `echo` would eat, and
/// each of its lines.
fn patterns(secret: &str) -> impl Iterator<Item = &str> {
    let whole = secret.trim_end_matches(['\r', '\n']);
    let lines = whole
        .lines()
        .map(str::trim)
        .filter(|line| line.len() >= SHORTEST_LINE);
    std::iter::once(whole)
        .chain(lines)
        .filter(|pattern| !pattern.trim().is_empty())
}

fn index(position: usize) -> u32 {
    u32::try_from(position).expect("all secrets of one job together are shorter than 4 GiB")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(secrets: &[&str], parts: &[&[u8]]) -> String {
        let mut masker = Masker::new(secrets.iter().copied());
        let mut out = Vec::new();
        for part in parts {
            masker.push(part, &mut out);
        }
        masker.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn cases() {
        for (secrets, input, expected) in [
            (&["hunter2"][..], "a hunter2 b", "a [MASKED] b"),
            (&["hunter2"], "hunter2", "[MASKED]"),
            (&["hunter2"], "hunterX", "hunterX"),
            (&["hunter2"], "hunthunter2", "hunt[MASKED]"),
            (&["abc", "bcd"], "xabcdx", "x[MASKED]x"),
            (&["abcd", "bc"], "abcx", "a[MASKED]x"),
            (&["abcd", "b"], "abcx", "a[MASKED]cx"),
            (&["aa"], "aaaa", "[MASKED]"),
            (&["aab"], "aaab", "a[MASKED]"),
            (&["secret", "secretlonger"], "secretlonger.", "[MASKED]."),
            (&["secret", "secretlonger"], "secretlong.", "[MASKED]long."),
            (&["", "  "], "a  b", "a  b"),
            (&["line one\nline two\n}\n"], "line two }", "[MASKED] }"),
            (&["value\n"], "value.", "[MASKED]."),
            (&["ü€"], "äü€ö", "ä[MASKED]ö"),
            (&[], "plain", "plain"),
        ] {
            assert_eq!(masked(secrets, &[input.as_bytes()]), expected, "{input}");
        }
    }

    #[test]
    fn silence_releases_no_prefix() {
        let mut masker = Masker::new(["hunter2"]);
        let mut out = Vec::new();
        masker.push(b"password: hunter", &mut out);
        assert_eq!(out, b"password: ");
        masker.push(b"", &mut out);
        assert_eq!(out, b"password: ");
        masker.push(b"2\n", &mut out);
        assert_eq!(out, b"password: [MASKED]\n");
    }

    /// Masks with nothing but a search for every secret at every place.
    fn reference(secrets: &[String], input: &[u8]) -> Vec<u8> {
        let mut hidden = vec![false; input.len()];
        for secret in secrets.iter().flat_map(|secret| patterns(secret)) {
            for start in 0..input.len() {
                if input[start..].starts_with(secret.as_bytes()) {
                    hidden[start..start + secret.len()].fill(true);
                }
            }
        }
        let mut out = Vec::new();
        for (at, &byte) in input.iter().enumerate() {
            match (hidden[at], at > 0 && hidden[at - 1]) {
                (false, _) => out.push(byte),
                (true, false) => out.extend_from_slice(REPLACEMENT),
                (true, true) => {}
            }
        }
        out
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same(
            secrets in prop::collection::vec("[ab\n]{1,9}", 0..5),
            input in "[abc\n]{0,80}",
            cuts in prop::collection::vec(0_usize..80, 0..12),
        ) {
            let bytes = input.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            let texts: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let expected = reference(&secrets, bytes);
            prop_assert_eq!(masked(&texts, &parts), String::from_utf8_lossy(&expected));
        }

        #[test]
        fn nothing_of_a_secret_is_seen_before_it_ends(
            before in "[a-c ]{0,10}",
            secret in "[a-c]{4,8}",
            seen in 0_usize..8,
        ) {
            let mut masker = Masker::new([secret.as_str()]);
            let mut out = Vec::new();
            let seen = seen.min(secret.len() - 1);
            masker.push(before.as_bytes(), &mut out);
            masker.push(&secret.as_bytes()[..seen], &mut out);
            let mut whole = out.clone();
            masker.push(&secret.as_bytes()[seen..], &mut whole);
            masker.finish(&mut whole);
            prop_assert_eq!(&whole[..out.len()], &out[..]);
            let expected = reference(std::slice::from_ref(&secret), format!("{before}{secret}").as_bytes());
            prop_assert_eq!(whole, expected);
        }
    }
}
