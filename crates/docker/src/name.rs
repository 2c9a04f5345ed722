//! Names and references as the Engine takes them, checked before they become part of a request's
//! path.

use std::str::FromStr;

use model::Digest;
use serde::{Deserialize, Serialize};

const LONGEST: usize = 1024;

/// The name or the id of a container, network or volume: letters, digits, `_`, `.` and `-`,
/// beginning with a letter or digit (Docker's `RestrictedNamePattern`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// An image: `name`, `name:tag`, `name@sha256:…`, or an image's id (`sha256:…`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef(String);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct NameError {
    text: String,
    expected: &'static str,
}

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ImageRef {
    /// The whole reference.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The repository without tag and digest: `registry:5000/shop/web`.
    pub fn repository(&self) -> &str {
        let name = self.0.split('@').next().unwrap_or(&self.0);
        match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        }
    }

    /// The tag, when the reference has one and is not an id.
    pub fn tag(&self) -> Option<&str> {
        if self.id().is_some() {
            return None;
        }
        let name = self.0.split('@').next()?;
        let (_, tag) = name.rsplit_once(':')?;
        (!tag.contains('/')).then_some(tag)
    }

    /// The digest of the manifest, when the reference has one.
    pub fn digest(&self) -> Option<Digest> {
        self.0.split_once('@')?.1.parse().ok()
    }

    /// The image's id, when the reference is one.
    pub fn id(&self) -> Option<Digest> {
        self.0.parse().ok()
    }

    /// The same repository by this digest.
    pub fn at(&self, digest: &Digest) -> Self {
        Self(format!("{}@{digest}", self.repository()))
    }

    /// The same repository under this tag.
    ///
    /// # Errors
    /// When it is no tag.
    pub fn tagged(&self, tag: &str) -> Result<Self, NameError> {
        format!("{}:{tag}", self.repository()).parse()
    }

    /// What a pull asks for beside the repository: the digest, the tag, or `latest`.
    pub(crate) fn tag_or_digest(&self) -> String {
        match (self.digest(), self.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_owned(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // The Engine itself shows a container's name with a slash before it.
        let name = text.strip_prefix('/').unwrap_or(text);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let begins_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
        if begins_well && name.len() <= LONGEST && name.bytes().all(allowed) {
            return Ok(Self(name.to_owned()));
        }
        let expected =
            "a name: letters, digits, `_`, `.` and `-`, beginning with a letter or digit";
        Err(NameError::new(text, expected))
    }
}

impl FromStr for ImageRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let expected = "an image: `name`, `name:tag` or `name@sha256:…`";
        let error = || NameError::new(text, expected);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/:@".contains(&byte);
        let begins_well = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        let parts_are_whole = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let sound = begins_well && parts_are_whole && text.bytes().all(allowed);
        if !sound || text.len() > LONGEST || text.ends_with([':', '@']) {
            return Err(error());
        }
        match text.split_once('@') {
            Some((_, digest)) if digest.parse::<Digest>().is_err() => Err(error()),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl NameError {
    fn new(text: &str, expected: &'static str) -> Self {
        let text = text.chars().take(100).collect();
        Self { text, expected }
    }
}

model::text_conversions!(Name, NameError);
model::text_conversions!(ImageRef, NameError);

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn names() {
        for good in ["web", "web_1", "7f.a-b", "/shown-by-the-engine"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "/", "-a", "a/b", "a b", "../x", "a?b", "a%2f", "ä"] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        assert_eq!("/web".parse::<Name>().unwrap().as_str(), "web");
    }

    #[test]
    fn references_come_apart() {
        let cases = [
            ("web", "web", None, "latest"),
            ("web:1", "web", Some("1"), "1"),
            ("host:5000/shop/web", "host:5000/shop/web", None, "latest"),
            (
                "host:5000/shop/web:v1",
                "host:5000/shop/web",
                Some("v1"),
                "v1",
            ),
        ];
        for (text, repository, tag, pulled) in cases {
            let image: ImageRef = text.parse().unwrap();
            assert_eq!(image.repository(), repository, "{text}");
            assert_eq!(image.tag(), tag, "{text}");
            assert_eq!(image.tag_or_digest(), pulled, "{text}");
        }
    }

    #[test]
    fn digests_and_ids() {
        let image: ImageRef = format!("host:5000/web:v1@{DIGEST}").parse().unwrap();
        assert_eq!(image.repository(), "host:5000/web");
        assert_eq!(image.tag_or_digest(), DIGEST);
        let id: ImageRef = DIGEST.parse().unwrap();
        assert_eq!(id.id().unwrap().as_str(), DIGEST);
        assert_eq!(id.tag(), None);
        let by_digest = image.at(&DIGEST.parse().unwrap());
        assert_eq!(by_digest.as_str(), format!("host:5000/web@{DIGEST}"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for bad in [
            "",
            "a b",
            "../a",
            "a//b",
            "a?x",
            "a@sha256:1",
            "a:",
            "/a",
            "a/../b",
            "a@",
            "-a",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad}");
        }
    }
}
