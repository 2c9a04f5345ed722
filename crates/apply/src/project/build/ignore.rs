//! `.dockerignore`: what of its context a build does not see.
//!
//! The rules are those of Docker's documentation ("Build context", section ".dockerignore files").
//! A line is a pattern of Go's `filepath.Match`, where `**` stands for any number of folders too. It
//! holds for what it matches and all below it. The last line that holds for a file decides; one that
//! begins with `!` lets it in. `#` in the first column begins a comment.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// Which files of a context are left out.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    always: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    pattern: Regex,
    /// The first parts of its path, up to one with a wildcard.
    begins: Vec<String>,
    is_exception: bool,
}

/// A line that is no pattern.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{text}` {why}")]
pub(super) struct IgnoreError {
    line: usize,
    text: String,
    why: &'static str,
}

impl Rules {
    pub(super) fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let rule = Rule::parse(line).map_err(|why| IgnoreError {
                line: number + 1,
                text: line.chars().take(100).collect(),
                why,
            })?;
            rules.extend(rule);
        }
        let always = Vec::new();
        Ok(Self { rules, always })
    }

    /// This file is sent whatever the rules say.
    pub(super) fn always(&mut self, path: &str) {
        self.always.push(path.to_owned());
    }

    /// Whether a file or folder is left out. The path is relative to the context.
    pub(super) fn leave_out(&self, path: &str) -> bool {
        if self.always.iter().any(|always| always == path) {
            return false;
        }
        let decides = self.rules.iter().rev().find(|rule| rule.holds_for(path));
        decides.is_some_and(|rule| !rule.is_exception)
    }

    /// Whether something below a folder that is left out may be let in.
    pub(super) fn may_let_in_below(&self, folder: &str) -> bool {
        let below = |path: &String| {
            let rest = path.strip_prefix(folder);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let mut exceptions = self.rules.iter().filter(|rule| rule.is_exception);
        self.always.iter().any(below) || exceptions.any(|rule| rule.may_hold_below(folder))
    }
}

impl Rule {
    /// Nothing for a line that says nothing.
    fn parse(line: &str) -> Result<Option<Self>, &'static str> {
        let text = line.trim();
        if line.starts_with('#') || text.is_empty() {
            return Ok(None);
        }
        let (text, is_exception) = match text.strip_prefix('!') {
            Some(rest) => (rest.trim(), true),
            None => (text, false),
        };
        if text.is_empty() {
            return Err("excepts nothing");
        }
        let path = clean(text);
        if path.is_empty() {
            return Ok(None);
        }
        let pattern = Regex::new(&format!("(?s)^{}$", expression(&path)?));
        let is_plain = |part: &&str| !part.contains(['*', '?', '[', '\\']);
        let begins = path.split('/').take_while(is_plain);
        Ok(Some(Self {
            pattern: pattern.map_err(|_| "is no pattern")?,
            begins: begins.map(str::to_owned).collect(),
            is_exception,
        }))
    }

    fn holds_for(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        folders
            .chain([path])
            .any(|part| self.pattern.is_match(part))
    }

    fn may_hold_below(&self, folder: &str) -> bool {
        let mut both = self.begins.iter().zip(folder.split('/'));
        both.all(|(begin, part)| begin == part)
    }
}

/// The path without `.`, `..`, empty parts, and slashes at its ends. Empty for the context itself.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", Some(&last)) if last != ".." => drop(parts.pop()),
            // Above the root there is nothing.
            ("..", None) if path.starts_with('/') => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// The pattern as a regular expression.
fn expression(pattern: &str) -> Result<String, &'static str> {
    let mut expression = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '*' if chars.next_if_eq(&'*').is_some() => {
                let _slash = chars.next_if_eq(&'/');
                expression += match chars.peek() {
                    Some(_) => "(?:.*/)?",
                    None => ".*",
                };
            }
            '*' => expression += "[^/]*",
            '?' => expression += "[^/]",
            '[' => expression += &class(&mut chars)?,
            '\\' => expression += &escaped(chars.next().ok_or("ends with `\\`")?),
            other => expression += &escaped(other),
        }
    }
    Ok(expression)
}

