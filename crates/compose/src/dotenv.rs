//! Files of variables: `.env` and `env_file`.
//!
//! Where docker-compose 1.29 and Compose v2 read a line differently, this follows Compose v2 and
//! says so: `$NAME` without braces is a variable if it has a value, else it stays as it is (a
//! password may have a `$`). Values are never shown.

use yaml::{Problem, Report, Span};

use crate::interpolate::Variables;
use crate::template::{Flaw, expand};

/// How a file's values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    /// Quotes, comments and variables.
    Usual,
    /// Everything after `=` as it is (`format: raw`).
    Raw,
}

/// A line of a file: its value is `None` where the environment is to give it.
pub(crate) type Line = (String, Option<String>);

/// What variables may add to one file, in bytes.
const MAX_GROWTH: usize = 1 << 20;

/// Stands for a `$` that a backslash keeps; no variable can have it.
const KEPT_DOLLAR: char = '\0';

/// All variables of a file, in its order. `outside` is looked at after the file itself.
pub(crate) fn parse(
    file: u32,
    text: &str,
    format: Format,
    outside: &Variables,
    report: &mut Report,
) -> Vec<Line> {
    let mut parser = Parser {
        file,
        characters: text.trim_start_matches('\u{feff}').chars().collect(),
        at: 0,
        line: 1,
        column: 1,
        outside,
        known: Variables::new(),
        lines: Vec::new(),
        budget: MAX_GROWTH,
        report,
    };
    if text.contains(KEPT_DOLLAR) {
        let message = "the file has a zero byte: it is no text";
        let problem = Problem::error("env-file", parser.span(), message);
        parser.report.add(problem);
        return Vec::new();
    }
    while parser.skip_to_key() {
        match format {
            Format::Usual => parser.line(),
            Format::Raw => parser.raw_line(),
        }
    }
    parser.lines
}

struct Parser<'p> {
    file: u32,
    characters: Vec<char>,
    at: usize,
    line: u32,
    column: u32,
    outside: &'p Variables,
    known: Variables,
    lines: Vec<Line>,
    budget: usize,
    report: &'p mut Report,
}

