//! Branches, tags and commits, as git names them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A branch or a tag; nothing else runs a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GitRef {
    /// Branch or tag.
    pub kind: RefKind,
    name: String,
}

/// What a [`GitRef`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefKind {
    /// `refs/heads/…`
    Branch,
    /// `refs/tags/…`
    Tag,
}

/// Why a text is no branch and no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a name that git allows for a branch or tag")]
pub struct RefNameError {
    text: String,
}

impl GitRef {
    /// The branch of this name.
    ///
    /// # Errors
    /// When git would refuse the name (`git help check-ref-format`).
    pub fn branch(name: impl Into<String>) -> Result<Self, RefNameError> {
        Self::new(RefKind::Branch, name.into())
    }

    /// The tag of this name.
    ///
    /// # Errors
    /// When git would refuse the name (`git help check-ref-format`).
    pub fn tag(name: impl Into<String>) -> Result<Self, RefNameError> {
        Self::new(RefKind::Tag, name.into())
    }

    fn new(kind: RefKind, name: String) -> Result<Self, RefNameError> {
        if is_ref_name(&name) {
            Ok(Self { kind, name })
        } else {
            Err(RefNameError { text: name })
        }
    }

    /// `main`, `v1.0.0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `refs/heads/main`, `refs/tags/v1.0.0`.
    pub fn full(&self) -> String {
        match self.kind {
            RefKind::Branch => format!("refs/heads/{}", self.name),
            RefKind::Tag => format!("refs/tags/{}", self.name),
        }
    }

    /// Whether this is a tag.
    pub fn is_tag(&self) -> bool {
        self.kind == RefKind::Tag
    }
}

/// Reads the full form, `refs/heads/…` or `refs/tags/…`.
impl FromStr for GitRef {
    type Err = RefNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix("refs/heads/") {
            Self::branch(name)
        } else if let Some(name) = text.strip_prefix("refs/tags/") {
            Self::tag(name)
        } else {
            Err(RefNameError {
                text: text.to_owned(),
            })
        }
    }
}

impl fmt::Display for GitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The rules of `git help check-ref-format`, plus no leading `-` (git's own rule for branches),
/// so that a name can never be read as an option.
fn is_ref_name(name: &str) -> bool {
    let forbidden = |c: char| {
        c.is_ascii_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    };
    !name.is_empty()
        && name.len() <= 1024
        && name != "@"
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(forbidden)
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
}

/// The full object id of a commit: 40 hexadecimal digits (SHA-1), or 64 (SHA-256 repositories).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

/// Why a text is no commit id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a commit id: expected 40 or 64 lower-case hexadecimal digits")]
pub struct CommitIdError {
    text: String,
}

impl CommitId {
    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight digits, as `CI_COMMIT_SHORT_SHA` has them.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

impl FromStr for CommitId {
    type Err = CommitIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if matches!(text.len(), 40 | 64) && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(CommitIdError {
                text: text.chars().take(100).collect(),
            })
        }
    }
}

impl TryFrom<String> for CommitId {
    type Error = CommitIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CommitId> for String {
    fn from(id: CommitId) -> Self {
        id.0
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_form_round_trips() {
        for text in ["refs/heads/main", "refs/tags/v1.0.0", "refs/heads/a/b"] {
            assert_eq!(text.parse::<GitRef>().unwrap().full(), text);
        }
    }

    #[test]
    fn refuses_what_git_refuses() {
        for name in [
            "", "-x", "a..b", "a b", "a/", "/a", ".a", "a.lock", "a/.b", "@", "a@{1}", "a.", "a\n",
        ] {
            assert!(GitRef::branch(name).is_err(), "{name:?}");
        }
        assert!("refs/merge-requests/1/head".parse::<GitRef>().is_err());
    }

    #[test]
    fn commit_ids() {
        let id: CommitId = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        assert_eq!(id.short(), "01234567");
        assert!("HEAD".parse::<CommitId>().is_err());
        assert!("0123".parse::<CommitId>().is_err());
    }
}
