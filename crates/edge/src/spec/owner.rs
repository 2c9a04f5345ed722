//! Whose a route is.

use std::fmt;
use std::str::FromStr;

use super::SpecError;
use crate::text::text_serde;

/// Whose routes are, in the owner's own words: at most 500 characters, none of them for control.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(String);

impl FromStr for Owner {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let fits = (1..=500).contains(&text.len()) && !text.chars().any(char::is_control);
        match fits {
            true => Ok(Self(text.to_owned())),
            false => Err(SpecError::Owner(text.chars().take(100).collect())),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_serde!(Owner);
