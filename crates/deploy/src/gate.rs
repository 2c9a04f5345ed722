//! Whether containers are well: before they get traffic, and while they are watched.
//!
//! A container with a health check is well when the check says so. One without is well when it has
//! run for a while without a restart. What ends, though nobody waits for its end, is broken.

use std::collections::BTreeMap;

use crate::host::{ContainerSeen, Health, State};
use crate::rollout::{Ill, Look, Reason};
use crate::span::Span;
use crate::step::{Awaited, Until};

/// A container that was restarted more often than this does not settle.
const MOST_RESTARTS: u32 = 5;

/// What a look says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Nothing yet.
    Wait(Ill),
    /// All are well.
    Well,
    /// It will not come right.
    Ill(Ill),
}

enum One {
    Well,
    Wait(Reason),
    Ill(Reason),
}

/// Judges a stack before it gets traffic.
pub(crate) fn before(waits: &[Awaited], settle: Span, look: &Look) -> Judgement {
    let mut waiting = None;
    for wait in waits {
        match service(wait, look, |container| match wait.until {
            Until::Healthy => running(container, settle),
            Until::Completed => completed(container),
        }) {
            Judgement::Well => {}
            Judgement::Wait(ill) => waiting = waiting.or(Some(ill)),
            ill @ Judgement::Ill(_) => return ill,
        }
    }
    waiting.map_or(Judgement::Well, Judgement::Wait)
}

/// How often each container had been restarted when the watch began, by name.
pub(crate) type Baseline = BTreeMap<String, u32>;

/// The baseline of a watch.
pub(crate) fn baseline(look: &Look) -> Baseline {
    let found = look.containers.iter().map(|found| &found.container);
    found
        .map(|container| (container.name.clone(), container.restarts))
        .collect()
}

/// Judges a stack that has traffic.
pub(crate) fn after(waits: &[Awaited], baseline: &Baseline, look: &Look) -> Option<Ill> {
    for wait in waits.iter().filter(|wait| wait.until == Until::Healthy) {
        let judged = service(wait, look, |container| watched(container, baseline));
        if let Judgement::Ill(ill) = judged {
            return Some(ill);
        }
        let found = found(wait, look).count() as u32;
        if found + wait.may_fail < wait.containers {
            return Some(Ill {
                service: wait.service.clone(),
                reason: Reason::Gone,
                last_lines: Vec::new(),
            });
        }
        let at_edge = look.ill.iter().find(|ill| ill.service == wait.service);
        if let Some(ill) = at_edge.filter(|_| wait.may_fail == 0) {
            return Some(ill.clone());
        }
    }
    None
}

fn found<'a>(wait: &'a Awaited, look: &'a Look) -> impl Iterator<Item = &'a crate::rollout::Found> {
    let found = look.containers.iter();
    found.filter(|found| found.place == wait.place && found.container.service == wait.service)
}

fn service(wait: &Awaited, look: &Look, judge: impl Fn(&ContainerSeen) -> One) -> Judgement {
    let ill = |reason, last_lines: &[String]| Ill {
        service: wait.service.clone(),
        reason,
        last_lines: last_lines.to_vec(),
    };
    let (mut well, mut failed) = (0, 0);
    let mut waiting = None;
    for found in found(wait, look) {
        match judge(&found.container) {
            One::Well => well += 1,
            One::Wait(reason) => waiting = Some(ill(reason, &found.last_lines)),
            One::Ill(reason) => {
                failed += 1;
                if failed > wait.may_fail {
                    return Judgement::Ill(ill(reason, &found.last_lines));
                }
            }
        }
    }
    match waiting {
        Some(waiting) => Judgement::Wait(waiting),
        None if well + failed < wait.containers => Judgement::Wait(ill(Reason::Gone, &[])),
        None => Judgement::Well,
    }
}

fn running(container: &ContainerSeen, settle: Span) -> One {
    match (container.state, container.health) {
        (State::Exited(status), _) => One::Ill(Reason::Exited { status }),
        (State::Running, Some(Health::Healthy)) => One::Well,
        (State::Running, Some(Health::Unhealthy)) => One::Ill(Reason::Unhealthy),
        (State::Running, None) if container.running_for.is_some_and(|time| time >= settle) => {
            One::Well
        }
        (State::Running | State::Restarting, _) if container.restarts > MOST_RESTARTS => {
            One::Ill(Reason::Restarts {
                times: container.restarts,
            })
        }
        (State::Restarting, _) => One::Wait(Reason::Restarts {
            times: container.restarts,
        }),
        _ => One::Wait(Reason::NotYet),
    }
}

fn completed(container: &ContainerSeen) -> One {
    match container.state {
        State::Exited(0) => One::Well,
        State::Exited(status) => One::Ill(Reason::Exited { status }),
        _ => One::Wait(Reason::NotYet),
    }
}

fn watched(container: &ContainerSeen, baseline: &Baseline) -> One {
    let before = baseline.get(&container.name).copied().unwrap_or(0);
    match (container.state, container.health) {
        (State::Exited(status), _) => One::Ill(Reason::Exited { status }),
        (State::Running, Some(Health::Unhealthy)) => One::Ill(Reason::Unhealthy),
        (State::Running, _) if container.restarts > before => One::Ill(Reason::Restarts {
            times: container.restarts - before,
        }),
        (State::Running, _) => One::Well,
        (State::Restarting, _) => One::Ill(Reason::Restarts {
            times: container.restarts.saturating_sub(before).max(1),
        }),
        (State::Created | State::Paused, _) => One::Ill(Reason::NotYet),
    }
}
