//! Output comes in pieces that end anywhere; people read lines.

/// A line that does not end is given out in pieces of about this size, in bytes.
const LONGEST: usize = 64 << 10;

/// Makes lines of pieces.
#[derive(Debug, Default)]
pub struct Lines {
    open: Vec<u8>,
}

impl Lines {
    /// Takes a piece, and gives the lines that are whole now.
    pub fn take(&mut self, piece: &[u8]) -> Vec<String> {
        self.open.extend_from_slice(piece);
        let mut whole = Vec::new();
        while let Some(end) = self.open.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.open.drain(..=end).collect();
            whole.push(text(&line));
        }
        if self.open.len() > LONGEST {
            whole.extend(self.rest());
        }
        whole
    }

    /// What no line break has ended, when nothing more comes.
    pub fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.open);
        (!rest.is_empty()).then(|| text(&rest))
    }
}

fn text(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    line.trim_end_matches(['\n', '\r']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: &[&str]) {
        let mut lines = Lines::default();
        let mut found: Vec<String> = pieces.iter().flat_map(|piece| lines.take(piece)).collect();
        found.extend(lines.rest());
        assert_eq!(found, expected, "{pieces:?}");
    }

    #[test]
    fn pieces_become_lines() {
        check(&[b"a\nb\n"], &["a", "b"]);
        check(&[b"a", b"b\r\n", b"\n", b"c"], &["ab", "", "c"]);
        check(&[b"\xc3", b"\xa4\n"], &["ä"]);
        check(&[], &[]);
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut lines = Lines::default();
        let piece = vec![b'.'; LONGEST];
        assert_eq!(lines.take(&piece), Vec::<String>::new());
        assert_eq!(lines.take(b".")[0].len(), LONGEST + 1);
        assert_eq!(lines.rest(), None);
    }
}
