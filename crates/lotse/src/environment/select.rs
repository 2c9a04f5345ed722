//! Finding the containers that a command means.

use std::collections::BTreeMap;

use deploy::release::label;
use deploy::{HostName, ReleaseNumber};
use docker::container::ContainerSummary;
use docker::{DockerError, Filter};

use super::{Host, Hosts, Scope};
use crate::output::Failure;

/// Which containers are meant.
#[derive(Debug, Default)]
pub(crate) struct Selection<'a> {
    /// Of these services; of all where none is named.
    pub(crate) services: &'a [String],
    /// On the host that is called so, by its address or short name.
    pub(crate) host: Option<&'a str>,
    /// Of the stack of this release alone; else of the one that serves, and of standing services.
    pub(crate) release: Option<ReleaseNumber>,
}

/// A container of an environment.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) host: HostName,
    pub(crate) engine: docker::Engine,
    pub(crate) container: ContainerSummary,
}

impl Chosen {
    /// `web1 web-1`: the host and what the container is there.
    pub(crate) fn title(&self) -> String {
        let name = self.container.name.as_str();
        let service = self.label(label::SERVICE);
        let short = name
            .rfind(&format!("-{service}-"))
            .map_or(name, |at| &name[at + 1..]);
        format!("{} {short}", self.host.short())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.container.state == "running"
    }

    fn label(&self, name: &str) -> &str {
        label_of(&self.container, name)
    }
}

impl Selection<'_> {
    /// All that fit, host by host, by their names.
    ///
    /// # Errors
    /// When there is no such host, or one does not answer.
    pub(crate) async fn find(&self, scope: &Scope, hosts: &Hosts) -> Result<Vec<Chosen>, Failure> {
        let mut found = Vec::new();
        for (name, host) in &hosts.0 {
            if !self.is_meant(name) {
                continue;
            }
            let host = host
                .as_ref()
                .map_err(|why| Failure::user(format!("{name} cannot be reached")).because(why))?;
            let containers = self.on(scope, host).await?;
            found.extend(containers.into_iter().map(|container| Chosen {
                host: name.clone(),
                engine: host.engine.clone(),
                container,
            }));
        }
        match self.host {
            Some(wanted) if !hosts.0.iter().any(|(name, _)| self.is_meant(name)) => {
                let names: Vec<&str> = hosts.0.iter().map(|(name, _)| name.short()).collect();
                Err(
                    Failure::user(format!("the environment has no host `{wanted}`"))
                        .hint(format!("it has {}", names.join(", "))),
                )
            }
            _ => Ok(found),
        }
    }

    fn is_meant(&self, name: &HostName) -> bool {
        self.host
            .is_none_or(|wanted| wanted == name.short() || wanted == name.as_str())
    }

    async fn on(&self, scope: &Scope, host: &Host) -> Result<Vec<ContainerSummary>, Failure> {
        let filter = Filter::all().label(label::ENVIRONMENT, scope.name.as_str());
        let listed = host.engine.list_containers(filter).await;
        let mut listed = listed.map_err(|error| failure(&error))?;
        let release = match self.release {
            Some(release) => Some(release),
            None => self.serving(host).await?,
        };
        let release = release.map(|number| number.to_string());
        listed.retain(|container| self.fits(container, release.as_deref()));
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }

    fn fits(&self, container: &ContainerSummary, release: Option<&str>) -> bool {
        let service = label_of(container, label::SERVICE);
        let wanted = self.services.is_empty() || self.services.iter().any(|name| name == service);
        let of_release = release.is_none_or(|wanted| wanted == label_of(container, label::RELEASE));
        let stands = label_of(container, label::KIND) == "standing" && self.release.is_none();
        wanted && (of_release || stands)
    }

    /// The release whose stack gets the traffic, or is in force.
    async fn serving(&self, host: &Host) -> Result<Option<ReleaseNumber>, Failure> {
        let seen = host.hands.observe().await;
        let seen = seen.map_err(|why| Failure::user("cannot look at the host").because(&why))?;
        Ok(seen.serving().or(seen.record.in_force))
    }
}

fn label_of<'a>(container: &'a ContainerSummary, name: &str) -> &'a str {
    let labels: &BTreeMap<String, String> = &container.labels;
    labels.get(name).map_or("", String::as_str)
}

/// An error of an engine, with its mend.
pub(crate) fn failure(error: &DockerError) -> Failure {
    let failure = Failure::user(error.to_string());
    let failure = match std::error::Error::source(error) {
        Some(source) => failure.because(source),
        None => failure,
    };
    match apply::reach::hint_of(error) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
