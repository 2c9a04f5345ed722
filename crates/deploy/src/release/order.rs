//! In which order services start.

use std::collections::{BTreeMap, BTreeSet};

use compose::project::{Condition, ServiceName};

use super::{Kind, Release};

impl Release {
    /// These services in waves: each depends only on services of waves before its own, or on such
    /// as are not among them. Services that depend on each other in a circle come last.
    pub(crate) fn waves(&self, services: &BTreeSet<ServiceName>) -> Vec<Vec<ServiceName>> {
        let mut left: BTreeMap<&ServiceName, BTreeSet<&ServiceName>> = services
            .iter()
            .map(|name| (name, self.needs(name, services)))
            .collect();
        let mut waves = Vec::new();
        while !left.is_empty() {
            let ready: Vec<&ServiceName> = left
                .iter()
                .filter(|(_, needs)| needs.is_empty())
                .map(|(name, _)| *name)
                .collect();
            if ready.is_empty() {
                waves.push(left.into_keys().cloned().collect());
                break;
            }
            left.retain(|name, _| !ready.contains(name));
            for needs in left.values_mut() {
                needs.retain(|name| !ready.contains(name));
            }
            waves.push(ready.into_iter().cloned().collect());
        }
        waves
    }

    fn needs<'a>(
        &'a self,
        name: &ServiceName,
        among: &'a BTreeSet<ServiceName>,
    ) -> BTreeSet<&'a ServiceName> {
        let depends_on = self
            .services
            .get(name)
            .map(|member| &member.definition.depends_on);
        let needed = depends_on.into_iter().flatten().map(|(needed, _)| needed);
        needed
            .filter(|needed| *needed != name && among.contains(*needed))
            .collect()
    }

    /// What a service waits for before it starts, and the state to wait for.
    pub(crate) fn conditions(
        &self,
        name: &ServiceName,
    ) -> impl Iterator<Item = (&ServiceName, Condition)> {
        let member = self.services.get(name);
        let depends_on = member
            .into_iter()
            .flat_map(|member| &member.definition.depends_on);
        depends_on
            .filter(|(needed, _)| self.services.contains_key(*needed))
            .map(|(needed, dependency)| (needed, dependency.condition))
    }

    /// All that these services depend on, directly or not, they themselves included.
    pub(crate) fn with_dependencies(
        &self,
        names: impl IntoIterator<Item = ServiceName>,
    ) -> BTreeSet<ServiceName> {
        let mut found = BTreeSet::new();
        let mut open: Vec<ServiceName> = names.into_iter().collect();
        while let Some(name) = open.pop() {
            if !found.contains(&name) {
                open.extend(self.conditions(&name).map(|(needed, _)| needed.clone()));
                found.insert(name);
            }
        }
        found
    }

    /// Services of a stack that end by themselves: others wait for them to complete.
    pub(crate) fn jobs(&self) -> BTreeSet<ServiceName> {
        let members = self.services.values();
        let waited_for = members.flat_map(|member| &member.definition.depends_on);
        waited_for
            .filter(|(_, dependency)| {
                dependency.condition == Condition::ServiceCompletedSuccessfully
            })
            .filter(|(name, _)| {
                self.services
                    .get(*name)
                    .is_some_and(|member| member.kind() == Kind::Released)
            })
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The names of the services of one kind.
    pub(crate) fn names_of(&self, kind: Kind) -> BTreeSet<ServiceName> {
        self.of_kind(kind).map(|(name, _)| name.clone()).collect()
    }

    /// Services that depend on each other in a circle.
    pub(super) fn circle(&self) -> Option<Vec<ServiceName>> {
        let all: BTreeSet<ServiceName> = self.services.keys().cloned().collect();
        let last = self.waves(&all).pop()?;
        let circle = last.iter().any(|name| {
            let needs = self.needs(name, &all);
            last.iter().any(|other| needs.contains(other))
        });
        circle.then_some(last)
    }
}
