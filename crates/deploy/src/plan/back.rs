//! The way back of a host, fixed before the first step forth.
//!
//! It does not ask how far the host had come: each of its steps finds out by itself whether there
//! is something to do. Traffic comes first, what failed is stopped afterwards.

use compose::project::ServiceName;

use super::PlannedStep;
use super::host::Site;
use crate::release::{Kind, Release};
use crate::span::Span;
use crate::step::{StandingUpdate, Step};

impl Site<'_> {
    /// Up to the switch back. Empty where there is nothing to go back to.
    pub(super) fn back(&self) -> Vec<PlannedStep> {
        match (self.from, self.former()) {
            (None, _) => {
                let close = self.switch_to(Vec::new(), Span::default());
                let mut steps = vec![PlannedStep::new(close, "there was no release before")];
                steps.extend(self.bring_back());
                steps
            }
            (Some(_), Some(former)) => self.back_to(former),
            (Some(_), None) => Vec::new(),
        }
    }

    fn back_to(&self, former: &Release) -> Vec<PlannedStep> {
        let mut steps = Vec::new();
        for service in former
            .waves(&former.names_of(Kind::Standing))
            .into_iter()
            .flatten()
        {
            if self.differs(former, &service) {
                let (release, service) = (former.number, service);
                let join = vec![former.number, self.to.number];
                let step = Step::UpdateStanding(StandingUpdate {
                    release,
                    service,
                    join,
                    instead_of: None,
                });
                steps.push(PlannedStep::new(step, "back to its former definition"));
            }
        }
        let taken = self
            .new_standing(former)
            .into_iter()
            .filter(|service| former.services.contains_key(service));
        for service in taken {
            let step = Step::RetireStanding { service };
            steps.push(PlannedStep::new(
                step,
                "it was released before, and must not run twice",
            ));
        }
        let mut standing: Vec<ServiceName> = former.names_of(Kind::Standing).into_iter().collect();
        standing.retain(|service| !former.stack_attachments(service).is_empty());
        if !standing.is_empty() {
            let step = Step::Join {
                release: former.number,
                services: standing,
            };
            steps.push(PlannedStep::new(
                step,
                "the stack before finds them under their names",
            ));
        }
        steps.extend(self.up_again(former));
        steps.extend(self.gate(former));
        let routes = former.routes(self.policy.health.as_ref());
        steps.push(PlannedStep::new(
            self.switch_to(routes, Span::default()),
            "back to what served before",
        ));
        steps
    }

    /// One step where the stack still runs, as it does until a rollout is over.
    fn up_again(&self, former: &Release) -> Vec<PlannedStep> {
        let services = former.names_of(Kind::Released);
        if !self.seen.is_stack_up(former.number) {
            return self.up(former, &services);
        }
        let services: Vec<ServiceName> = services.into_iter().collect();
        let step = Step::Start {
            release: former.number,
            services,
        };
        vec![PlannedStep::new(step, "all of it must run")]
    }

    /// After the way back, or where there was none.
    pub(super) fn clear(&self) -> Vec<PlannedStep> {
        let mut steps = Vec::new();
        if self.from != Some(self.to.number) {
            steps.extend(self.tidy_failed());
            let gone = self.former().map_or_else(
                || self.to.names_of(Kind::Standing),
                |former| {
                    let mut new = self.new_standing(former);
                    new.retain(|service| !former.services.contains_key(service));
                    new
                },
            );
            let retired = gone
                .into_iter()
                .map(|service| Step::RetireStanding { service });
            steps
                .extend(retired.map(|step| {
                    PlannedStep::new(step, "it came with the release that has failed")
                }));
        }
        steps
    }

    fn new_standing(&self, former: &Release) -> std::collections::BTreeSet<ServiceName> {
        let before = former.names_of(Kind::Standing);
        let mut new = self.to.names_of(Kind::Standing);
        new.retain(|service| !before.contains(service));
        new
    }

    /// Whether a standing service of the release before is, or may become, another one.
    fn differs(&self, former: &Release, service: &ServiceName) -> bool {
        let hash = &former.services[service].hash;
        let after = self.to.services.get(service).map(|member| &member.hash);
        let found = self.seen.standing.get(service);
        let now = found.is_some_and(|found| {
            !found.is_empty() && found.iter().all(|container| container.hash == *hash)
        });
        after != Some(hash) || !now
    }
}
