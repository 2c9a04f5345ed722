//! Where a project lives: `group/name`, with groups inside groups.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A group's path: one or more names, `invenio` or `faculty/invenio`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupPath(String);

/// A project's path: a group's and the project's name, `invenio/repository`.
///
/// It is also the name of the project's images in the registry, so it is lower case throughout,
/// as image names are (OCI distribution specification, "Pulling manifests").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectPath(String);

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A part has characters that are not allowed, or is empty.
    #[error(
        "`{part}` cannot be part of a path: use lower-case letters, digits, and `.`, `_` or `-` between them"
    )]
    Part {
        /// The part at fault.
        part: String,
    },
    /// A project needs a group.
    #[error("`{text}` has no group: write `group/name`")]
    NoGroup {
        /// What was given.
        text: String,
    },
    /// Too long, or nested too deeply.
    #[error("the path is too long: at most 255 characters in at most 20 parts")]
    TooLong,
}

impl GroupPath {
    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This group and every group around it, the innermost first.
    pub fn ancestry(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.0.as_str()), |path| {
            path.rsplit_once('/').map(|(outer, _)| outer)
        })
    }
}

impl ProjectPath {
    /// The whole path, `group/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    pub fn name(&self) -> &str {
        self.split().1
    }

    /// All parts but the last.
    pub fn group(&self) -> GroupPath {
        GroupPath(self.split().0.to_owned())
    }

    fn split(&self) -> (&str, &str) {
        self.0
            .rsplit_once('/')
            .expect("a project's path has a group: it was checked when it was parsed")
    }
}

impl FromStr for GroupPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for ProjectPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check(text)?;
        if text.contains('/') {
            Ok(Self(text.to_owned()))
        } else {
            Err(PathError::NoGroup {
                text: text.to_owned(),
            })
        }
    }
}

fn check(text: &str) -> Result<(), PathError> {
    if text.len() > 255 || text.split('/').count() > 20 {
        return Err(PathError::TooLong);
    }
    match text.split('/').find(|part| !is_part(part)) {
        Some(part) => Err(PathError::Part {
            part: part.to_owned(),
        }),
        None => Ok(()),
    }
}

/// One part of an image name; GitLab's reserved endings are refused as well, as addresses such as
/// `/group/name.git` would be ambiguous.
fn is_part(part: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separator = |byte: u8| matches!(byte, b'.' | b'_' | b'-');
    let bytes = part.as_bytes();
    let ends_right = |byte: Option<&u8>| byte.copied().is_some_and(alphanumeric);
    ends_right(bytes.first())
        && ends_right(bytes.last())
        && bytes.iter().all(|&b| alphanumeric(b) || separator(b))
        && !part.contains("..")
        && !part.ends_with(".git")
        && !part.ends_with(".atom")
}

crate::text_conversions!(GroupPath, PathError);
crate::text_conversions!(ProjectPath, PathError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let path: ProjectPath = "faculty/invenio/repository".parse().unwrap();
        assert_eq!(path.name(), "repository");
        let group = path.group();
        let ancestry: Vec<_> = group.ancestry().collect();
        assert_eq!(ancestry, ["faculty/invenio", "faculty"]);
    }

    #[test]
    fn refuses_what_could_leave_its_folder_or_confuse_an_address() {
        for text in [
            "", "a", "a/", "/a", "a//b", "a/..", "../a", "a/b.git", "a/-", "a/B", "a/b c", "a/.b",
        ] {
            assert!(text.parse::<ProjectPath>().is_err(), "{text:?}");
        }
        let deep = vec!["a"; 21].join("/");
        assert_eq!(deep.parse::<ProjectPath>(), Err(PathError::TooLong));
    }
}
