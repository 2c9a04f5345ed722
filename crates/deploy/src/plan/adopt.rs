//! How a project that Docker Compose runs is taken over.
//!
//! Its containers hold the ports and the data, so they cannot stay until the end: those of standing
//! services stop before their successor starts, those that publish ports just before the switch, all
//! others when the release is in force. On a failure all of them are started again.

use std::collections::BTreeSet;

use compose::project::{ProjectName, ServiceName};

use super::host::Site;
use super::{Note, PlannedStep, SeenHosts};
use crate::host::{ComposedSeen, HostSeen};
use crate::problem::Problem;
use crate::release::{Kind, Listen, Release};
use crate::request::Desired;
use crate::span::Span;
use crate::step::Step;

/// Which containers of Docker Compose are taken over: those of the release's project, or none.
#[derive(Debug)]
pub(super) struct Composed(Option<ProjectName>);

impl Composed {
    pub(super) fn of(desired: &Desired, release: &Release) -> Self {
        let adopts = matches!(desired, Desired::Adopt(_));
        Self(adopts.then(|| release.project.clone()))
    }

    fn on<'s>(&'s self, seen: &'s HostSeen) -> impl Iterator<Item = &'s ComposedSeen> {
        let project = self.0.as_ref().map(ProjectName::as_str);
        let all = seen.composed.iter();
        all.filter(move |found| project == Some(found.project.as_str()))
    }

    /// Whether one of them holds a port.
    pub(super) fn holds(&self, seen: &HostSeen, listen: &Listen) -> bool {
        let mut up = self.on(seen).filter(|found| found.is_up);
        up.any(|found| found.listens.iter().any(|held| held.collides(listen)))
    }

    /// Where there is nothing to take over, and nothing was.
    pub(super) fn nothing(&self, hosts: &SeenHosts<'_>) -> Option<Problem> {
        let project = self.0.as_ref()?;
        let mut on_hosts = hosts.iter().flat_map(|(_, seen)| self.on(seen));
        let begun = |seen: &HostSeen| seen.record.under_way.is_some();
        let there = on_hosts.any(|found| found.is_up);
        (!there && !hosts.iter().any(|(_, seen)| begun(seen))).then(|| Problem::NothingToAdopt {
            project: project.clone(),
        })
    }
}

impl Site<'_> {
    fn composed_up(&self) -> impl Iterator<Item = &ComposedSeen> {
        self.composed.on(self.seen).filter(|found| found.is_up)
    }

    /// Before a standing service starts that must not run twice.
    pub(super) fn set_aside_for(&self, service: &ServiceName) -> Option<PlannedStep> {
        let found = self.composed_up();
        let names = names(found.filter(|found| found.service == service.as_str()));
        set_aside(names, format!("{service} must not run twice"))
    }

    /// Just before the switch.
    pub(super) fn free_ports(&self) -> Option<PlannedStep> {
        let why = "it holds the ports; they are closed until the switch";
        set_aside(names(self.holders()), why)
    }

    /// Those that hold ports, and were not stopped before.
    fn holders(&self) -> impl Iterator<Item = &ComposedSeen> {
        let standing = self.to.names_of(Kind::Standing);
        self.composed_up()
            .filter(|found| !found.listens.is_empty())
            .filter(move |found| !is_among(found, &standing))
    }

    /// When the release is in force: those that were not stopped before.
    pub(super) fn set_aside_rest(&self) -> Option<PlannedStep> {
        let standing = self.to.names_of(Kind::Standing);
        let rest = self
            .composed_up()
            .filter(|found| found.listens.is_empty() && !is_among(found, &standing));
        let why = "the release has taken its place; `docker rm` when nobody wants it back";
        set_aside(names(rest), why)
    }

    /// Whether an earlier deployer was cut off while it took this host over.
    pub(super) fn is_half_adopted(&self) -> bool {
        let begun = self.seen.record.under_way.is_some();
        begun && self.composed.on(self.seen).next().is_some()
    }

    /// Whether a standing service is away while it is taken over.
    pub(super) fn is_composed(&self, service: &ServiceName) -> bool {
        let mut up = self.composed_up();
        up.any(|found| found.service == service.as_str())
    }

    /// On the way back, when the ports are free again. What an earlier deployer has stopped before it
    /// was cut off is started as well.
    pub(super) fn bring_back(&self) -> Vec<PlannedStep> {
        let begun = self.seen.record.under_way.is_some();
        let all = self.composed.on(self.seen);
        let containers = names(all.filter(|found| found.is_up || begun));
        if containers.is_empty() {
            return Vec::new();
        }
        let standing = self.to.names_of(Kind::Standing).into_iter();
        let retired = standing.map(|service| Step::RetireStanding { service });
        let mut steps: Vec<PlannedStep> = retired
            .map(|step| PlannedStep::new(step, "it must not run twice"))
            .collect();
        let step = Step::BringBack { containers };
        steps.push(PlannedStep::new(step, "back to what ran before"));
        steps
    }

    pub(super) fn port_gap(&self) -> Option<Note> {
        let at_most = self.holders().map(|found| found.grace).max();
        at_most.map(|at_most: Span| Note::PortGap {
            host: self.host.clone(),
            containers: names(self.holders()),
            at_most,
        })
    }
}

fn is_among(found: &ComposedSeen, services: &BTreeSet<ServiceName>) -> bool {
    services
        .iter()
        .any(|service| service.as_str() == found.service)
}

fn names<'a>(found: impl Iterator<Item = &'a ComposedSeen>) -> Vec<String> {
    found.map(|found| found.name.clone()).collect()
}

fn set_aside(containers: Vec<String>, why: impl Into<String>) -> Option<PlannedStep> {
    let any = !containers.is_empty();
    any.then(|| PlannedStep::new(Step::SetAside { containers }, why))
}
