//! Statuses, and the one status that several jobs have together.
//!
//! The rules of the combination are GitLab's "composite status": what matters is only which
//! statuses occur, so they are kept as counts that change in constant time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Status of a job, a stage or a pipeline.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for others.
    #[default]
    Created,
    /// Its resource group is in use.
    WaitingForResource,
    /// Something is made ready for it.
    Preparing,
    /// Waits for a runner.
    Pending,
    /// A runner has it.
    Running,
    /// Ended well.
    Success,
    /// Ended badly.
    Failed,
    /// Its runner was told to stop.
    Canceling,
    /// Was stopped.
    Canceled,
    /// Will not run, because of those before it.
    Skipped,
    /// Waits for somebody to play it.
    Manual,
    /// Waits for its time.
    Scheduled,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Created,
        Self::WaitingForResource,
        Self::Preparing,
        Self::Pending,
        Self::Running,
        Self::Success,
        Self::Failed,
        Self::Canceling,
        Self::Canceled,
        Self::Skipped,
        Self::Manual,
        Self::Scheduled,
    ];

    /// The word in GitLab's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::WaitingForResource => "waiting_for_resource",
            Self::Preparing => "preparing",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceling => "canceling",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
        }
    }

    /// Nothing will happen any more, unless somebody retries.
    pub fn is_complete(self) -> bool {
        matches!(
            self,
            Self::Success | Self::Failed | Self::Canceled | Self::Skipped
        )
    }

    /// Something is going on, or will without anybody's doing.
    pub fn is_alive(self) -> bool {
        !self.is_complete() && self != Self::Manual
    }

    /// A runner has it, or it waits for one.
    pub fn is_active(self) -> bool {
        matches!(
            self,
            Self::WaitingForResource
                | Self::Preparing
                | Self::Pending
                | Self::Running
                | Self::Canceling
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no status"))
    }
}

const KINDS: usize = Status::ALL.len() + 2;
/// Failed or canceled, and allowed to.
const WARNED: usize = Status::ALL.len();
/// Manual, and nobody waits for it.
const IGNORED: usize = Status::ALL.len() + 1;

/// How many jobs of a set have which status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts([u32; KINDS]);

/// What a job counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind(usize);

impl Kind {
    pub(crate) fn of(status: Status, allow_failure: bool) -> Self {
        match status {
            Status::Failed | Status::Canceled if allow_failure => Self(WARNED),
            Status::Manual if allow_failure => Self(IGNORED),
            status => Self(status as usize),
        }
    }
}

/// Bits of kinds, for the questions below.
const fn bits(statuses: &[Status]) -> u32 {
    let mut bits = 0;
    let mut at = 0;
    while at < statuses.len() {
        bits |= 1 << statuses[at] as usize;
        at += 1;
    }
    bits
}

const FORGIVEN: u32 = (1 << WARNED) | (1 << IGNORED);

impl Counts {
    pub(crate) fn add(&mut self, kind: Kind) {
        self.0[kind.0] += 1;
    }

    pub(crate) fn remove(&mut self, kind: Kind) {
        self.0[kind.0] -= 1;
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    pub(crate) fn has(&self, status: Status) -> bool {
        self.0[status as usize] > 0
    }

    fn present(&self) -> u32 {
        let bit = |(kind, count): (usize, &u32)| u32::from(*count > 0) << kind;
        self.0.iter().enumerate().map(bit).sum()
    }

    /// The status of jobs that are waited for by stage: of none it is success.
    pub(crate) fn status(&self) -> Status {
        let present = self.present();
        match present {
            0 => Status::Success,
            _ => composite(present),
        }
    }

    /// The status of jobs that are waited for by `needs`: stricter, as one that did not run
    /// skips the job, and one that may still run holds it.
    pub(crate) fn status_of_needs(&self) -> Status {
        let present = self.present();
        let ended = bits(&[
            Status::Success,
            Status::Failed,
            Status::Canceled,
            Status::Skipped,
        ]) | (1 << WARNED);
        if present == 0 {
            Status::Success
        } else if present & (bits(&[Status::Skipped]) | (1 << IGNORED)) != 0 {
            Status::Skipped
        } else if present & !ended != 0 {
            Status::Pending
        } else {
            composite(present)
        }
    }
}

fn composite(present: u32) -> Status {
    use Status::{
        Canceled, Canceling, Created, Failed, Manual, Pending, Preparing, Running, Scheduled,
        Skipped, Success, WaitingForResource,
    };
    const WARNED_BIT: u32 = 1 << WARNED;
    const IGNORED_BIT: u32 = 1 << IGNORED;
    let only = |allowed: u32| present & !allowed == 0;
    let any = |wanted: u32| present & wanted != 0;
    if only(bits(&[Skipped]) | IGNORED_BIT) {
        Skipped
    } else if only(bits(&[Success, Skipped]) | WARNED_BIT | IGNORED_BIT) {
        Success
    } else if only(bits(&[Created]) | FORGIVEN) {
        Created
    } else if only(bits(&[Preparing]) | FORGIVEN) {
        Preparing
    } else if only(bits(&[Canceled, Success, Skipped]) | FORGIVEN) {
        Canceled
    } else if any(bits(&[Canceling])) {
        Canceling
    } else if only(bits(&[Pending, Created, Skipped]) | FORGIVEN) {
        Pending
    } else if any(bits(&[Running, Pending])) {
        Running
    } else if any(bits(&[WaitingForResource])) {
        WaitingForResource
    } else if any(bits(&[Manual])) {
        Manual
    } else if any(bits(&[Scheduled])) {
        Scheduled
    } else if any(bits(&[Preparing])) {
        Preparing
    } else if any(bits(&[Created])) {
        Running
    } else {
        Failed
    }
}
