//! Notices requests that say twice where their body ends.
//!
//! A head with both `Content-Length` and `Transfer-Encoding` is what smuggling is made of. The
//! parser follows the second and forgets the first, as it may (RFC 9112, section 6.1), so whoever
//! wants to refuse such a request has to see its bytes. Requests can come ahead of the answers
//! before them, so bodies are followed as well, to know where the next head begins.

/// The longest line that matters: `content-length:`, a few spaces and any number.
const LONGEST: usize = 64;

/// Reads along with the parser, from the first byte of a connection.
#[derive(Debug)]
pub(crate) struct HeadWatch {
    line: [u8; LONGEST + 1],
    filled: usize,
    after_return: bool,
    length: Option<u64>,
    coding: bool,
    place: Place,
    ambiguous: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Ahead of a head, where empty lines are allowed (RFC 9112, section 2.2).
    Ahead,
    Head,
    /// So many bytes of a body are left.
    Body(u64),
    /// So many bytes of a chunk and the end of its line are left.
    Chunk(u64),
    ChunkSize,
    Trailers,
    /// Where no request can follow.
    Nowhere,
}

impl Default for HeadWatch {
    fn default() -> Self {
        Self {
            line: [0; LONGEST + 1],
            filled: 0,
            after_return: false,
            length: None,
            coding: false,
            place: Place::Ahead,
            ambiguous: false,
        }
    }
}

impl HeadWatch {
    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.place {
                Place::Nowhere => return,
                Place::Body(left) => self.skip(bytes, left, Place::Body, Place::Ahead),
                Place::Chunk(left) => self.skip(bytes, left, Place::Chunk, Place::ChunkSize),
                Place::Ahead | Place::Head | Place::ChunkSize | Place::Trailers => {
                    self.take_line(bytes)
                }
            };
        }
    }

    /// Whether all that came so far were whole requests.
    pub(crate) fn is_between(&self) -> bool {
        self.place == Place::Ahead && self.filled == 0
    }

    /// Whether both fields were there in some head.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }

    fn skip<'b>(
        &mut self,
        bytes: &'b [u8],
        left: u64,
        within: fn(u64) -> Place,
        then: Place,
    ) -> &'b [u8] {
        let count = left.min(bytes.len() as u64);
        self.place = if count == left {
            then
        } else {
            within(left - count)
        };
        &bytes[count as usize..]
    }

    fn take_line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.fill(bytes);
            return &[];
        };
        self.fill(&bytes[..end]);
        // In trailers the parser takes both characters alone for the end of a line.
        if self.place == Place::Trailers && !self.after_return {
            self.fill(b"\n");
        } else {
            self.end_line();
            self.filled = 0;
        }
        &bytes[end + 1..]
    }

    fn fill(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(self.line.len() - self.filled);
        self.line[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        self.after_return = bytes
            .last()
            .map_or(self.after_return, |last| *last == b'\r');
    }

    fn end_line(&mut self) {
        let line = &self.line[..self.filled];
        let empty = line.is_empty() || line == b"\r";
        match self.place {
            Place::Ahead if empty => {}
            Place::Head if empty => self.end_head(),
            Place::Ahead | Place::Head => {
                self.place = Place::Head;
                self.take_field();
            }
            Place::ChunkSize => {
                self.place = match chunk_size(line) {
                    Some(0) => Place::Trailers,
                    Some(size) => Place::Chunk(size + 2),
                    None => Place::Nowhere,
                }
            }
            Place::Trailers if empty => self.place = Place::Ahead,
            Place::Trailers | Place::Body(_) | Place::Chunk(_) | Place::Nowhere => {}
        }
    }

    fn take_field(&mut self) {
        let line = &self.line[..self.filled];
        self.coding |= starts_with(line, b"transfer-encoding:");
        if starts_with(line, b"content-length:") {
            match length(&line[b"content-length:".len()..]) {
                Some(length) if self.filled <= LONGEST => self.length = Some(length),
                _ => self.ambiguous = true,
            }
        }
    }

    fn end_head(&mut self) {
        let (length, coding) = (self.length.take(), self.coding);
        self.coding = false;
        self.place = match (length, coding) {
            _ if self.ambiguous => Place::Nowhere,
            (Some(_), true) => {
                self.ambiguous = true;
                Place::Nowhere
            }
            (None, true) => Place::ChunkSize,
            (Some(length @ 1..), false) => Place::Body(length),
            (Some(0) | None, false) => Place::Ahead,
        };
    }
}

fn starts_with(line: &[u8], name: &[u8]) -> bool {
    line.len() >= name.len() && line[..name.len()].eq_ignore_ascii_case(name)
}

fn length(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    text.parse().ok()
}

/// The number that a chunk's line begins with; what follows it is an extension.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let text = std::str::from_utf8(&line[..digits.count()]).ok()?;
    let size = u64::from_str_radix(text, 16).ok()?;
    (size < u64::MAX - 2).then_some(size)
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
                "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                true,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                true,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\na;b=c\r\n0123456789\r\n0\r\nA: b\n\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                true,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
                false,
            ),
            ("POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", true),
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
