//! How long a job's work may go on, and why it was stopped.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::upload::Order;

/// Why work was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Someone cancelled the job; after_script still runs.
    Canceled,
    /// The server does not want the job any more.
    Aborted,
    /// The runner itself is being stopped.
    Shutdown,
    /// The job, or its script, took longer than this.
    TimedOut(Duration),
}

/// How long work may go on.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) orders: watch::Receiver<Order>,
    pub(crate) shutdown: CancellationToken,
    /// Orders below this are not listened to.
    pub(crate) heed: Order,
    pub(crate) begin: Instant,
    pub(crate) longest: Duration,
}

impl Limits {
    /// Returns when one of the limits is reached.
    pub(crate) async fn reached(&self) -> Cause {
        let mut orders = self.orders.clone();
        tokio::select! {
            order = orders.wait_for(|order| *order >= self.heed) => match order.as_deref() {
                Ok(Order::Cancel) => Cause::Canceled,
                _ => Cause::Aborted,
            },
            () = self.shutdown.cancelled() => Cause::Shutdown,
            () = sleep_until(self.begin + self.longest) => Cause::TimedOut(self.longest),
        }
    }

    /// Waits, unless a limit is reached before.
    pub(crate) async fn pause(&self, pause: Duration) -> Result<(), Cause> {
        tokio::select! {
            () = sleep(pause) => Ok(()),
            cause = self.reached() => Err(cause),
        }
    }

    /// The same limits, but at most `longest` from now.
    pub(crate) fn at_most(&self, longest: Option<Duration>) -> Self {
        let now = Instant::now();
        match longest {
            Some(longest) if now + longest < self.begin + self.longest => Self {
                begin: now,
                longest,
                ..self.clone()
            },
            _ => self.clone(),
        }
    }
}

/// Go's form of durations, which GitLab's variables have: `1h30m`, `90s`, `5m`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let amount: u32 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, length) = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))?;
        total += Duration::from_millis(length).checked_mul(amount)?;
        rest = &rest[unit.len()..];
    }
    (!total.is_zero()).then_some(total)
}

/// `1h 0m 30s`.
pub(crate) fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s}s"),
        (h, m, s) => format!("{h}h {m}m {s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("5m", Some(300)),
            ("1h30m", Some(5400)),
            ("90s", Some(90)),
            ("1500ms", Some(1)),
            ("", None),
            ("5", None),
            ("0s", None),
            ("5 minutes", None),
            ("99999999999h", None),
        ] {
            assert_eq!(parse_duration(text).map(|d| d.as_secs()), seconds, "{text}");
        }
    }
}
