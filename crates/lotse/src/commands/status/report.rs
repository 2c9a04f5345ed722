//! What was seen of a host, without the secrets of its releases.

use apply::drive::ContainerLook;
use compose::project::ServiceName;
use deploy::host::{ContainerSeen, LockSeen};
use deploy::release::Kind;
use deploy::{HostSeen, Intent, Observed, Release, ReleaseNumber, Way};
use serde::Serialize;

use crate::environment::{containers, serve};
use crate::output::{Screen, Tone};

/// One host.
#[derive(Debug, Serialize)]
pub(super) struct HostStatus {
    host: String,
    /// The release of the last rollout that came to its end.
    in_force: Option<Title>,
    /// The stack that gets the traffic; nothing when there is none, or several.
    serving: Option<ReleaseNumber>,
    services: Vec<ServiceStatus>,
    edge: Option<EdgeStatus>,
    lock: Option<LockSeen>,
    under_way: Option<Intent>,
    /// Stacks that are kept beside the one in force.
    kept: Vec<ReleaseNumber>,
}

#[derive(Debug, Serialize)]
struct Title {
    number: ReleaseNumber,
    label: Option<String>,
}

#[derive(Debug, Serialize)]
struct ServiceStatus {
    service: ServiceName,
    kind: Kind,
    wanted: u32,
    containers: Vec<ContainerLook>,
}

#[derive(Debug, Serialize)]
struct EdgeStatus {
    version: String,
    running: bool,
    /// Each port, and where it leads in words.
    routes: Vec<(String, String)>,
}

/// All hosts that were reached.
pub(super) fn hosts(observed: &Observed) -> Vec<HostStatus> {
    let reached = observed
        .iter()
        .filter_map(|(host, seen)| Some((host, seen.as_ref().ok()?)));
    reached
        .map(|(host, seen)| HostStatus::of(host.short(), seen))
        .collect()
}

impl HostStatus {
    fn of(host: &str, seen: &HostSeen) -> Self {
        let in_force = seen.record.in_force;
        let release = in_force.and_then(|number| seen.record.releases.get(&number));
        let release = release.map(|kept| kept.release.as_ref());
        let kept = seen.stacks.keys().copied();
        Self {
            host: host.to_owned(),
            in_force: in_force.map(|number| Title {
                number,
                label: release.and_then(|release| release.label.clone()),
            }),
            serving: seen.serving(),
            services: release.map_or_else(Vec::new, |release| services(release, seen)),
            edge: seen.edge.as_ref().map(|edge| EdgeStatus {
                version: edge.version.clone(),
                running: edge.running,
                routes: routes(seen),
            }),
            lock: seen.lock.clone().filter(LockSeen::is_live),
            under_way: seen.record.under_way,
            kept: kept.filter(|number| Some(*number) != in_force).collect(),
        }
    }

    /// Whether the release in force serves, and nothing was left half done.
    pub(super) fn is_well(&self) -> bool {
        let services = self.services.iter();
        let well = services
            .filter(|service| service.kind != Kind::Once)
            .all(|service| serve(service.wanted, &service.containers));
        let number = self.in_force.as_ref().map(|title| title.number);
        let published = self
            .edge
            .as_ref()
            .is_some_and(|edge| !edge.routes.is_empty());
        let led = !published || self.serving.is_none() || self.serving == number;
        number.is_some() && well && led && (self.under_way.is_none() || self.lock.is_some())
    }

    /// The host in lines for people.
    pub(super) fn text(&self, screen: Screen) -> String {
        let mut lines = vec![format!(
            "{}  {}",
            screen.paint(Tone::Strong, &self.host),
            self.release(screen)
        )];
        for service in &self.services {
            let (tone, words) = containers(service.wanted, &service.containers);
            let (name, kind) = (&service.service, service.kind);
            lines.push(format!("  {name} ({kind}): {}", screen.paint(tone, &words)));
        }
        lines.extend(self.edge_lines(screen));
        if !self.kept.is_empty() {
            let kept: Vec<String> = self.kept.iter().map(ToString::to_string).collect();
            lines.push(format!("  kept: stack {}", kept.join(", ")));
        }
        if let Some(intent) = &self.under_way {
            lines.push(screen.paint(Tone::Waiting, &self.under_way(*intent)));
        }
        if let Some(lock) = &self.lock {
            let text = format!(
                "  locked by {} for another {}",
                lock.holder, lock.expires_in
            );
            lines.push(screen.paint(Tone::Waiting, &text));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn release(&self, screen: Screen) -> String {
        let Some(title) = &self.in_force else {
            return screen.paint(Tone::Waiting, "no release yet");
        };
        let label = title.label.as_ref();
        let label = label.map_or_else(String::new, |label| format!(" ({label})"));
        let text = format!("release {}{label}", title.number);
        match self.is_well() {
            true => screen.paint(Tone::Good, &text),
            false => screen.paint(Tone::Bad, &format!("{text}, not as it should be")),
        }
    }

    fn under_way(&self, intent: Intent) -> String {
        let what = match intent.way {
            Way::Deploy => "deploy of",
            Way::Rollback => "rollback to",
        };
        let state = match self.lock {
            Some(_) => "is under way",
            None => "was cut off; the next deploy or rollback goes on from there",
        };
        format!("  a {what} release {} {state}", intent.to)
    }

    fn edge_lines(&self, screen: Screen) -> Vec<String> {
        let Some(edge) = &self.edge else {
            return vec![screen.paint(Tone::Waiting, "  no edge yet")];
        };
        let state = match edge.running {
            true => String::new(),
            false => screen.paint(Tone::Bad, ", does not answer"),
        };
        let mut lines = vec![format!("  edge {}{state}", edge.version)];
        let routes = edge.routes.iter();
        lines.extend(routes.map(|(listen, to)| format!("    port {listen}: {to}")));
        lines
    }
}

fn routes(seen: &HostSeen) -> Vec<(String, String)> {
    let routes = seen.routes().map(|route| {
        let to = match &route.leads_to {
            Some(to) => format!("{} of {}, port {}", to.service, to.place, to.target),
            None => "nowhere that is known".to_owned(),
        };
        (route.listen.to_string(), to)
    });
    routes.collect()
}

fn services(release: &Release, seen: &HostSeen) -> Vec<ServiceStatus> {
    let members = release.services.iter();
    let status = members.map(|(service, member)| {
        let found: Vec<&ContainerSeen> = match member.kind() {
            Kind::Standing => seen.standing.get(service).into_iter().flatten().collect(),
            Kind::Released | Kind::Once => seen.stack(release.number, service).collect(),
        };
        ServiceStatus {
            service: service.clone(),
            kind: member.kind(),
            wanted: member.replicas(),
            containers: found.into_iter().map(look).collect(),
        }
    });
    // A once-service has run on one host alone.
    let there = |status: &ServiceStatus| status.kind != Kind::Once || !status.containers.is_empty();
    status.filter(there).collect()
}

fn look(container: &ContainerSeen) -> ContainerLook {
    ContainerLook {
        state: container.state,
        health: container.health,
        restarts: container.restarts,
    }
}
