//! Names of the things of a project, each a type of its own.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {rule}")]
pub struct NameError {
    text: String,
    what: &'static str,
    rule: &'static str,
}

/// More characters than this have no place in a name on the engine.
const MAX_LENGTH: usize = 200;

const KEY_RULE: &str = "letters, digits, `.`, `_` and `-` are allowed, at most 200 of them";

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $fits:expr, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let fits: fn(&str) -> bool = $fits;
                if !text.is_empty() && text.len() <= MAX_LENGTH && fits(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(NameError {
                    text: text.chars().take(100).collect(),
                    what: $what,
                    rule: $rule,
                })
            }
        }

        model::text_conversions!($name, NameError);

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a project.
    ProjectName,
    "project's name",
    is_project,
    "lower-case letters, digits, `_` and `-` are allowed; a letter or digit comes first"
);
name!(
    /// The key of a service under `services:`.
    ServiceName,
    "service's name",
    is_key,
    KEY_RULE
);
name!(
    /// The key of a network under `networks:`.
    NetworkName,
    "network's name",
    is_key,
    KEY_RULE
);
name!(
    /// The key of a volume under `volumes:`.
    VolumeName,
    "volume's name",
    is_key,
    KEY_RULE
);
name!(
    /// The key of a config under `configs:`.
    ConfigName,
    "config's name",
    is_key,
    KEY_RULE
);
name!(
    /// The key of a secret under `secrets:`.
    SecretName,
    "secret's name",
    is_key,
    KEY_RULE
);

/// The pattern `^[a-zA-Z0-9._-]+$` of the specification's schema.
fn is_key(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.bytes().all(allowed)
}

/// The pattern `^[a-z0-9][a-z0-9_-]*$` of the specification, "Name top-level element".
fn is_project(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().next().is_some_and(plain)
        && text
            .bytes()
            .all(|byte| plain(byte) || b"_-".contains(&byte))
}
