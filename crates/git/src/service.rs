//! The two services of smart HTTP, and the protocol's version (gitprotocol-http, gitprotocol-v2).

use std::str::FromStr;

use crate::GitError;

/// What a client wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Fetch or clone: `git-upload-pack`.
    UploadPack,
    /// Push: `git-receive-pack`.
    ReceivePack,
}

impl Service {
    /// `git-upload-pack`, as in `?service=` and the last part of the address.
    pub fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    /// The content type of the answer to `GET info/refs`.
    pub fn advertisement_type(self) -> &'static str {
        match self {
            Self::UploadPack => "application/x-git-upload-pack-advertisement",
            Self::ReceivePack => "application/x-git-receive-pack-advertisement",
        }
    }

    /// The content type of a `POST`'s body.
    pub fn request_type(self) -> &'static str {
        match self {
            Self::UploadPack => "application/x-git-upload-pack-request",
            Self::ReceivePack => "application/x-git-receive-pack-request",
        }
    }

    /// The content type of the answer to a `POST`.
    pub fn result_type(self) -> &'static str {
        match self {
            Self::UploadPack => "application/x-git-upload-pack-result",
            Self::ReceivePack => "application/x-git-receive-pack-result",
        }
    }

    /// The subcommand that serves it.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::UploadPack => "upload-pack",
            Self::ReceivePack => "receive-pack",
        }
    }
}

/// Reads the value of `?service=`.
impl FromStr for Service {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "git-upload-pack" => Ok(Self::UploadPack),
            "git-receive-pack" => Ok(Self::ReceivePack),
            _ => Err(GitError::invalid(
                "the service is neither git-upload-pack nor git-receive-pack",
            )),
        }
    }
}

/// The value of the `Git-Protocol` header, made harmless: it becomes `GIT_PROTOCOL`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protocol(Option<String>);

impl Protocol {
    /// Takes the header's value. What is not a list of `key=value` words is as good as no header,
    /// as the protocol demands for what a server does not know.
    pub fn from_header(value: Option<&str>) -> Self {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"=:.-_".contains(&byte);
        Self(
            value
                .filter(|text| text.len() <= 200 && text.bytes().all(harmless))
                .map(str::to_owned),
        )
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(crate) fn is_version_2(&self) -> bool {
        self.as_str()
            .is_some_and(|text| text.split(':').any(|word| word == "version=2"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_header() {
        assert!(Protocol::from_header(Some("version=2")).is_version_2());
        assert!(Protocol::from_header(Some("x=1:version=2")).is_version_2());
        for text in [None, Some("version=1"), Some("version=2\n"), Some("$(id)")] {
            assert!(!Protocol::from_header(text).is_version_2(), "{text:?}");
        }
    }
}