impl Parser<'_> {
    /// To the next line that says something; false at the end.
    fn skip_to_key(&mut self) -> bool {
        loop {
            match self.peek() {
                None => return false,
                Some('#') => self.skip_line(),
                Some(c) if c.is_whitespace() => self.step(),
                Some(_) => return true,
            }
        }
    }

    fn line(&mut self) {
        let start = self.span();
        let Some(key) = self.key() else {
            return;
        };
        self.blanks();
        match self.peek() {
            Some('=' | ':') => {
                self.step();
                self.blanks();
                let value = self.value(&key);
                if let Some(value) = value {
                    self.known.insert(key.clone(), value.clone());
                    self.lines.push((key, Some(value)));
                }
            }
            None | Some('\n' | '\r' | '#') => {
                self.skip_line();
                self.lines.push((key, None));
            }
            Some(_) => self.wrong(start, "a name is followed by `=` or the line's end"),
        }
    }

    fn raw_line(&mut self) {
        let rest = self.rest();
        match rest.split_once('=') {
            Some((key, value)) => self.lines.push((key.to_owned(), Some(value.to_owned()))),
            None => self.lines.push((rest.trim_end().to_owned(), None)),
        }
    }

    /// The name, without `export`.
    fn key(&mut self) -> Option<String> {
        let start = self.span();
        let mut key = self.word();
        if key == "export" && self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.blanks();
            key = self.word();
        }
        let quoted = key.strip_prefix(['\'', '"']);
        let quoted = quoted.and_then(|key| key.strip_suffix(['\'', '"']));
        let name = quoted.unwrap_or(&key);
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-[]/".contains(c);
        if name.is_empty() || !name.chars().all(allowed) {
            self.wrong(
                start,
                "a variable's name has letters, digits, `_`, `.` and `-`",
            );
            return None;
        }
        Some(name.to_owned())
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek()
            && !c.is_whitespace()
            && !matches!(c, '=' | '#' | ':')
        {
            word.push(c);
            self.step();
        }
        word
    }

    fn value(&mut self, key: &str) -> Option<String> {
        match self.peek() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote, key),
            _ => {
                let start = self.span();
                let rest = self.rest();
                let comment = rest
                    .char_indices()
                    .zip(rest.chars().skip(1))
                    .find(|((_, c), next)| c.is_whitespace() && *next == '#');
                let end = comment.map_or(rest.len(), |((at, _), _)| at);
                Some(self.expanded(rest[..end].trim_end(), start, key))
            }
        }
    }

    fn quoted(&mut self, quote: char, key: &str) -> Option<String> {
        let start = self.span();
        self.step();
        let mut value = String::new();
        loop {
            match self.peek() {
                None => {
                    self.wrong(start, "this quote is never closed");
                    return None;
                }
                Some(c) if c == quote => break,
                Some('\\') => {
                    self.step();
                    let Some(next) = self.peek() else {
                        continue;
                    };
                    value.push_str(&unescaped(next, quote));
                }
                Some(c) => value.push(c),
            }
            self.step();
        }
        self.step();
        let end = self.span();
        let rest = self.rest();
        let rest = rest.trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            self.report.add(
                Problem::error(
                    "env-file",
                    end,
                    "after the closing quote only a comment may come",
                )
                .hint("quote the whole value, or none of it"),
            );
            return None;
        }
        Some(match quote {
            '"' => self.expanded(&value, start, key),
            _ => value,
        })
    }

    /// A value with its variables. A `$` that starts none stays.
    fn expanded(&mut self, value: &str, span: Span, key: &str) -> String {
        if !value.contains(['$', KEPT_DOLLAR]) {
            return value.to_owned();
        }
        let text = self.ambiguous(value, span, key);
        let known = &self.known;
        let outside = self.outside;
        let lookup = |name: &str| known.get(name).or_else(|| outside.get(name)).cloned();
        let found = expand(&text, &lookup, &mut self.budget);
        for (_, flaw) in found.flaws {
            let problem = match flaw {
                Flaw::Required(name, said) => {
                    let message = format!("`{name}`, which `{key}` needs, is not set: {said}");
                    Problem::error("required", span, message).hint(format!(
                        "set `{name}` in the environment or earlier in this file"
                    ))
                }
                Flaw::TooLarge => {
                    let message = "the values of this file grow too large";
                    Problem::error("too-large", span, message)
                }
                _ => Problem::error(
                    "interpolation",
                    span,
                    format!("the value of `{key}` has a `${{` that is no variable"),
                )
                .hint("put the value into single quotes to keep it as it is"),
            };
            self.report.add(problem);
        }
        found.text.replace(KEPT_DOLLAR, "$")
    }

    /// The value as a template, in which what has two readings is settled, and spoken of.
    fn ambiguous(&mut self, value: &str, span: Span, key: &str) -> String {
        let characters: Vec<char> = value.chars().collect();
        let mut out = String::with_capacity(value.len());
        let mut warned = false;
        let mut at = 0;
        while let Some(&c) = characters.get(at) {
            at += 1;
            out.push(c);
            if c != '$' {
                continue;
            }
            match characters.get(at) {
                Some('{') => {}
                Some('$') => {
                    out.push('$');
                    at += 1;
                    warned = true;
                }
                Some(next) if next.is_ascii_alphabetic() || *next == '_' => {
                    warned = true;
                    let name: String = characters[at..]
                        .iter()
                        .take_while(|c| c.is_ascii_alphanumeric() || **c == '_')
                        .collect();
                    if !self.known.contains_key(&name) && !self.outside.contains_key(&name) {
                        out.push('$');
                    }
                }
                _ => out.push('$'),
            }
        }
        if warned {
            let message = format!(
                "the `$` in the value of `{key}` has two readings: docker-compose 1.29 keeps `$NAME` and `$$` as they are, Compose v2 replaces them; here `$NAME` is replaced if it is set, and `$$` is one `$`"
            );
            self.report.add(
                Problem::warning("env-file", span, message).hint(
                    "put the value into single quotes to keep it as it is, or write `${NAME}`",
                ),
            );
        }
        out
    }

    fn wrong(&mut self, span: Span, message: &str) {
        self.skip_line();
        self.report.add(
            Problem::error("env-file", span, message)
                .hint("a line is `NAME=value`, `NAME=\"value\"`, `NAME='value'` or `# comment`"),
        );
    }

    /// What is left of the line, which is then behind us.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        while let Some(c) = self.peek()
            && c != '\n'
        {
            rest.push(c);
            self.step();
        }
        rest.trim_end_matches('\r').to_owned()
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.step();
        }
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.step();
        }
    }

    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn step(&mut self) {
        match self.peek() {
            Some('\n') => {
                self.line += 1;
                self.column = 1;
            }
            _ => self.column += 1,
        }
        self.at += 1;
    }

    fn span(&self) -> Span {
        Span {
            file: self.file,
            line: self.line,
            column: self.column,
            length: 1,
        }
    }
}

