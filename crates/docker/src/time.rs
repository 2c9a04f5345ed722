//! Times as the Engine writes them.

use jiff::Timestamp;

/// A time of the Engine; `0001-01-01T00:00:00Z` means never.
pub(crate) fn timestamp(text: Option<&str>) -> Option<Timestamp> {
    let time: Timestamp = text?.parse().ok()?;
    (time > Timestamp::UNIX_EPOCH).then_some(time)
}

/// Nanoseconds, as the Engine counts durations in specs.
pub(crate) fn nanoseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Whole seconds, rounded up: a grace period never gets shorter.
pub(crate) fn seconds(duration: std::time::Duration) -> i64 {
    let up = u64::from(duration.subsec_nanos() > 0);
    i64::try_from(duration.as_secs().saturating_add(up)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times() {
        assert_eq!(timestamp(Some("0001-01-01T00:00:00Z")), None);
        assert_eq!(timestamp(Some("")), None);
        let time = timestamp(Some("2026-02-03T04:05:06.123456789+01:00")).unwrap();
        assert_eq!(time.to_string(), "2026-02-03T03:05:06.123456789Z");
        assert_eq!(seconds(Duration::from_millis(1_001)), 2);
        assert_eq!(seconds(Duration::from_secs(10)), 10);
        assert_eq!(nanoseconds(Duration::MAX), i64::MAX);
    }
}
