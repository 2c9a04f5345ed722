//! When a certificate is renewed, and how long to wait after a failure. Knows no clock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A renewal is this share of the lifetime early or late, so that certificates that were ordered
/// together are not renewed together.
const SPREAD: f64 = 0.02;

/// The moment after about two thirds of the lifetime; `random` lies between 0 and 1.
pub(super) fn renewal(not_before: Timestamp, not_after: Timestamp, random: f64) -> Timestamp {
    let lifetime = not_after.duration_since(not_before).as_secs_f64().max(0.0);
    let share = 2.0 / 3.0 + (random * 2.0 - 1.0) * SPREAD;
    after(not_before, Duration::from_secs_f64(lifetime * share))
}

/// The pause after so many failures in a row: it doubles, up to `longest`, and varies by a tenth.
pub(super) fn pause(failures: u32, first: Duration, longest: Duration, random: f64) -> Duration {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(20));
    doubled.min(longest).mul_f64(0.9 + 0.2 * random)
}

pub(super) fn after(start: Timestamp, time: Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    start.saturating_add(time).unwrap_or(Timestamp::MAX)
}

/// Between 0 and 1.
pub(super) fn random() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewed_at_about_two_thirds() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let end: Timestamp = "2026-04-01T00:00:00Z".parse().unwrap();
        for (random, expected) in [
            (0.5, "2026-03-02T00:00:00Z"),
            (0.0, "2026-02-28T04:48:00Z"),
            (1.0, "2026-03-03T19:12:00Z"),
        ] {
            let at = renewal(start, end, random);
            let off = at.duration_since(expected.parse().unwrap()).abs();
            assert!(off < SignedDuration::from_secs(1), "{random}: {at}");
        }
        assert_eq!(
            renewal(end, start, 0.5),
            end,
            "a lifetime below nothing is none"
        );
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (first, longest) = (Duration::from_secs(60), Duration::from_secs(3600));
        for (failures, seconds) in [
            (0, 60),
            (1, 60),
            (2, 120),
            (5, 960),
            (7, 3600),
            (u32::MAX, 3600),
        ] {
            let pause = pause(failures, first, longest, 0.5);
            assert_eq!(pause.as_secs_f64().round() as u64, seconds, "{failures}");
        }
        assert!(pause(1, first, longest, 0.0) < pause(1, first, longest, 1.0));
    }
}