/// `[a-z]`, `[^a]`; what stands after the bracket that opens it.
fn class(chars: &mut Peekable<Chars<'_>>) -> Result<String, &'static str> {
    let mut class = String::from(match chars.next_if_eq(&'^') {
        Some(_) => "[^",
        None => "[",
    });
    let mut is_first = true;
    while is_first || chars.next_if_eq(&']').is_none() {
        is_first = false;
        let from = member(chars)?;
        class += &escaped(from);
        if chars.next_if_eq(&'-').is_some() {
            let to = member(chars)?;
            if to < from {
                return Err("has a range that runs backwards");
            }
            class += &format!("-{}", escaped(to));
        }
    }
    class.push(']');
    Ok(class)
}

fn member(chars: &mut Peekable<Chars<'_>>) -> Result<char, &'static str> {
    const OPEN: &str = "has a `[` without its `]`";
    match chars.next().ok_or(OPEN)? {
        '\\' => chars.next().ok_or(OPEN),
        '-' | ']' => Err("has a `-` or `]` in brackets where a character belongs"),
        char => Ok(char),
    }
}

fn escaped(char: char) -> String {
    match char.is_ascii_punctuation() {
        true => format!("\\{char}"),
        false => char.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these paths are left out.
    fn check(file: &str, left_out: &[&str], sent: &[&str]) {
        let rules = Rules::parse(file).unwrap();
        for path in left_out {
            assert!(rules.leave_out(path), "{path} is left out by {file:?}");
        }
        for path in sent {
            assert!(!rules.leave_out(path), "{path} is sent with {file:?}");
        }
    }

    #[test]
    fn wildcards() {
        check(
            "*/temp*\n*/*/temp*\ntemp?",
            &[
                "a/temporary.txt",
                "a/temp",
                "a/b/temp.txt",
                "tempa",
                "temp1/x",
            ],
            &["temp", "a/b/c/temp", "temp/x", "tempab"],
        );
        check("*.md", &["README.md"], &["docs/README.md", "md"]);
        check("a?c", &["abc"], &["a/c", "ac"]);
        check("[a-c]x", &["ax", "cx"], &["dx", "x"]);
        check("[^a-c]x", &["dx"], &["ax"]);
        check("[!a]", &["!", "a"], &["b"]);
        check(r"\*.txt", &["*.txt"], &["a.txt"]);
        check(r"[\]&&~]", &["]", "&", "~"], &["a"]);
        check("a.c", &["a.c"], &["abc"]);
        check("(a|b)+$", &["(a|b)+$"], &["a"]);
    }

    #[test]
    fn any_number_of_folders() {
        check("**/*.go", &["a.go", "x/a.go", "x/y/a.go"], &["a.go.txt"]);
        check("**", &["a", "a/b", ".git"], &[]);
        check("dir/**", &["dir/a", "dir/a/b"], &["dir", "dirt/a"]);
        check("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["a/xb", "b"]);
        check(
            "**/dir2/*",
            &["dir2/f", "d/dir2/f", "d/dir2/e/f"],
            &["dir2"],
        );
        check("**file", &["file", "d/file", "d/e/file"], &["files"]);
        check("a**/c", &["a/c", "ac"], &["b/c"]);
    }

    #[test]
    fn it_holds_below() {
        check("node_modules", &["node_modules/a/b"], &["web/node_modules"]);
        check("foo/bar", &["foo/bar", "foo/bar/x"], &["bar", "x/foo/bar"]);
        check("a*", &["ab/c/d"], &["b/a"]);
    }

    #[test]
    fn the_last_line_decides() {
        check("*.md\n!README.md", &["a.md"], &["README.md"]);
        let secret = "README-secret.md";
        check(
            "*.md\n!README*.md\nREADME-secret.md",
            &[secret],
            &["README.md"],
        );
        check("*.md\nREADME-secret.md\n!README*.md", &["a.md"], &[secret]);
        check(
            "*\n!src\n!go.mod",
            &["x", "y/src"],
            &["src", "src/a/b", "go.mod"],
        );
        check("src\n!src/keep/*.c", &["src/a.c"], &["src/keep/a.c"]);
        check("a\n!a/b\na/b/c", &["a/x", "a/b/c"], &["a/b/d"]);
    }

    #[test]
    fn lines_are_cleaned() {
        check(
            "/foo/\n./bar\n  baz  \na//b",
            &["foo", "bar", "baz", "a/b"],
            &[],
        );
        check("a/../b", &["b"], &["a"]);
        check("! c\n", &[], &["c"]);
        check("x*\n!/xa", &["xb"], &["xa"]);
        check("\u{feff}a\r\nb\r\n", &["a", "b"], &[]);
        check(".\n/\n\n  \n", &[], &["a"]);
        check("../a\n/../c", &["c"], &["a"]);
        check("# a\n#b\n #c", &["#c"], &["a", "b", "# a"]);
    }

    #[test]
    fn what_is_no_pattern() {
        let check = |file: &str, expected: &str| {
            let error = Rules::parse(file).unwrap_err().to_string();
            assert!(error.contains(expected), "{file:?}: {error}");
        };
        check("a\n!", "line 2: `!` excepts nothing");
        for bad in ["[", "[a", "[]", "[a-]", "[-a]", "[z-a]", "a\\"] {
            check(bad, "line 1");
        }
    }

    #[test]
    fn folders_that_are_looked_into() {
        let rules = Rules::parse("*\n!src/web/*.js\n!docs").unwrap();
        for (folder, looked_into) in [
            ("src", true),
            ("src/web", true),
            ("src/api", false),
            ("docs/a", true),
            ("x", false),
        ] {
            assert_eq!(rules.may_let_in_below(folder), looked_into, "{folder}");
        }
        let anywhere = Rules::parse("*\n!**/keep").unwrap();
        assert!(anywhere.may_let_in_below("x/y"));
        let mut rules = Rules::parse("**").unwrap();
        rules.always("docker/Dockerfile");
        assert!(rules.may_let_in_below("docker") && !rules.may_let_in_below("dock"));
        assert!(!rules.leave_out("docker/Dockerfile"));
    }
}
