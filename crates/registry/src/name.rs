//! The names that a client writes into an address: repositories, tags, references.
//!
//! They become paths of files, so what does not parse here never reaches the file system: no part
//! can be empty, begin with a dot or underscore, or be longer than a file's name may be.

use std::fmt;
use std::str::FromStr;

use model::Digest;

/// A repository's name, `group/name` or deeper (`group/name/sub`), as the OCI distribution
/// specification allows it ("Pulling manifests"); at most 255 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(String);

/// Why a text names no repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no name of a repository: write `group/name` in lower-case letters and digits, with single `.`, `_` or `-` between them, at most 255 characters"
)]
pub struct NameError {
    text: String,
}

impl RepositoryName {
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This name and every shorter one around it, the longest first: the project that a repository
    /// belongs to is one of them.
    pub fn ancestry(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.0.as_str()), |path| {
            path.rsplit_once('/').map(|(outer, _)| outer)
        })
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() <= 255 && text.split('/').all(is_part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError {
                text: excerpt(text),
            })
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One part of a name: letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn is_part(part: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator = |s: &str| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-');
    part.starts_with(is_word) && part.ends_with(is_word) && part.split(is_word).all(is_separator)
}

/// A tag: at most 128 letters, digits, `_`, `.` and `-`; the first is none of the last two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag(String);

impl Tag {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let is_rest = |b: u8| is_word(b) || b == b'.' || b == b'-';
        let starts_right = text.bytes().next().is_some_and(is_word);
        if starts_right && text.len() <= 128 && text.bytes().all(is_rest) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReferenceError {
                text: excerpt(text),
            })
        }
    }
}

/// What a manifest is asked by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    Tag(Tag),
    Digest(Digest),
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is neither a tag (at most 128 letters, digits, `_`, `.` and `-`, beginning with a letter, digit or `_`) nor a digest (`sha256:` and 64 lower-case hexadecimal digits)"
)]
pub(crate) struct ReferenceError {
    text: String,
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(digest) => Ok(Self::Digest(digest)),
            Err(_) => text.parse().map(Self::Tag),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag.as_str()),
            Self::Digest(digest) => f.write_str(digest.as_str()),
        }
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names() {
        for good in [
            "debian",
            "a/b",
            "group/name/sub",
            "a.b/c_d/e__f/g---h",
            "invenio01/x",
        ] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        for bad in [
            "", "/", "a/", "/a", "a//b", "..", "a/..", "a/../b", "a/.b", "_blobs", "a/_tags",
            "a___b", "a._b", "a/B", "a b", "a\0b", "a\\b", "a-", "ä/b",
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(255).parse::<RepositoryName>().is_ok());
        assert!("a".repeat(256).parse::<RepositoryName>().is_err());
    }

    #[test]
    fn ancestry_begins_with_the_longest() {
        let name: RepositoryName = "group/name/sub".parse().unwrap();
        let all: Vec<_> = name.ancestry().collect();
        assert_eq!(all, ["group/name/sub", "group/name", "group"]);
    }

    #[test]
    fn references() {
        for tag in ["v1.0.0", "latest", "_x", "A-b", &"t".repeat(128)] {
            assert!(matches!(tag.parse(), Ok(Reference::Tag(_))), "{tag}");
        }
        let digest = Digest::of(b"");
        assert_eq!(digest.as_str().parse(), Ok(Reference::Digest(digest)));
        for bad in [
            "",
            ".",
            "..",
            "-a",
            "a/b",
            "sha256:12",
            "a:b",
            &"t".repeat(129),
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?}");
        }
    }
}
