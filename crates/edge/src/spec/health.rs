//! How a target's health is told.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::SpecError;
use crate::span::Span;
use crate::text::text_serde;

/// How a target's health is told, at `set` and while it serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSpec {
    /// The path that is asked for; without it a target is healthy when it takes connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The host name that is asked for; by default the target's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The statuses that are healthy.
    pub status: StatusRange,
    /// The time between two checks of a healthy target.
    pub interval: Span,
    /// How long one check may take.
    pub timeout: Span,
    /// So many good checks in a row make a target healthy.
    pub rise: u32,
    /// So many bad checks, or failed requests, in a row make it unhealthy.
    pub fall: u32,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self {
            path: None,
            host: None,
            status: StatusRange(200..=399),
            interval: Span::seconds(5),
            timeout: Span::seconds(3),
            rise: 1,
            fall: 3,
        }
    }
}

/// HTTP statuses from one to another, both included: `200-399`, or `204` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRange(pub RangeInclusive<u16>);

impl FromStr for StatusRange {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let bad = || SpecError::Status(text.to_owned());
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.parse::<u16>().map_err(|_| bad());
        let range = number(from)?..=number(to)?;
        if range.is_empty() || *range.start() < 100 || *range.end() > 599 {
            return Err(bad());
        }
        Ok(Self(range))
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.start(), self.0.end()) {
            (from, to) if from == to => write!(f, "{from}"),
            (from, to) => write!(f, "{from}-{to}"),
        }
    }
}

text_serde!(StatusRange);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_ranges() {
        for (text, good) in [
            ("200", true),
            ("200-399", true),
            ("399-200", false),
            ("99", false),
            ("200-600", false),
            ("x", false),
        ] {
            assert_eq!(text.parse::<StatusRange>().is_ok(), good, "{text}");
        }
    }
}
