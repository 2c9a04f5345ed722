//! What a host does not need any more once the release is in force everywhere.
//!
//! Volumes are not among it, but for those of single releases that the environment names.

use std::collections::BTreeSet;
use std::sync::Arc;

use compose::project::ServiceName;

use super::PlannedStep;
use super::host::Site;
use crate::host::ContainerSeen;
use crate::name::ReleaseNumber;
use crate::record::{Entry, Verdict};
use crate::release::{Image, ImageFrom, Kind, Release};
use crate::step::{Remains, Step};

impl Site<'_> {
    pub(super) fn finish(&self) -> Vec<PlannedStep> {
        let to = self.to.number;
        let kept = self.kept(Some(to), self.from);
        let mut steps = self.retire(
            Some(to),
            "no traffic goes there any more; a rollback can start it again",
        );
        steps.extend(self.retire_standing());
        steps.extend(self.set_aside_rest());
        steps.extend(self.remove(&kept));
        steps.extend(self.forget(&kept));
        let begun = self.seen.record.under_way.is_some();
        if begun || !self.is_in_place() || !self.is_proved() || !steps.is_empty() {
            steps.push(PlannedStep::new(
                Step::Record {
                    entry: Entry::Close,
                },
                "the rollout is over",
            ));
        }
        steps
    }

    /// Stops and removes what a release that has failed leaves behind. Its own stack is kept for its
    /// logs, until the next one fails or comes.
    pub(super) fn tidy_failed(&self) -> Vec<PlannedStep> {
        let mut kept = self.kept(self.from, None);
        kept.insert(self.to.number);
        let mut steps = self.retire(self.from, "it has failed; it is kept for its logs");
        steps.extend(self.remove(&kept));
        steps
    }

    /// The stacks that stay: the one that serves, the one before it, then the newest that were good.
    fn kept(
        &self,
        serves: Option<ReleaseNumber>,
        before: Option<ReleaseNumber>,
    ) -> BTreeSet<ReleaseNumber> {
        let good = self
            .seen
            .record
            .releases
            .iter()
            .rev()
            .filter(|(_, kept)| kept.verdict == Verdict::Good);
        let good = good
            .map(|(number, _)| *number)
            .filter(|number| self.seen.stacks.contains_key(number));
        let mut kept = BTreeSet::new();
        for number in before
            .into_iter()
            .chain(good)
            .filter(|number| Some(*number) != serves)
        {
            if kept.len() < self.policy.keep {
                kept.insert(number);
            }
        }
        kept.extend(serves);
        kept
    }

    /// Stops all stacks but the one that serves then.
    fn retire(&self, serves: Option<ReleaseNumber>, why: &str) -> Vec<PlannedStep> {
        let up = self
            .seen
            .stacks
            .keys()
            .copied()
            .filter(|number| self.seen.is_stack_up(*number));
        let mut live: BTreeSet<ReleaseNumber> = up.collect();
        live.extend(self.seen.serving());
        if serves != Some(self.to.number) {
            live.insert(self.to.number);
        }
        live.retain(|number| Some(*number) != serves);
        live.into_iter()
            .map(|number| PlannedStep::new(self.retire_step(number), why))
            .collect()
    }

    fn retire_step(&self, release: ReleaseNumber) -> Step {
        let known = self.releases.get(&release);
        let mut waves = known
            .map(|known| known.waves(&known.names_of(Kind::Released)))
            .unwrap_or_default();
        waves.reverse();
        Step::Retire {
            release,
            waves,
            drain: self.policy.grace,
        }
    }

    fn retire_standing(&self) -> Vec<PlannedStep> {
        let standing = self.to.names_of(Kind::Standing);
        let up = |service: &&ServiceName| {
            self.seen.standing[*service]
                .iter()
                .any(ContainerSeen::is_up)
        };
        let gone = self
            .seen
            .standing
            .keys()
            .filter(|service| !standing.contains(*service))
            .filter(up);
        gone.map(|service| {
            let step = Step::RetireStanding {
                service: service.clone(),
            };
            PlannedStep::new(step, "the release has no such standing service")
        })
        .collect()
    }

    fn remove(&self, kept: &BTreeSet<ReleaseNumber>) -> Vec<PlannedStep> {
        let known = self
            .seen
            .record
            .releases
            .keys()
            .chain(self.seen.stacks.keys());
        let old: BTreeSet<ReleaseNumber> = known
            .copied()
            .filter(|number| !kept.contains(number))
            .collect();
        let in_use = self.images_in_use(kept);
        let removals = old.into_iter().filter_map(|release| {
            let step = self.removal(release, &in_use)?;
            let why = format!("of old stacks {} is kept", self.policy.keep);
            Some(PlannedStep::new(step, why))
        });
        removals.collect()
    }

    /// What is left of a stack; `None` when nothing is.
    fn removal(&self, release: ReleaseNumber, in_use: &BTreeSet<&Image>) -> Option<Step> {
        let containers = self.seen.stacks.contains_key(&release);
        let (mut networks, mut images, mut volumes) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(definition) = self.releases.get(&release) {
            networks.extend(
                definition
                    .networks
                    .keys()
                    .map(|key| definition.own_network_name(key)),
            );
            networks.retain(|name| self.seen.networks.contains(name));
            images = self.images_of(definition, in_use);
            volumes = self.discarded(definition);
        }
        let anything =
            containers || !networks.is_empty() || !images.is_empty() || !volumes.is_empty();
        anything.then_some(Step::RemoveStack(Remains {
            release,
            networks,
            images,
            volumes,
        }))
    }

    fn images_in_use(&self, kept: &BTreeSet<ReleaseNumber>) -> BTreeSet<&Image> {
        let releases = kept
            .iter()
            .filter_map(|number| self.releases.get(number))
            .map(Arc::as_ref)
            .chain([self.to]);
        releases
            .flat_map(|release| release.services.values())
            .map(|member| &member.image)
            .collect()
    }

    fn images_of(&self, release: &Release, in_use: &BTreeSet<&Image>) -> Vec<Image> {
        let there = |image: &Image| {
            self.seen.images.contains(&image.digest) && image.from == ImageFrom::Registry
        };
        let shared = |image: &Image| in_use.iter().any(|used| used.digest == image.digest);
        let own: BTreeSet<&Image> = release
            .services
            .values()
            .map(|member| &member.image)
            .collect();
        own.into_iter()
            .filter(|image| there(image) && !shared(image))
            .cloned()
            .collect()
    }

    /// Volumes of that release alone that the environment names.
    fn discarded(&self, release: &Release) -> Vec<String> {
        let named = |key: &str| self.policy.discard_volumes.iter().any(|name| name == key);
        let own = release
            .volumes
            .keys()
            .filter(|key| release.volume_is_own(key) && named(key.as_str()));
        own.map(|key| release.volume_name(key))
            .filter(|name| self.seen.volumes.contains_key(name))
            .collect()
    }

    fn forget(&self, kept: &BTreeSet<ReleaseNumber>) -> Option<PlannedStep> {
        let known: Vec<ReleaseNumber> = self.seen.record.releases.keys().rev().copied().collect();
        let old = known
            .into_iter()
            .skip(self.policy.history)
            .filter(|number| !kept.contains(number) && Some(*number) != self.from)
            .filter(|number| Some(number) != self.before.last());
        let old: Vec<ReleaseNumber> = old.collect();
        let entry = Entry::Forget(old.clone());
        let why = || format!("a host remembers {} releases", self.policy.history);
        (!old.is_empty()).then(|| PlannedStep::new(Step::Record { entry }, why()))
    }
}
