//! Which release shall be, and which was before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Found, SeenHosts};
use crate::host::HostSeen;
use crate::name::ReleaseNumber;
use crate::problem::Problem;
use crate::record::{Intent, Verdict, Way};
use crate::release::{Draft, Release};
use crate::request::Desired;

/// Where a rollout goes.
pub(super) struct Target {
    pub(super) release: Arc<Release>,
    pub(super) intent: Intent,
    /// What an earlier deployer began and did not end.
    pub(super) interrupted: Option<Intent>,
    /// The release that each host goes back to on a failure, in the order of the hosts.
    pub(super) from: Vec<Option<ReleaseNumber>>,
    /// Every release that any host knows.
    pub(super) known: BTreeMap<ReleaseNumber, Arc<Release>>,
}

/// Finds where a rollout goes.
///
/// # Errors
/// When there is nothing to go back to.
pub(super) fn find(desired: &Desired, seen: &SeenHosts<'_>) -> Found<Target> {
    let past = Past::of(seen);
    let (release, way) = match desired {
        Desired::Deploy(draft) | Desired::Adopt(draft) => (past.number(draft), Way::Deploy),
        Desired::Back => (past.known(past.before()?)?, Way::Rollback),
        Desired::BackTo(number) => (past.known(*number)?, Way::Rollback),
    };
    Ok(Target {
        intent: Intent {
            way,
            from: past.in_force(),
            to: release.number,
        },
        interrupted: past.interrupted,
        from: seen.iter().map(|(_, seen)| past.from(seen)).collect(),
        known: past
            .releases
            .into_iter()
            .map(|(number, kept)| (number, kept.0))
            .collect(),
        release,
    })
}

/// What the records of all hosts say together.
struct Past {
    interrupted: Option<Intent>,
    in_force: Vec<ReleaseNumber>,
    /// Each release, and whether it was good on any host.
    releases: BTreeMap<ReleaseNumber, (Arc<Release>, bool)>,
    highest: ReleaseNumber,
}

impl Past {
    fn of(seen: &SeenHosts<'_>) -> Self {
        let mut releases: BTreeMap<ReleaseNumber, (Arc<Release>, bool)> = BTreeMap::new();
        let mut highest = ReleaseNumber(0);
        for (_, seen) in seen {
            for (number, kept) in &seen.record.releases {
                let good = kept.verdict == Verdict::Good;
                let known = releases
                    .entry(*number)
                    .or_insert_with(|| (Arc::clone(&kept.release), good));
                known.1 |= good;
            }
            let under_way = seen.record.under_way.map(|intent| intent.to);
            let numbers = seen
                .record
                .releases
                .keys()
                .chain(seen.stacks.keys())
                .copied();
            highest = numbers
                .chain(seen.record.in_force)
                .chain(under_way)
                .fold(highest, Ord::max);
        }
        Self {
            interrupted: seen.iter().find_map(|(_, seen)| seen.record.under_way),
            in_force: seen
                .iter()
                .filter_map(|(_, seen)| seen.record.in_force)
                .collect(),
            releases,
            highest,
        }
    }

    /// The release in force in the environment. A rollout that was cut off counts when it had come
    /// to its end on all hosts.
    fn in_force(&self) -> Option<ReleaseNumber> {
        match self.interrupted {
            Some(intent) if self.in_force.iter().any(|number| *number != intent.to) => intent.from,
            Some(intent) if self.in_force.is_empty() => intent.from,
            _ => self.in_force.iter().max().copied(),
        }
    }

    /// The release that a host goes back to.
    fn from(&self, seen: &HostSeen) -> Option<ReleaseNumber> {
        match (self.interrupted, seen.record.in_force) {
            (Some(intent), Some(number)) if number == intent.to => self.in_force(),
            (_, number) => number,
        }
    }

    /// The release that "back" means.
    fn before(&self) -> Found<ReleaseNumber> {
        let in_force = self.in_force();
        let nothing = Problem::NothingBefore { in_force };
        match self.interrupted {
            Some(Intent {
                way: Way::Rollback,
                to,
                ..
            }) => Ok(to),
            Some(Intent {
                way: Way::Deploy,
                from,
                ..
            }) => from.ok_or(nothing),
            None => {
                let good = self.releases.iter().filter(|(_, (_, good))| *good);
                let mut before = good
                    .map(|(number, _)| *number)
                    .filter(|number| Some(*number) < in_force);
                before.next_back().ok_or(nothing)
            }
        }
    }

    fn known(&self, number: ReleaseNumber) -> Found<Arc<Release>> {
        let release = self
            .releases
            .get(&number)
            .map(|(release, _)| release.clone());
        release.ok_or(Problem::ReleaseUnknown { number })
    }

    /// The release that a draft is: one that hosts know already, or a new one.
    fn number(&self, draft: &Draft) -> Arc<Release> {
        let mut same = self
            .releases
            .values()
            .rev()
            .filter(|(release, _)| release.digest == *draft.digest());
        match same.next() {
            Some((release, _)) => release.clone(),
            None => Arc::new(draft.numbered(self.highest.next())),
        }
    }
}
