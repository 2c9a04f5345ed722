//! Makes a log safe and pleasant to read: a job's output is not ours, and must not be able to
//! move the cursor, set the window's title or answer for the user.
//!
//! Escape sequences (ECMA-48, section 5.4) go, but for colours where these are wanted. The marks
//! of GitLab's collapsible sections (`section_start:TIME:NAME\r ESC[0K`) go as well.

/// Where in the log we are; it comes in pieces of any length.
pub(crate) struct Filter {
    colour: bool,
    state: State,
    held: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a line that may be a section's mark; it is held until that is known.
    LineStart,
    /// In a section's mark, which ends with a carriage return.
    Mark,
    /// In text.
    Text,
    /// After the first byte of what may be a control character beyond ASCII (U+0080 to U+009F).
    TextC2,
    /// After ESC.
    Escape,
    /// In `ESC [ …`, held until its last byte says what it is.
    Control,
    /// In `ESC ] …` and the like, which end with BEL or `ESC \`.
    Command,
    /// After ESC in a command.
    CommandEscape,
}

/// The longest sequence that is taken for one.
const LONGEST: usize = 256;

const MARKS: [&[u8]; 2] = [b"section_start:", b"section_end:"];

impl Filter {
    pub(crate) fn new(colour: bool) -> Self {
        Self {
            colour,
            state: State::LineStart,
            held: Vec::new(),
        }
    }

    /// What is left of this piece, as far as it is clear.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut output = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.step(byte, &mut output);
        }
        output
    }

    /// What was held at the end of the log.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        match self.state {
            State::LineStart => std::mem::take(&mut self.held),
            _ => Vec::new(),
        }
    }

    fn step(&mut self, byte: u8, output: &mut Vec<u8>) {
        match self.state {
            State::LineStart => self.line_start(byte, output),
            State::Mark => self.mark(byte, output),
            State::Text => self.text(byte, output),
            State::TextC2 => self.after_c2(byte, output),
            State::Escape => self.escape(byte),
            State::Control => self.control(byte, output),
            State::Command => self.command(byte),
            State::CommandEscape => {
                self.state = if byte == b'\\' {
                    State::Text
                } else {
                    State::Command
                };
            }
        }
    }

    fn line_start(&mut self, byte: u8, output: &mut Vec<u8>) {
        self.held.push(byte);
        if MARKS.contains(&self.held.as_slice()) {
            self.held.clear();
            self.state = State::Mark;
        } else if !MARKS.iter().any(|mark| mark.starts_with(&self.held)) {
            let last = self.held.pop();
            output.append(&mut self.held);
            self.state = State::Text;
            last.into_iter().for_each(|byte| self.text(byte, output));
        }
    }

    fn mark(&mut self, byte: u8, output: &mut Vec<u8>) {
        match byte {
            b'\r' => self.state = State::LineStart,
            b'\n' => self.text(byte, output),
            _ => {}
        }
    }

    fn text(&mut self, byte: u8, output: &mut Vec<u8>) {
        match byte {
            0x1b => self.state = State::Escape,
            b'\n' => {
                output.push(byte);
                self.state = State::LineStart;
            }
            0xc2 => self.state = State::TextC2,
            b'\r' | b'\t' | 0x20..=0x7e | 0x80.. => {
                output.push(byte);
                self.state = State::Text;
            }
            _ => {}
        }
    }

    fn after_c2(&mut self, byte: u8, output: &mut Vec<u8>) {
        self.state = State::Text;
        match byte {
            0x80..=0x9f => {}
            0xa0..=0xbf => output.extend([0xc2, byte]),
            _ => self.text(byte, output),
        }
    }

    fn escape(&mut self, byte: u8) {
        self.state = match byte {
            b'[' => State::Control,
            b']' | b'P' | b'X' | b'^' | b'_' => State::Command,
            0x20..0x30 => State::Escape,
            _ => State::LineStart,
        };
    }

    fn control(&mut self, byte: u8, output: &mut Vec<u8>) {
        self.held.push(byte);
        let goes_on = (0x20..0x40).contains(&byte) && self.held.len() < LONGEST;
        if goes_on {
            return;
        }
        let sequence = std::mem::take(&mut self.held);
        let plain = |byte: &u8| byte.is_ascii_digit() || b";:m".contains(byte);
        if self.colour && byte == b'm' && sequence.iter().all(plain) {
            output.extend_from_slice(b"\x1b[");
            output.extend_from_slice(&sequence);
        }
        self.state = State::LineStart;
        if byte == b'\n' || byte == 0x1b {
            self.text(byte, output);
        }
    }

    fn command(&mut self, byte: u8) {
        match byte {
            0x07 => self.state = State::Text,
            // What never ends must not swallow the rest of the log.
            b'\n' => self.state = State::LineStart,
            0x1b => self.state = State::CommandEscape,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, colour: bool, expected: &str) {
        for size in [1, 2, 3, 1000] {
            let mut filter = Filter::new(colour);
            let mut output = Vec::new();
            for piece in input.as_bytes().chunks(size) {
                output.extend(filter.feed(piece));
            }
            output.extend(filter.finish());
            let output = String::from_utf8(output).unwrap();
            assert_eq!(output, expected, "{input:?} in pieces of {size}");
        }
    }

    #[test]
    fn text_stays() {
        for text in [
            "a\nb\n",
            "sect",
            "section_",
            "ä\tx\r10%\r20%\n",
            "",
            "section of\n",
        ] {
            check(text, false, text);
        }
    }

    #[test]
    fn colours_stay_only_where_wanted() {
        check(
            "\u{1b}[32;1mok\u{1b}[0m\n",
            true,
            "\u{1b}[32;1mok\u{1b}[0m\n",
        );
        check("\u{1b}[32;1mok\u{1b}[0m\n", false, "ok\n");
    }

    #[test]
    fn what_moves_the_cursor_goes() {
        check("a\u{1b}[2Jb\u{1b}[1;1Hc\u{1b}[?25ld\n", true, "abcd\n");
        check(
            "\u{1b}]0;title\u{7}x\u{1b}]8;;http://x\u{1b}\\y\u{8}\n",
            true,
            "xy\n",
        );
        check("\u{1b}Pq\u{1b}\\a\u{1b}(Bb\u{1b}[>4mc\n", true, "abc\n");
        check("a\u{9b}2Jb\u{85}c\n", true, "a2Jbc\n");
        check("\u{1b}]never ends\nnext\n", true, "next\n");
        check("\u{1b}[1\nnext\u{1b}", true, "\nnext");
    }

    #[test]
    fn sections_lose_their_marks() {
        check(
            "section_start:1560896352:get_sources\r\u{1b}[0KGetting sources\ndone\nsection_end:1560896353:get_sources\r\u{1b}[0K\nend\n",
            false,
            "Getting sources\ndone\n\nend\n",
        );
        check(
            "section_end:1:a\r\u{1b}[0Ksection_start:2:b\r\u{1b}[0KNext\n",
            false,
            "Next\n",
        );
    }
}
