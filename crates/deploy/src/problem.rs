//! What stands against a rollout, each with its place and its mend.

use std::fmt;

use compose::project::{ProjectName, ServiceName};
use serde::{Deserialize, Serialize};

use crate::name::{Holder, HostName, ReleaseNumber};
use crate::release::Listen;
use crate::span::Span;

/// Something that must be mended before a rollout can begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "problem", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum Problem {
    #[error("the environment has no hosts: name them in `hosts` of lotse.toml")]
    NoHosts,
    #[error("{host} stands twice in `hosts` of lotse.toml: remove one")]
    HostTwice { host: HostName },
    #[error("{host} cannot be reached: {why}")]
    Unreachable { host: HostName, why: String },
    #[error(
        "{host} is locked by {holder} for another {expires_in}: wait, or run `lotse unlock` when it is dead"
    )]
    Locked {
        host: HostName,
        holder: Holder,
        expires_in: Span,
    },
    #[error(
        "port {listen} of {host} is taken by {by}: stop it, or let `lotse adopt` take over if it is the project's own"
    )]
    PortTaken {
        host: HostName,
        listen: Listen,
        by: String,
    },
    #[error(
        "{host} has no volume `{name}`, which is external: make it with `docker volume create {name}`"
    )]
    VolumeMissing { host: HostName, name: String },
    #[error(
        "{host} has no network `{name}`, which is external: make it with `docker network create {name}`"
    )]
    NetworkMissing { host: HostName, name: String },
    #[error("the image `{image}` of the service `{service}` is not known: {why}")]
    ImageUnknown {
        service: ServiceName,
        image: String,
        why: String,
    },
    #[error(
        "{host} has no image `{image}` for the service `{service}`, which comes from no registry: push it to one, or load it there"
    )]
    ImageNotThere {
        host: HostName,
        service: ServiceName,
        image: String,
    },
    #[error("the file {path} of `{key}` cannot be read: {why}")]
    FileUnknown {
        key: String,
        path: String,
        why: String,
    },
    #[error("the services {} depend on each other in a circle", list(services))]
    Circle { services: Vec<ServiceName> },
    #[error("port {listen} is published by `{}` and `{}`: a port leads to one service", services[0], services[1])]
    PortTwice {
        listen: Listen,
        services: [ServiceName; 2],
    },
    #[error(
        "the service `{service}` publishes {target} as {protocol}, which cannot lead to two releases at once: \
         give `deploy.update_config.order: stop-first`"
    )]
    PortNotAtEdge {
        service: ServiceName,
        target: u16,
        protocol: String,
    },
    #[error(
        "the service `{service}` has a fixed address, which two releases cannot have at once: \
         remove it, or give `deploy.update_config.order: stop-first`"
    )]
    FixedAddress { service: ServiceName },
    #[error(
        "the standing service `{service}` lives in the container of `{other}`, which comes anew with each release: \
         make `{other}` standing too (`order: stop-first`), or `{service}` released (`order: start-first`)"
    )]
    StandsInStack {
        service: ServiceName,
        other: ServiceName,
    },
    #[error("`health` is asked through a published port, and no service of the stack publishes {}", wanted(*port))]
    HealthPort { port: Option<u16> },
    #[error("{}", nothing_before(*in_force))]
    NothingBefore { in_force: Option<ReleaseNumber> },
    #[error(
        "no host has a container of the compose project `{project}` that runs: \
         `lotse deploy` needs nothing to be taken over; if it has another name, give `project` in lotse.toml"
    )]
    NothingToAdopt { project: ProjectName },
    #[error("no host knows the release {number}: `lotse releases` lists those that there are")]
    ReleaseUnknown { number: ReleaseNumber },
}

/// All of them at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problems(pub Vec<Problem>);

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

fn list(services: &[ServiceName]) -> String {
    let names: Vec<String> = services.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn wanted(port: Option<u16>) -> String {
    port.map_or_else(|| "any TCP port".to_owned(), |port| format!("port {port}"))
}

fn nothing_before(in_force: Option<ReleaseNumber>) -> String {
    match in_force {
        Some(number) => format!(
            "no release was in force before {number}: `lotse releases` lists those that there are, and \
             `lotse rollback` takes one of them"
        ),
        None => "no release has been in force yet, so there is nothing to go back to: what was cut off goes \
                 on with `lotse deploy`, or with `lotse adopt` where it takes over what Docker Compose runs"
            .to_owned(),
    }
}
