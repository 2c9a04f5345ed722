//! Times as people say them.

use jiff::Timestamp;

/// `3 min ago`, for a time in the API's form; the text itself when it is none.
pub(crate) fn ago(time: &str, now: Timestamp) -> String {
    let Ok(then) = time.parse::<Timestamp>() else {
        return time.to_owned();
    };
    match now.as_second().saturating_sub(then.as_second()) {
        ..5 => "just now".to_owned(),
        seconds @ 5..60 => format!("{seconds} s ago"),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// `1 min 3 s`, for a number of seconds.
pub(crate) fn took(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..10 => format!("{:.1} s", seconds.max(0.0)),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        for (time, expected) in [
            ("2026-11-22T12:00:01Z", "just now"),
            ("2026-11-22T11:59:30.5Z", "30 s ago"),
            ("2026-11-22T12:50:00+01:00", "10 min ago"),
            ("2026-11-21T12:00:00Z", "24 h ago"),
            ("2026-11-12T12:00:00Z", "10 days ago"),
            ("yesterday", "yesterday"),
        ] {
            assert_eq!(ago(time, now), expected, "{time}");
        }
    }

    #[test]
    fn durations() {
        for (seconds, expected) in [
            (-1.0, "0.0 s"),
            (0.25, "0.2 s"),
            (12.4, "12 s"),
            (63.0, "1 min 3 s"),
            (7260.0, "2 h 1 min"),
        ] {
            assert_eq!(took(seconds), expected);
        }
    }
}
