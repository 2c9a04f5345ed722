//! Patterns of `ssh_config(5)` and of known_hosts: `*` is any text, `?` one character, and a `!`
//! in front takes matches away.

/// Whether one of the patterns matches, and none that begins with `!`.
pub(crate) fn list_matches<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(pattern, text) => return false,
            Some(_) => {}
            None => found |= matches(pattern, text),
        }
    }
    found
}

/// Whether the pattern matches the whole text; case does not matter in host names.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let (mut at, mut place) = (0, 0);
    // Where to go on after the last `*`, when what follows it does not fit.
    let mut again: Option<(usize, usize)> = None;
    while place < text.len() {
        match pattern.get(at) {
            Some('*') => {
                again = Some((at + 1, place));
                at += 1;
            }
            Some(&char) if char == '?' || char == text[place] => {
                at += 1;
                place += 1;
            }
            _ => match again {
                Some((after, from)) => {
                    again = Some((after, from + 1));
                    (at, place) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&char| char == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("web", "web", true),
            ("WEB", "web", true),
            ("web", "web1", false),
            ("web?", "web1", true),
            ("web?", "web", false),
            ("*", "", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("10.0.0.*", "10.0.0.17", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        assert!(list_matches(["*", "!db"], "web"));
        assert!(!list_matches(["*", "!db"], "db"));
        assert!(!list_matches(["!db"], "web"));
    }
}
