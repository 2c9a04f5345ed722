//! Globs on paths: `*`, `**`, `?`, `[a-z]`, `{a,b}`, as Ruby's `File.fnmatch` has them with
//! `FNM_PATHNAME`, `FNM_DOTMATCH` and `FNM_EXTGLOB`.

use regex::Regex;

/// A glob as a regular expression; nothing when it is not one.
pub(crate) fn glob(pattern: &str) -> Option<Regex> {
    if pattern.len() > 2_000 {
        return None;
    }
    let pattern = pattern.trim_start_matches("./").trim_start_matches('/');
    let mut out = String::from("^");
    let mut braces = 0_usize;
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("**/") {
            out.push_str("(?:.*/)?");
            rest = rest.trim_start_matches("**/");
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '*' if rest.starts_with('*') => {
                out.push_str(".*");
                rest = rest.trim_start_matches('*');
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '{' => {
                braces += 1;
                out.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                out.push(')');
            }
            ',' if braces > 0 => out.push('|'),
            '[' => match rest.find(']').filter(|end| *end > 0) {
                Some(end) => {
                    out.push('[');
                    let class = rest[..end].replace('\\', "\\\\").replace('[', "\\[");
                    out.push_str(&class.replacen('!', "^", usize::from(class.starts_with('!'))));
                    out.push(']');
                    rest = &rest[end + 1..];
                }
                None => out.push_str("\\["),
            },
            '\\' => {
                let next = rest.chars().next().unwrap_or('\\');
                out.push_str(&regex::escape(&next.to_string()));
                rest = &rest[next.len_utf8().min(rest.len())..];
            }
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push_str(&")".repeat(braces));
    out.push('$');
    regex::RegexBuilder::new(&out)
        .size_limit(1 << 20)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs() {
        for (pattern, path, expected) in [
            ("README.md", "README.md", true),
            ("README.md", "docs/README.md", false),
            ("*.md", "docs/a.md", false),
            ("**/*.md", "docs/x/a.md", true),
            ("**/*.md", "a.md", true),
            ("docs/**/*", "docs/a/b", true),
            ("docs/**", "docs/a", true),
            ("src/*.{rs,toml}", "src/a.toml", true),
            ("src/*.{rs,toml}", "src/a.py", false),
            ("a?c", "abc", true),
            ("[!a]b", "ab", false),
            ("[a-c]b", "bb", true),
            ("/x", "x", true),
            (".config/*", ".config/.a", true),
            ("a+(b", "a+(b", true),
        ] {
            let matches = glob(pattern).unwrap().is_match(path);
            assert_eq!(matches, expected, "{pattern} {path}");
        }
    }
}
