//! Steps as lines for people.

use std::fmt;

use compose::project::ServiceName;

use super::{NetworkLike, Probe, Remains, StandingUpdate, Step};
use crate::record::Entry;
use crate::release::Route;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(lease) => write!(f, "lock for {} as {}", lease.length, lease.holder),
            Self::Unlock { .. } => f.write_str("unlock"),
            Self::PlaceEdge { version } => write!(f, "place the edge {version}"),
            Self::Record { entry } => write!(f, "write down: {entry}"),
            Self::Pull { image, services } => {
                let digest = &image.digest.hex()[..12];
                write!(f, "pull {} ({digest}) for {}", image.name, list(services))
            }
            Self::MakeNetwork { name, like, .. } => make_network(f, name, like),
            Self::MakeVolume { name, .. } => write!(f, "make the volume {name}"),
            Self::FillVolume { name, from, .. } => {
                let from = list_of(from, |from| &from.service);
                write!(f, "make the volume {name} and fill it from {from}")
            }
            Self::UpdateStanding(update) => update_standing(f, update),
            Self::Join { release, services } => {
                write!(f, "join {} to stack {release}", list(services))
            }
            Self::RetireStanding { service } => {
                write!(f, "stop the standing service {service} and keep it")
            }
            Self::RunOnce { service, .. } => write!(f, "run {service} to its end"),
            Self::Start { release, services } => {
                write!(f, "start {} of stack {release}", list(services))
            }
            Self::Await {
                waits, deadline, ..
            } => {
                let waits = list_of(waits, |wait| &wait.service);
                write!(f, "wait until {waits} fit, at most {deadline}")
            }
            Self::Probe { probes, .. } => write!(f, "ask {}", joined(probes, asked)),
            Self::Switch(to) if to.routes.is_empty() => f.write_str("close all ports"),
            Self::Switch(to) => write!(f, "switch {}", joined(&to.routes, switched)),
            Self::Watch { time, .. } => write!(f, "watch for {time}"),
            Self::Retire { release, .. } => {
                write!(f, "drain and stop stack {release}, and keep it")
            }
            Self::RemoveStack(remains) => remove_stack(f, remains),
            Self::SetAside { containers } => {
                let containers = containers.join(", ");
                write!(f, "stop {containers} of Docker Compose, and keep it")
            }
            Self::BringBack { containers } => {
                write!(f, "start {} of Docker Compose again", containers.join(", "))
            }
            Self::Wait { time } => write!(f, "wait {time}"),
        }
    }
}

fn make_network(f: &mut fmt::Formatter<'_>, name: &str, like: &NetworkLike) -> fmt::Result {
    write!(f, "make the network {name}")?;
    match like {
        NetworkLike::Plain => Ok(()),
        NetworkLike::Key(key) => write!(f, " for `{key}`"),
    }
}

fn update_standing(f: &mut fmt::Formatter<'_>, update: &StandingUpdate) -> fmt::Result {
    write!(f, "update the standing service {}", update.service)?;
    match update.instead_of {
        Some(stack) => write!(f, " in place of that of stack {stack}"),
        None => Ok(()),
    }
}

fn remove_stack(f: &mut fmt::Formatter<'_>, remains: &Remains) -> fmt::Result {
    write!(f, "remove stack {}", remains.release)?;
    if !remains.images.is_empty() {
        let names = joined(&remains.images, |image| image.name.clone());
        write!(f, " with the images {names}")?;
    }
    if !remains.volumes.is_empty() {
        write!(f, " with the volumes {}", remains.volumes.join(", "))?;
    }
    Ok(())
}

fn asked(probe: &Probe) -> String {
    let path = probe.path.as_deref().unwrap_or_default();
    format!("{}:{}{path}", probe.leads_to.service, probe.leads_to.target)
}

fn switched(route: &Route) -> String {
    let leads_to = &route.leads_to;
    format!(
        "{} to {} of {}",
        route.listen, leads_to.service, leads_to.place
    )
}

fn joined<T>(all: &[T], words: impl Fn(&T) -> String) -> String {
    all.iter().map(words).collect::<Vec<_>>().join(", ")
}

fn list_of<T>(all: &[T], service: impl Fn(&T) -> &ServiceName) -> String {
    let services: Vec<_> = all.iter().map(|one| service(one).clone()).collect();
    list(&services)
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(intent) => match intent.from {
                Some(from) => write!(f, "release {} is to follow {from}", intent.to),
                None => write!(f, "release {} is to come", intent.to),
            },
            Self::Commit { release, .. } => write!(f, "release {release} is in force"),
            Self::Fail { release, .. } => write!(f, "release {release} has failed"),
            Self::Forget(releases) => {
                let numbers: Vec<_> = releases.iter().map(ToString::to_string).collect();
                write!(f, "forget the releases {}", numbers.join(", "))
            }
            Self::Close => f.write_str("nothing is under way"),
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list(services: &[ServiceName]) -> String {
    let names: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}
