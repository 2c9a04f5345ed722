//! Contents of configs and secrets.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compose::project::File;
use serde::{Deserialize, Serialize};

/// A config or a secret with its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseFile {
    /// What compose says of it.
    pub file: File,
    /// What is in it.
    pub content: Content,
}

/// The bytes of a file. `Debug` tells their number only; serialisation writes base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Content(pub Vec<u8>);

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.0.len())
    }
}

impl TryFrom<String> for Content {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Content> for String {
    fn from(content: Content) -> Self {
        STANDARD.encode(content.0)
    }
}
