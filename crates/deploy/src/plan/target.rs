//! Which release shall be, and which was before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Found, SeenHosts};
use crate::host::HostSeen;
use crate::name::ReleaseNumber;
use crate::problem::Problem;
use crate::record::{Intent, Way};
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
    /// The releases that will have been in force before it, the latest last.
    pub(super) before: Vec<ReleaseNumber>,
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
        Desired::Back => (past.known(past.back()?)?, Way::Rollback),
        Desired::BackTo(number) => (past.known(*number)?, Way::Rollback),
    };
    Ok(Target {
        intent: Intent {
            way,
            from: past.in_force(),
            to: release.number,
        },
        interrupted: past.interrupted,
        before: past.before(release.number, way),
        from: seen.iter().map(|(_, seen)| past.from(seen)).collect(),
        known: past.releases,
        release,
    })
}

/// What the records of all hosts say together.
struct Past {
    interrupted: Option<Intent>,
    in_force: Vec<ReleaseNumber>,
    /// What was in force before each of them, as the first host has it that has such a one.
    before: BTreeMap<ReleaseNumber, Vec<ReleaseNumber>>,
    releases: BTreeMap<ReleaseNumber, Arc<Release>>,
    highest: ReleaseNumber,
}

impl Past {
    fn of(seen: &SeenHosts<'_>) -> Self {
        let mut releases: BTreeMap<ReleaseNumber, Arc<Release>> = BTreeMap::new();
        let mut before = BTreeMap::new();
        let mut highest = ReleaseNumber(0);
        for (_, seen) in seen {
            for (number, kept) in &seen.record.releases {
                let release = || Arc::clone(&kept.release);
                releases.entry(*number).or_insert_with(release);
            }
            if let Some(number) = seen.record.in_force {
                let trail = || seen.record.before.clone();
                before.entry(number).or_insert_with(trail);
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
            before,
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

    /// What was in force before the release in force, the latest last.
    fn trail(&self) -> &[ReleaseNumber] {
        let in_force = self.in_force();
        let trail = in_force.and_then(|number| self.before.get(&number));
        trail.map_or(&[], Vec::as_slice)
    }

    /// What will have been in force before this release. A rollback to one of the trail leaves
    /// nothing of what came after it: the next goes on from there, and never to what was taken back.
    fn before(&self, to: ReleaseNumber, way: Way) -> Vec<ReleaseNumber> {
        let trail = self.trail();
        let in_force = self.in_force().filter(|number| *number != to);
        let there = trail.iter().rposition(|number| *number == to);
        match (in_force, there, way) {
            (None, ..) => trail.to_vec(),
            (Some(_), Some(at), Way::Rollback) => trail[..at].to_vec(),
            (Some(in_force), ..) => [trail, &[in_force]].concat(),
        }
    }

    /// The release that "back" means.
    fn back(&self) -> Found<ReleaseNumber> {
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
                let mut known = self.trail().iter().copied();
                let latest = known.rfind(|number| self.releases.contains_key(number));
                latest.ok_or(nothing)
            }
        }
    }

    fn known(&self, number: ReleaseNumber) -> Found<Arc<Release>> {
        let release = self.releases.get(&number).cloned();
        release.ok_or(Problem::ReleaseUnknown { number })
    }

    /// The release that a draft is: one that hosts know already, or a new one.
    fn number(&self, draft: &Draft) -> Arc<Release> {
        let mut same = self
            .releases
            .values()
            .rev()
            .filter(|release| release.digest == *draft.digest());
        match same.next() {
            Some(release) => release.clone(),
            None => Arc::new(draft.numbered(self.highest.next())),
        }
    }
}
