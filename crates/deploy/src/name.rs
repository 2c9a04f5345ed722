//! Names of hosts, environments, releases and holders of locks, each a type of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {rule}")]
pub struct TextError {
    text: String,
    what: &'static str,
    rule: &'static str,
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $longest:literal, $fits:expr, $rule:literal) => {
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
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                let fits: fn(char) -> bool = $fits;
                if !text.is_empty() && text.len() <= $longest && text.chars().all(fits) {
                    return Ok(Self(text.to_owned()));
                }
                Err(TextError { text: text.chars().take(100).collect(), what: $what, rule: $rule })
            }
        }

        model::text_conversions!($name, TextError);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// A host by its address, as `lotse.toml` has it: `ssh://deploy@web1`, `unix:///run/docker.sock`.
    HostName,
    "a host's address",
    300,
    |char| !char.is_whitespace() && !char.is_control(),
    "it has 1 to 300 characters and no spaces, such as ssh://deploy@web1"
);
text!(
    /// The name of an environment, such as `prod`.
    EnvironmentName,
    "an environment's name",
    60,
    |char| char.is_ascii_alphanumeric() || "._-".contains(char),
    "letters, digits, `.`, `_` and `-` are allowed, at most 60 of them"
);
text!(
    /// Who holds a lock, in words that a person can find them by. Each run has one of its own.
    Holder,
    "a holder of a lock",
    200,
    |char| !char.is_control(),
    "it has 1 to 200 characters and no line breaks"
);

impl HostName {
    /// The part that people call the host by: the address without scheme, user and port.
    pub fn short(&self) -> &str {
        let rest = self
            .0
            .split_once("://")
            .map_or(self.0.as_str(), |(_, rest)| rest);
        let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        match rest.split_once([':', '/']) {
            Some((host, _)) if !host.is_empty() && !rest.starts_with('[') => host,
            _ => rest,
        }
    }
}

/// The number of a release: releases of an environment are counted from 1, and a number is never
/// given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseNumber(pub u64);

impl ReleaseNumber {
    /// The one after it.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_of_hosts() {
        for (address, short) in [
            ("ssh://deploy@web1", "web1"),
            ("ssh://deploy@web1:2222", "web1"),
            ("tcp://10.0.0.2:2376", "10.0.0.2"),
            ("unix:///run/docker.sock", "/run/docker.sock"),
            ("ssh://[::1]:22", "[::1]:22"),
            ("web1", "web1"),
        ] {
            assert_eq!(address.parse::<HostName>().unwrap().short(), short);
        }
    }

    #[test]
    fn what_is_no_name_says_so() {
        assert!("".parse::<HostName>().is_err());
        assert!("two words".parse::<HostName>().is_err());
        assert!("a\nb".parse::<Holder>().is_err());
        let error = "a/b".parse::<EnvironmentName>().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`a/b` is not an environment's name")
        );
    }
}
