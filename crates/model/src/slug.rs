//! Names made fit for host names and image tags.

/// GitLab's slug (`CI_COMMIT_REF_SLUG`): lower case, at most 63 characters, everything but digits
/// and letters replaced by `-`, no `-` at either end.
pub fn slug(name: &str) -> String {
    let replaced: String = name
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' => c,
            _ => '-',
        })
        .take(63)
        .collect();
    replaced.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn as_gitlab_does() {
        for (name, expected) in [
            ("main", "main"),
            ("v1.0.0", "v1-0-0"),
            ("Feature/ABC_1", "feature-abc-1"),
            ("-a-", "a"),
            (&"x".repeat(80), &"x".repeat(63)),
        ] {
            assert_eq!(slug(name), expected);
        }
    }
}
