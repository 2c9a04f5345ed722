//! How the new stack comes up on a host, takes the traffic, and is watched.

use std::collections::BTreeSet;

use compose::project::{Condition, ServiceName};

use super::PlannedStep;
use super::host::Site;
use crate::release::{Kind, Place, Release, Speaks};
use crate::span::Span;
use crate::step::{Awaited, Probe, StandingUpdate, Step, Switch, Until};

/// The old stack stands by until it is retired, or, when nobody comes to do that, for so long.
const STANDBY: Span = Span::seconds(3600);

impl Site<'_> {
    /// Once-services with all that they need. Empty where none is to be run.
    pub(super) fn once_steps(&self) -> Vec<PlannedStep> {
        if !self.once {
            return Vec::new();
        }
        let mut steps = self.standing();
        steps.extend(self.up(self.to, &self.first()));
        steps
    }

    /// All from the first container to the watch. Empty where the release is in force and runs.
    pub(super) fn roll(&self) -> Vec<PlannedStep> {
        if self.is_in_place() {
            return if self.is_proved() {
                Vec::new()
            } else {
                self.prove()
            };
        }
        let mut services = self.to.names_of(Kind::Released);
        let mut steps = Vec::new();
        if self.once {
            services.retain(|service| !self.first().contains(service));
        } else {
            steps.extend(self.standing());
        }
        services.retain(|service| !self.stack_fits(service));
        steps.extend(self.up(self.to, &services));
        steps.extend(self.gate(self.to));
        steps.extend(self.free_ports());
        steps.push(self.switch());
        steps.push(self.watch());
        steps
    }

    pub(super) fn commit(&self) -> Vec<PlannedStep> {
        if self.is_proved() {
            return Vec::new();
        }
        let forgotten = self.before.len().saturating_sub(self.policy.history.max(1));
        let entry = crate::record::Entry::Commit {
            release: self.to.number,
            before: self.before[forgotten..].to_vec(),
        };
        vec![PlannedStep::new(
            Step::Record { entry },
            "all hosts serve it, and it was well for the time of watching",
        )]
    }

    /// Where a rollout was cut off while it watched.
    fn prove(&self) -> Vec<PlannedStep> {
        let mut steps = self.gate(self.to);
        steps.push(self.watch());
        steps
    }

    /// The once-services and all services of the stack that they need.
    fn first(&self) -> BTreeSet<ServiceName> {
        let once = self.to.names_of(Kind::Once);
        let mut needed = self.to.with_dependencies(once);
        needed.retain(|service| self.to.services[service].kind() != Kind::Standing);
        needed
    }

    /// Standing services whose definition changed, and their networks.
    pub(super) fn standing(&self) -> Vec<PlannedStep> {
        let standing = self.to.names_of(Kind::Standing);
        let mut steps = Vec::new();
        let mut unchanged = Vec::new();
        for service in self.to.waves(&standing).into_iter().flatten() {
            if self.standing_fits(&service) {
                unchanged.push(service);
                continue;
            }
            steps.extend(self.set_aside_for(&service));
            let update = Step::UpdateStanding(StandingUpdate {
                release: self.to.number,
                join: self.live_stacks(),
                instead_of: self.released_before(&service),
                service: service.clone(),
            });
            steps.push(PlannedStep::new(update, self.why_standing(&service)));
            steps.push(self.wait_for(
                vec![self.awaited(self.to, &service)],
                format!("{service} must be well"),
            ));
            steps.extend(self.reroute(&service));
        }
        unchanged.retain(|service| !self.to.stack_attachments(service).is_empty());
        if !unchanged.is_empty() {
            let join = Step::Join {
                release: self.to.number,
                services: unchanged,
            };
            steps.push(PlannedStep::new(
                join,
                "their definition has not changed, so they stay as they are",
            ));
        }
        steps
    }

    fn why_standing(&self, service: &ServiceName) -> String {
        let why = &self.to.services[service].why;
        match self
            .seen
            .standing
            .get(service)
            .is_some_and(|found| !found.is_empty())
        {
            true => format!("it changed or does not run, and must not run twice: {why}"),
            false => format!("it is not there, and must not run twice: {why}"),
        }
    }

    fn live_stacks(&self) -> Vec<crate::name::ReleaseNumber> {
        let mut stacks = vec![self.to.number];
        let former = self.former().map(|former| former.number);
        stacks.extend(former.filter(|former| self.seen.is_stack_up(*former)));
        stacks
    }

    /// The stack in which a service that is standing now was released.
    fn released_before(&self, service: &ServiceName) -> Option<crate::name::ReleaseNumber> {
        let mut stacks = self.seen.stacks.keys().rev().copied();
        stacks.find(|number| {
            self.seen
                .stack(*number, service)
                .any(crate::host::ContainerSeen::is_up)
        })
    }

    /// A standing service that was replaced has another address. The old stack's routes are set
    /// anew, so that its published ports lead to it before the switch.
    fn reroute(&self, service: &ServiceName) -> Option<PlannedStep> {
        let former = self
            .former()
            .filter(|former| self.seen.serving() == Some(former.number))?;
        let routes = former.routes(self.policy.health.as_ref());
        let own = |route: &crate::release::Route| {
            route.leads_to.place == Place::Standing && route.leads_to.service == *service
        };
        let published = routes.iter().any(own);
        published.then(|| {
            PlannedStep::new(
                self.switch_to(routes, Span::default()),
                format!("{service} has another address now"),
            )
        })
    }

    /// Starts services in waves, with a wait wherever one needs another to be well or to have ended.
    pub(super) fn up(
        &self,
        release: &Release,
        services: &BTreeSet<ServiceName>,
    ) -> Vec<PlannedStep> {
        let mut steps = Vec::new();
        for wave in release.waves(services) {
            steps.extend(self.conditions(release, services, &wave));
            let is_once = |service: &ServiceName| release.services[service].kind() == Kind::Once;
            let (once, start): (Vec<_>, Vec<_>) = wave.into_iter().partition(is_once);
            for service in once {
                let run = Step::RunOnce {
                    release: release.number,
                    service,
                };
                steps.push(PlannedStep::new(
                    run,
                    "it must have run to success before any host is switched",
                ));
            }
            if !start.is_empty() {
                let start = Step::Start {
                    release: release.number,
                    services: start,
                };
                steps.push(PlannedStep::new(
                    start,
                    "beside what serves, on the release's own network",
                ));
            }
        }
        steps
    }

    fn conditions(
        &self,
        release: &Release,
        among: &BTreeSet<ServiceName>,
        wave: &[ServiceName],
    ) -> Option<PlannedStep> {
        let conditions = wave.iter().flat_map(|service| release.conditions(service));
        let open: BTreeSet<&ServiceName> = conditions
            .filter(|(needed, condition)| {
                *condition != Condition::ServiceStarted && among.contains(*needed)
            })
            .map(|(needed, _)| needed)
            .filter(|needed| release.services[*needed].kind() == Kind::Released)
            .collect();
        let waits: Vec<Awaited> = open
            .into_iter()
            .map(|needed| self.awaited(release, needed))
            .collect();
        (!waits.is_empty()).then(|| {
            self.wait_for(
                waits,
                "the next services need them (`depends_on`)".to_owned(),
            )
        })
    }

    /// What a stack must pass before it gets traffic.
    pub(super) fn gate(&self, release: &Release) -> Vec<PlannedStep> {
        let mut steps = Vec::new();
        let waits = self.all_awaited(release);
        if !waits.is_empty() {
            steps.push(self.wait_for(waits, "only a release that is well gets traffic".to_owned()));
        }
        let probes = self.probes(release);
        if !probes.is_empty() {
            let probe = Step::Probe {
                probes,
                deadline: self.policy.deadline,
            };
            steps.push(PlannedStep::new(
                probe,
                "its ports must answer before they get traffic",
            ));
        }
        steps
    }

    fn all_awaited(&self, release: &Release) -> Vec<Awaited> {
        let running = release
            .services
            .iter()
            .filter(|(_, member)| member.kind() != Kind::Once);
        running
            .map(|(service, _)| self.awaited(release, service))
            .filter(|wait| wait.containers > 0)
            .collect()
    }

    fn awaited(&self, release: &Release, service: &ServiceName) -> Awaited {
        let member = &release.services[service];
        let is_job = member.kind() == Kind::Released && release.jobs().contains(service);
        Awaited {
            place: match member.kind() {
                Kind::Standing => Place::Standing,
                Kind::Released | Kind::Once => Place::Stack(release.number),
            },
            service: service.clone(),
            until: if is_job {
                Until::Completed
            } else {
                Until::Healthy
            },
            containers: member.replicas(),
            may_fail: self.policy.tolerance(service, member.replicas()),
        }
    }

    fn probes(&self, release: &Release) -> Vec<Probe> {
        let routes = release.routes(self.policy.health.as_ref());
        let probes = routes.into_iter().map(|route| Probe {
            leads_to: route.leads_to,
            path: match route.speaks {
                Speaks::Http { health } => health,
                Speaks::Tcp => None,
            },
        });
        probes
            .filter(|probe| probe.leads_to.place == Place::Stack(release.number))
            .collect()
    }

    fn wait_for(&self, waits: Vec<Awaited>, why: String) -> PlannedStep {
        let (deadline, settle) = (self.policy.deadline, self.policy.monitor);
        PlannedStep::new(
            Step::Await {
                waits,
                deadline,
                settle,
            },
            why,
        )
    }

    fn switch(&self) -> PlannedStep {
        let why = match self.seen.serving() {
            Some(before) if before != self.to.number => {
                format!("all ports at once; until then stack {before} serves")
            }
            _ => "all ports at once".to_owned(),
        };
        PlannedStep::new(self.switch_to(self.routes.clone(), STANDBY), why)
    }

    /// Without a time the targets before do not stand by.
    pub(super) fn switch_to(&self, routes: Vec<crate::release::Route>, standby: Span) -> Step {
        Step::Switch(Switch {
            routes,
            deadline: self.policy.deadline,
            standby,
            grace: self.policy.grace,
        })
    }

    fn watch(&self) -> PlannedStep {
        let watch = Step::Watch {
            waits: self.all_awaited(self.to),
            time: self.policy.monitor,
        };
        PlannedStep::new(watch, "a failure now brings all hosts back")
    }
}
