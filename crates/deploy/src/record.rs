//! What Lotse writes down on a host: which release is in force, which it knows, what is under way.
//!
//! The record is the memory of an environment. A deployer that is killed leaves its intent there,
//! so the next one knows where the way back leads. It is written under the lock only.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::name::ReleaseNumber;
use crate::release::Release;

/// The record of one environment on one host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The release that the last finished rollout brought here.
    pub in_force: Option<ReleaseNumber>,
    /// The releases that were in force before it, the latest last: the way that rollbacks take. One
    /// that was taken back is not on it.
    #[serde(default)]
    pub before: Vec<ReleaseNumber>,
    /// What was begun and not ended.
    pub under_way: Option<Intent>,
    /// The releases that the host knows.
    pub releases: BTreeMap<ReleaseNumber, Kept>,
}

/// A release as a host knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// All of it.
    pub release: Arc<Release>,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a release on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It has not served to the end of a rollout yet.
    Unproven,
    /// It was in force.
    Good,
    /// It was taken back, for this reason.
    Failed(String),
}

/// What a deployer is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Forth or back.
    pub way: Way,
    /// The release in force before.
    pub from: Option<ReleaseNumber>,
    /// The release that shall be in force.
    pub to: ReleaseNumber,
}

/// Forth or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// A release comes.
    Deploy,
    /// One that was there before comes again.
    Rollback,
}

/// A change of the record. Each is written in one piece or not at all, and again without harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// `under_way` becomes this; the definition of the release `to` is added as unproven, unless
    /// the number is known.
    Begin(Intent),
    /// A release is in force, and its verdict good.
    Commit {
        /// Which.
        release: ReleaseNumber,
        /// Those before it.
        before: Vec<ReleaseNumber>,
    },
    /// The verdict of this one becomes failed, unless it was in force before.
    Fail {
        /// Which.
        release: ReleaseNumber,
        /// Why.
        reason: String,
    },
    /// These releases are forgotten.
    Forget(Vec<ReleaseNumber>),
    /// Nothing is under way.
    Close,
}

impl Record {
    /// The record after an entry. `definition` is the release that [`Entry::Begin`] speaks of; an
    /// entry about a release that is not known leaves the releases alone.
    pub fn enter(&mut self, entry: &Entry, definition: Option<&Arc<Release>>) {
        match entry {
            Entry::Begin(intent) => {
                self.under_way = Some(*intent);
                if let Some(release) = definition.filter(|release| release.number == intent.to) {
                    self.releases.entry(release.number).or_insert_with(|| Kept {
                        release: Arc::clone(release),
                        verdict: Verdict::Unproven,
                    });
                }
            }
            Entry::Commit { release, before } => {
                self.in_force = Some(*release);
                self.before.clone_from(before);
                self.judge(*release, Verdict::Good);
            }
            Entry::Fail { release, reason } => {
                let known = self.releases.get(release);
                if known.is_some_and(|kept| kept.verdict != Verdict::Good) {
                    self.judge(*release, Verdict::Failed(reason.clone()));
                }
            }
            Entry::Forget(numbers) => {
                self.releases.retain(|number, _| !numbers.contains(number));
            }
            Entry::Close => self.under_way = None,
        }
    }

    fn judge(&mut self, number: ReleaseNumber, verdict: Verdict) {
        if let Some(kept) = self.releases.get_mut(&number) {
            kept.verdict = verdict;
        }
    }
}
