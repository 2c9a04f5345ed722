//! Patterns of paths, in GitLab's two forms. Those of rules have `*`, `**/`, `?`, `[a-z]` and `{a,b}`, as
//! Ruby's `File.fnmatch` has them with `FNM_PATHNAME`, `FNM_DOTMATCH` and `FNM_EXTGLOB`; those of
//! `include:local` have `*` and `**` alone.

use regex::Regex;

/// A pattern of `include:local`: `**` is anything, `*` anything but a `/`.
pub(crate) fn wildcard(pattern: &str) -> Option<Regex> {
    let pattern = regex::escape(pattern);
    let pattern = pattern.replace(r"\*\*", ".*").replace(r"\*", "[^/]*");
    build(&format!("^{pattern}$"))
}

/// A pattern of rules; nothing when it is not one. `**` crosses folders only where a `/` follows it
/// and nothing of the same name stands before it: `a/**` has the files of `a` alone.
pub(crate) fn glob(pattern: &str) -> Option<Regex> {
    if pattern.len() > 2_000 {
        return None;
    }
    let pattern = pattern.trim_start_matches("./").trim_start_matches('/');
    let mut out = String::from("^");
    let mut braces = 0_usize;
    let mut rest = pattern;
    let mut at_start = true;
    while let Some(c) = rest.chars().next() {
        if at_start && rest.starts_with("**/") {
            out.push_str("(?:.*/)?");
            rest = rest.trim_start_matches("**/");
            continue;
        }
        rest = &rest[c.len_utf8()..];
        at_start = c == '/' || braces > 0 && c == ',' || c == '{';
        match c {
            '*' => {
                out.push_str("[^/]*");
                rest = rest.trim_start_matches('*');
            }
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
    build(&out)
}

fn build(text: &str) -> Option<Regex> {
    let mut builder = regex::RegexBuilder::new(text);
    builder.size_limit(1 << 20).build().ok()
}

#[cfg(test)]
mod tests {
    use super::{glob, wildcard};

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
            ("docs/**", "docs/a/b", false),
            ("docs/**/", "docs/a", false),
            ("a**/b", "ax/b", true),
            ("a**/b", "ax/y/b", false),
            ("**.md", "docs/a.md", false),
            ("{src,**/lib}/*.rs", "x/lib/a.rs", true),
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

    #[test]
    fn wildcards() {
        for (pattern, path, expected) in [
            ("ci/*.yml", "ci/a.yml", true),
            ("ci/*.yml", "ci/a/b.yml", false),
            ("ci/**.yml", "ci/a/b.yml", true),
            ("ci/**/*.yml", "ci/a/b.yml", true),
            ("ci/a.yml*", "ci/axyml", false),
        ] {
            let matches = wildcard(pattern).unwrap().is_match(path);
            assert_eq!(matches, expected, "{pattern} {path}");
        }
    }
}
