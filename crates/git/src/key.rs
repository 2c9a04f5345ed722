//! The name of a repository's folder.

use std::fmt;
use std::str::FromStr;

/// What the caller calls a repository: a name that never changes, such as a project's number, so
/// that renaming the project moves nothing on the disk.
///
/// 1 to 64 lower-case letters, digits and `-`, starting with a letter or digit: it can neither
/// leave its folder nor be read as an option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryKey(String);

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a repository key: expected 1 to 64 lower-case letters, digits and `-`")]
pub struct KeyError {
    text: String,
}

impl RepositoryKey {
    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = text.len() <= 64
            && text.bytes().next().is_some_and(word)
            && text.bytes().all(|byte| word(byte) || byte == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyError {
                text: text.chars().take(100).collect(),
            })
        }
    }
}

impl From<model::ProjectId> for RepositoryKey {
    fn from(id: model::ProjectId) -> Self {
        Self(format!("p{}", id.0.unsigned_abs()))
    }
}

impl fmt::Display for RepositoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_names() {
        for text in ["1", "p42", "a-b"] {
            assert!(text.parse::<RepositoryKey>().is_ok(), "{text}");
        }
        let long = "a".repeat(65);
        for text in ["", "-x", "..", "a/b", "A", "a.git", "a b", "a\n", &long] {
            assert!(text.parse::<RepositoryKey>().is_err(), "{text:?}");
        }
    }
}
