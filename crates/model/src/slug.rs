//! Names made fit for host names and image tags.

use sha2::{Digest, Sha256};

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

/// GitLab's slug of an environment (`CI_ENVIRONMENT_SLUG`): at most 24 characters, the first a letter, no two
/// `-` together and none at the end. Of a name that is not a slug itself it ends with six characters made of
/// the whole name, so that two such names have two slugs.
pub fn environment_slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        let c = match c {
            'a'..='z' | '0'..='9' => c,
            _ => '-',
        };
        if slug.is_empty() && !c.is_ascii_lowercase() {
            slug.push_str("env-");
        }
        if c != '-' || !slug.ends_with('-') {
            slug.push(c);
        }
    }
    if slug.is_empty() {
        slug.push_str("env-");
    }
    if slug.len() <= 24 && slug == name {
        return slug.strip_suffix('-').unwrap_or(&slug).to_owned();
    }
    slug.truncate(17);
    if !slug.ends_with('-') {
        slug.push('-');
    }
    slug + &last_digits(&Sha256::digest(name))
}

/// The last six digits of a great number in base 36.
fn last_digits(number: &[u8]) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let modulus = 36_u64.pow(6);
    let rest = (number.iter()).fold(0, |rest, byte| (rest * 256 + u64::from(*byte)) % modulus);
    let digit = |place| char::from(DIGITS[(rest / 36_u64.pow(place) % 36) as usize]);
    (0..6).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::{environment_slug, last_digits, slug};

    #[test]
    fn of_environments_as_gitlab_does() {
        for (name, expected) in [
            ("production", "production"),
            ("staging-1234567890123456", "staging-1234567890123456"),
            ("foo-", "foo"),
        ] {
            assert_eq!(environment_slug(name), expected);
        }
        for (name, start) in [
            ("staging-12345678901234567", "staging-123456789-"),
            ("9-staging-123456789012345", "env-9-staging-123-"),
            ("staging-1234567890123456-", "staging-123456789-"),
            ("PRODUCTION", "production-"),
            ("review/1-foo", "review-1-foo-"),
            ("1/foo", "env-1-foo-"),
            ("foo--bar", "foo-bar-"),
            ("*-foo", "env-foo-"),
            ("staging-12345678-01234567", "staging-12345678-"),
            ("", "env-"),
        ] {
            let slug = environment_slug(name);
            let (rest, suffix) = slug.split_at(start.len());
            assert_eq!((rest, suffix.len()), (start, 6), "{name}: {slug}");
        }
        assert_ne!(environment_slug("a.b"), environment_slug("a/b"));
        assert_eq!(last_digits(&[0xaa; 32]), "q517sa");
    }

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
