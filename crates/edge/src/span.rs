//! A length of time as people write it: `500ms`, `30s`, `5m`, `1h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::text::text_serde;

/// A length of time, at most a year. A number without unit counts seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

/// A text that is no length of time.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no length of time: give a number and ms, s, m or h, such as 500ms or 30s")]
pub struct SpanError(String);

impl Span {
    /// A whole number of seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A whole number of milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// As the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        const YEAR: u64 = 365 * 24 * 3600 * 1000;
        let bad = || SpanError(text.to_owned());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| bad())?;
        let millis = match unit {
            "ms" => 1,
            "s" | "" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            _ => return Err(bad()),
        };
        match number.checked_mul(millis) {
            Some(millis) if millis <= YEAR => Ok(Self::millis(millis)),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            millis if millis % 1000 != 0 || millis == 0 => write!(f, "{millis}ms"),
            millis => write!(f, "{}s", millis / 1000),
        }
    }
}

text_serde!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let cases = [
            ("500ms", Some("500ms")),
            ("30", Some("30s")),
            ("30s", Some("30s")),
            ("2m", Some("120s")),
            ("1h", Some("3600s")),
            ("0s", Some("0ms")),
            ("1500ms", Some("1500ms")),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("1d", None),
            ("99999999999999999999h", None),
            ("18446744073709551615h", None),
        ];
        for (text, shown) in cases {
            let parsed = text.parse::<Span>().ok().map(|span| span.to_string());
            assert_eq!(parsed.as_deref(), shown, "{text}");
        }
    }
}