/// What a backslash and this character stand for.
fn unescaped(next: char, quote: char) -> String {
    match (quote, next) {
        ('\'', '\'') => "'".to_owned(),
        ('\'', other) => format!("\\{other}"),
        (_, 'n') => "\n".to_owned(),
        (_, 'r') => "\r".to_owned(),
        (_, 't') => "\t".to_owned(),
        (_, 'a') => "\u{7}".to_owned(),
        (_, 'b') => "\u{8}".to_owned(),
        (_, 'f') => "\u{c}".to_owned(),
        (_, 'v') => "\u{b}".to_owned(),
        (_, '"' | '\'' | '\\') => next.to_string(),
        (_, '$') => KEPT_DOLLAR.to_string(),
        (_, other) => format!("\\{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, format: Format) -> (Vec<Line>, String) {
        let mut report = Report::default();
        let file = report.file(".env", text, None);
        let outside = Variables::from([("OUT".to_owned(), "outside".to_owned())]);
        let lines = parse(file, text, format, &outside, &mut report);
        let (diagnostics, _) = report.finish();
        let said: Vec<_> = diagnostics
            .iter()
            .map(|one| format!("{} {}", one.place, one.level.as_str()))
            .collect();
        (lines, said.join("; "))
    }

    #[test]
    fn values() {
        for (text, expected) in [
            ("A=b", "b"),
            ("  A = b  ", "b"),
            ("export A=b", "b"),
            ("A: b", "b"),
            ("A=", ""),
            ("A=b # comment", "b"),
            ("A=b#no", "b#no"),
            ("A=#x", "#x"),
            ("A='b # c' # d", "b # c"),
            ("A=\"b \\\"c\\\" \\n\\t\\q\"", "b \"c\" \n\t\\q"),
            ("A='it\\'s ${OUT} \\n'", "it's ${OUT} \\n"),
            ("A=${OUT}", "outside"),
            ("A=\"${OUT}-${NOT:-d}\"", "outside-d"),
            ("A=\"\\${OUT}\"", "${OUT}"),
            ("A=p$1$", "p$1$"),
            ("A='x\ny'", "x\ny"),
            ("A=a b c", "a b c"),
            ("\u{feff}A=b\r\n", "b"),
            ("# c\n\nA=b", "b"),
            ("A={\"a\": 1}", "{\"a\": 1}"),
        ] {
            let (lines, said) = run(text, Format::Usual);
            assert_eq!(
                lines,
                [("A".to_owned(), Some(expected.to_owned()))],
                "{text}"
            );
            assert_eq!(said, "", "{text}");
        }
    }

    #[test]
    fn two_readings() {
        for (text, expected) in [
            ("A=a$OUT", "aoutside"),
            ("A=a$not", "a$not"),
            ("A=a$$b", "a$b"),
        ] {
            let (lines, said) = run(text, Format::Usual);
            assert_eq!(
                lines,
                [("A".to_owned(), Some(expected.to_owned()))],
                "{text}"
            );
            assert_eq!(said, ".env:1:3 warning", "{text}");
        }
    }

    #[test]
    fn names_and_earlier_lines() {
        let (lines, said) = run("A=1\nB\nC=${A}2\n", Format::Usual);
        let value = |text: &str| Some(text.to_owned());
        assert_eq!(
            lines,
            [
                ("A".to_owned(), value("1")),
                ("B".to_owned(), None),
                ("C".to_owned(), value("12")),
            ]
        );
        assert_eq!(said, "");
    }

    #[test]
    fn raw() {
        let (lines, _) = run("A='b' # c $x\nB\n", Format::Raw);
        assert_eq!(
            lines,
            [
                ("A".to_owned(), Some("'b' # c $x".to_owned())),
                ("B".to_owned(), None)
            ]
        );
    }

    #[test]
    fn errors_do_not_end_the_file() {
        let (lines, said) = run("A b\n=x\nB='x' y\nC=1\nD=\"open\n", Format::Usual);
        assert_eq!(lines, [("C".to_owned(), Some("1".to_owned()))]);
        assert_eq!(
            said,
            ".env:1:1 error; .env:2:1 error; .env:3:6 error; .env:5:3 error"
        );
    }
}
