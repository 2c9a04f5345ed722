//! Notices requests that say twice where their body ends.
//!
//! A head with both `Content-Length` and `Transfer-Encoding` is what smuggling is made of. The
//! parser follows the second and forgets the first, as it may (RFC 9112, section 6.1), so whoever
//! wants to refuse such a request has to see its bytes.

/// The longest name that matters.
const LONGEST: usize = "transfer-encoding".len();

/// Reads along with the parser, from the first byte of a head to its empty line.
#[derive(Debug, Default)]
pub(crate) struct HeadWatch {
    line: [u8; LONGEST + 1],
    filled: usize,
    any_line: bool,
    length: bool,
    coding: bool,
    done: bool,
}

impl HeadWatch {
    /// Takes the next bytes; what comes after the empty line is ignored.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while !self.done && !bytes.is_empty() {
            match memchr::memchr(b'\n', bytes) {
                Some(end) => {
                    self.fill(&bytes[..end]);
                    self.end_line();
                    bytes = &bytes[end + 1..];
                }
                None => return self.fill(bytes),
            }
        }
    }

    /// Whether both fields were there.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.length && self.coding
    }

    fn fill(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(self.line.len() - self.filled);
        self.line[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
    }

    fn end_line(&mut self) {
        let line = &self.line[..self.filled];
        let empty = line.is_empty() || line == b"\r";
        self.length |= starts_with(line, b"content-length:");
        self.coding |= starts_with(line, b"transfer-encoding:");
        // Empty lines before a request are allowed (RFC 9112, section 2.2).
        self.done = empty && self.any_line;
        self.any_line |= !empty;
        self.filled = 0;
    }
}

fn starts_with(line: &[u8], name: &[u8]) -> bool {
    line.len() >= name.len() && line[..name.len()].eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_heads_with_both_are_ambiguous() {
        let cases: &[(&str, bool)] = &[
            (
                "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                true,
            ),
            (
                "POST / HTTP/1.1\r\nTRANSFER-ENCODING: chunked\r\nx: y\r\ncontent-length: 1\r\n\r\n",
                true,
            ),
            (
                "\r\nPOST / HTTP/1.1\nContent-Length: 1\nTransfer-Encoding: chunked\n\n",
                true,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nTransfer-Encoding: chunked\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nContent-Length: 5\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nX: Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length-X: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
            ),
        ];
        for (text, ambiguous) in cases {
            for cut in 0..text.len() {
                let mut watch = HeadWatch::default();
                watch.feed(&text.as_bytes()[..cut]);
                watch.feed(&text.as_bytes()[cut..]);
                assert_eq!(watch.is_ambiguous(), *ambiguous, "{text:?} cut at {cut}");
            }
        }
    }
}
