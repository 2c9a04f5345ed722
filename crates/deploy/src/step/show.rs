//! Steps as lines for people.

use std::fmt;

use compose::project::ServiceName;

use super::{NetworkLike, Step};
use crate::record::Entry;

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
            Self::MakeNetwork {
                name,
                like: NetworkLike::Plain,
                ..
            } => write!(f, "make the network {name}"),
            Self::MakeNetwork {
                name,
                like: NetworkLike::Key(key),
                ..
            } => {
                write!(f, "make the network {name} for `{key}`")
            }
            Self::MakeVolume { name, .. } => write!(f, "make the volume {name}"),
            Self::FillVolume { name, from, .. } => {
                let services: Vec<_> = from.iter().map(|from| from.service.clone()).collect();
                write!(
                    f,
                    "make the volume {name} and fill it from {}",
                    list(&services)
                )
            }
            Self::UpdateStanding {
                service,
                instead_of,
                ..
            } => {
                write!(f, "update the standing service {service}")?;
                match instead_of {
                    Some(stack) => write!(f, " in place of that of stack {stack}"),
                    None => Ok(()),
                }
            }
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
                let services: Vec<_> = waits.iter().map(|wait| wait.service.clone()).collect();
                write!(f, "wait until {} fit, at most {deadline}", list(&services))
            }
            Self::Probe { probes, .. } => {
                let asked = probes.iter().map(|probe| match &probe.path {
                    Some(path) => {
                        format!("{}:{}{path}", probe.leads_to.service, probe.leads_to.target)
                    }
                    None => format!("{}:{}", probe.leads_to.service, probe.leads_to.target),
                });
                write!(f, "ask {}", asked.collect::<Vec<_>>().join(", "))
            }
            Self::Switch { routes, .. } if routes.is_empty() => f.write_str("close all ports"),
            Self::Switch { routes, .. } => {
                let routes = routes.iter().map(|route| {
                    let leads_to = &route.leads_to;
                    format!(
                        "{} to {} of {}",
                        route.listen, leads_to.service, leads_to.place
                    )
                });
                write!(f, "switch {}", routes.collect::<Vec<_>>().join(", "))
            }
            Self::Watch { time, .. } => write!(f, "watch for {time}"),
            Self::Retire { release, .. } => {
                write!(f, "drain and stop stack {release}, and keep it")
            }
            Self::RemoveStack {
                release,
                images,
                volumes,
                ..
            } => {
                write!(f, "remove stack {release}")?;
                if !images.is_empty() {
                    let names: Vec<_> = images.iter().map(|image| image.name.as_str()).collect();
                    write!(f, " with the images {}", names.join(", "))?;
                }
                if !volumes.is_empty() {
                    write!(f, " with the volumes {}", volumes.join(", "))?;
                }
                Ok(())
            }
            Self::SetAside { containers } => {
                write!(
                    f,
                    "stop {} of Docker Compose, and keep it",
                    containers.join(", ")
                )
            }
            Self::BringBack { containers } => {
                write!(f, "start {} of Docker Compose again", containers.join(", "))
            }
            Self::Wait { time } => write!(f, "wait {time}"),
        }
    }
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
