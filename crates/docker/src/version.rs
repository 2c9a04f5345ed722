//! Versions of an engine and of its API. Every request names the version that both sides know, so
//! that what it means does not change when the engine is updated.

use std::fmt;
use std::str::FromStr;

/// A version of the Engine API, such as 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// Before the point.
    pub major: u16,
    /// Behind it.
    pub minor: u16,
}

/// What an engine says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineVersion {
    /// The engine's own version, such as `20.10.24`.
    pub engine: String,
    /// The newest API version that it knows.
    pub api: ApiVersion,
    /// The oldest API version that it still knows.
    pub oldest_api: ApiVersion,
    /// The API version that is spoken with it.
    pub spoken: ApiVersion,
    /// The operating system, such as `linux`.
    pub os: String,
    /// The processor, in Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// The kernel's version.
    pub kernel: String,
}

impl ApiVersion {
    /// The oldest API spoken here: that of Docker 20.10.
    pub const OLDEST: Self = Self::new(1, 41);
    /// The newest API spoken here: that of Docker 27, which later ones still know.
    pub const NEWEST: Self = Self::new(1, 47);

    /// A version.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// The newest version that an engine with this range and this crate both know.
    pub(crate) fn common(oldest: Self, newest: Self) -> Option<Self> {
        let common = newest.min(Self::NEWEST);
        (common >= oldest && common >= Self::OLDEST).then_some(common)
    }
}

impl FromStr for ApiVersion {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Ok(Self::new(major.parse()?, minor.parse()?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_spoken() {
        let version = |text: &str| text.parse::<ApiVersion>().unwrap();
        let common = |oldest, newest| {
            ApiVersion::common(version(oldest), version(newest)).map(|common| common.to_string())
        };
        assert_eq!(common("1.12", "1.41").as_deref(), Some("1.41"));
        assert_eq!(common("1.24", "1.47").as_deref(), Some("1.47"));
        assert_eq!(common("1.44", "1.99").as_deref(), Some("1.47"));
        assert_eq!(common("1.12", "1.40"), None);
        assert_eq!(common("1.48", "1.60"), None);
    }
}
