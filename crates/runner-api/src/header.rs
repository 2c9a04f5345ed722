//! The headers that carry what the bodies do not: a trace's range, a job's status, the long poll's
//! cursor.

use std::fmt;
use std::str::FromStr;

/// Names of headers, in lower case as HTTP libraries want them.
pub mod name {
    /// The job's token, on everything about one job.
    pub const JOB_TOKEN: &str = "job-token";
    /// The job's status as the server sees it, on answers to a trace's PATCH and a job's PUT.
    pub const JOB_STATUS: &str = "job-status";
    /// Seconds until the runner should speak up again, at the latest.
    pub const TRACE_UPDATE_INTERVAL: &str = "x-gitlab-trace-update-interval";
    /// The cursor of the job queue: a runner sends it back as `last_update`.
    pub const LAST_UPDATE: &str = "x-gitlab-last-update";
    /// Which part of the trace a PATCH brings.
    pub const CONTENT_RANGE: &str = "content-range";
    /// How much of the trace the server has.
    pub const RANGE: &str = "range";
    /// The runner's token, on requests that have no body to carry it.
    pub const RUNNER_TOKEN: &str = "runner-token";
}

/// `first-last`, as `Content-Range` of a trace's PATCH (both inclusive), or `0-size` as `Range` of
/// the answer (there the second number is a size: GitLab is not consistent, and runners rely on it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// The number behind the dash.
    pub last: u64,
}

/// Why a text is no range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteRangeError {
    text: String,
}

impl ByteRange {
    /// The `Content-Range` of `length` bytes from `start`. No bytes are written `start-(start-1)`,
    /// as the official runner does; at the very start that is `0-0`.
    pub fn of_content(start: u64, length: u64) -> Self {
        Self {
            first: start,
            last: (start + length).saturating_sub(1),
        }
    }

    /// The `Range` of an answer: the server has `size` bytes.
    pub fn of_size(size: u64) -> Self {
        Self {
            first: 0,
            last: size,
        }
    }

    /// Read as the `Range` of an answer: how many bytes the server has.
    pub fn size(self) -> u64 {
        self.last
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for ByteRange {
    type Err = ByteRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        text.trim()
            .split_once('-')
            .and_then(|(first, last)| {
                Some(Self {
                    first: number(first)?,
                    last: number(last)?,
                })
            })
            .ok_or_else(|| ByteRangeError {
                text: text.chars().take(100).collect(),
            })
    }
}

impl fmt::Display for ByteRangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a range: expected `first-last`, two numbers of bytes",
            self.text
        )
    }
}

impl std::error::Error for ByteRangeError {}

/// What the server says about the job in the `Job-Status` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Not yet given to a runner.
    Pending,
    /// Go on.
    Running,
    /// Ended well.
    Success,
    /// Ended badly; the runner stops.
    Failed,
    /// Stop the script, run after_script, report the end.
    Canceling,
    /// Stop at once.
    Canceled,
}

/// A status that a runner does not act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownJobStatus;

impl JobStatus {
    const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::Success,
        Self::Failed,
        Self::Canceling,
        Self::Canceled,
    ];

    /// GitLab's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceling => "canceling",
            Self::Canceled => "canceled",
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobStatus {
    type Err = UnknownJobStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(UnknownJobStatus)
    }
}

impl fmt::Display for UnknownJobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a job status that a runner acts on")
    }
}

impl std::error::Error for UnknownJobStatus {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, text) in [
            (ByteRange::of_content(0, 10), "0-9"),
            (ByteRange::of_content(10, 1), "10-10"),
            (ByteRange::of_content(10, 0), "10-9"),
            (ByteRange::of_content(0, 0), "0-0"),
            (ByteRange::of_size(42), "0-42"),
        ] {
            assert_eq!(range.to_string(), text);
            assert_eq!(text.parse(), Ok(range));
        }
        for text in [
            "",
            "-",
            "1-",
            "-1",
            "a-b",
            "+1-2",
            "1",
            "1-2-3",
            "99999999999999999999-1",
        ] {
            assert!(text.parse::<ByteRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn statuses_round_trip() {
        for status in JobStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("skipped".parse::<JobStatus>().is_err());
    }
}
