//! What only the whole project shows: circles, services that are not asked for, ports taken twice.

use std::collections::{BTreeMap, BTreeSet};

use yaml::{Problem, Report, Span};

use crate::project::{Project, Published, Service, ServiceName};
use crate::read::ReadProject;

/// Reports what does not go together.
pub(crate) fn project(read: &ReadProject, report: &mut Report) {
    let checker = Checker {
        project: &read.project,
        places: &read.places,
    };
    checker.inactive_dependencies(report);
    checker.circles(report);
    checker.ports(report);
    checker.names(report);
}

struct Checker<'c> {
    project: &'c Project,
    places: &'c BTreeMap<ServiceName, Span>,
}

impl Checker<'_> {
    fn place(&self, name: &ServiceName) -> Span {
        self.places.get(name).copied().unwrap_or_default()
    }

    fn inactive_dependencies(&self, report: &mut Report) {
        for (name, service) in &self.project.services {
            for (other, dependency) in &service.depends_on {
                let Some(absent) = self.project.inactive.get(other) else {
                    continue;
                };
                if dependency.required {
                    let profiles = absent.profiles.join("`, `");
                    let message = format!(
                        "`{name}` needs `{other}`, which runs with the profile `{profiles}` only"
                    );
                    report.add(
                        Problem::error("reference", self.place(name), message)
                            .note(self.place(other), "the service with the profile")
                            .hint(format!("ask for it with `--profile`, give `{name}` the same profile, or write `required: false`")),
                    );
                }
            }
        }
    }

    /// Takes away what can start until nothing can; what is left waits for itself.
    fn circles(&self, report: &mut Report) {
        let all: BTreeMap<&ServiceName, &Service> = self
            .project
            .services
            .iter()
            .chain(&self.project.inactive)
            .collect();
        let mut waiting: BTreeMap<&ServiceName, usize> = BTreeMap::new();
        let mut followers: BTreeMap<&ServiceName, Vec<&ServiceName>> = BTreeMap::new();
        for (name, service) in &all {
            let needs = service
                .depends_on
                .keys()
                .filter(|other| all.contains_key(other));
            for other in needs.clone() {
                followers.entry(other).or_default().push(name);
            }
            waiting.insert(name, needs.count());
        }
        let mut ready: Vec<&ServiceName> = Vec::new();
        ready.extend(
            waiting
                .iter()
                .filter(|(_, needs)| **needs == 0)
                .map(|(name, _)| *name),
        );
        while let Some(name) = ready.pop() {
            waiting.remove(name);
            for follower in followers.get(name).into_iter().flatten() {
                if let Some(needs) = waiting.get_mut(follower) {
                    *needs -= 1;
                    if *needs == 0 {
                        ready.push(follower);
                    }
                }
            }
        }
        if let Some(start) = waiting.keys().next() {
            self.circle(start, &waiting, &all, report);
        }
    }

    /// Follows those that wait until one comes again.
    fn circle(
        &self,
        start: &ServiceName,
        waiting: &BTreeMap<&ServiceName, usize>,
        all: &BTreeMap<&ServiceName, &Service>,
        report: &mut Report,
    ) {
        let mut way: Vec<&ServiceName> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut at = start;
        while seen.insert(at) {
            way.push(at);
            let needs = all.get(at).map(|service| service.depends_on.keys());
            let Some(next) = needs
                .into_iter()
                .flatten()
                .find(|one| waiting.contains_key(one))
            else {
                return;
            };
            at = next;
        }
        let from = way.iter().position(|one| *one == at).unwrap_or_default();
        let mut names: Vec<String> = way[from..]
            .iter()
            .take(20)
            .map(|one| format!("`{one}`"))
            .collect();
        names.push(format!("`{at}`"));
        let message = format!("services wait for each other: {}", names.join(" → "));
        report.add(Problem::error("circle", self.place(at), message).hint(
            "take one of these out of `depends_on`, `links`, `volumes_from` or shared namespaces",
        ));
    }

    /// A port of the host can be published once.
    fn ports(&self, report: &mut Report) {
        let mut taken: BTreeMap<(u16, &str), Vec<(Option<&str>, &ServiceName)>> = BTreeMap::new();
        for (name, service) in &self.project.services {
            for port in &service.ports {
                let Published::Port(number) = port.published else {
                    continue;
                };
                let protocol = match port.protocol {
                    crate::project::Protocol::Tcp => "tcp",
                    crate::project::Protocol::Udp => "udp",
                    crate::project::Protocol::Sctp => "sctp",
                };
                let ip = port
                    .host_ip
                    .as_deref()
                    .filter(|ip| !matches!(*ip, "0.0.0.0" | "::"));
                let others = taken.entry((number, protocol)).or_default();
                let clash = others
                    .iter()
                    .find(|(other, _)| ip.is_none() || other.is_none() || *other == ip);
                if let Some((_, other)) = clash {
                    self.clash(name, other, number, report);
                } else {
                    others.push((ip, name));
                }
            }
        }
    }

    fn clash(&self, name: &ServiceName, other: &ServiceName, port: u16, report: &mut Report) {
        let message = match name == other {
            true => format!("`{name}` publishes the port {port} twice"),
            false => format!("`{name}` publishes the port {port}, as `{other}` does"),
        };
        report.add(
            Problem::error("conflict", self.place(name), message)
                .note(self.place(other), "the other one")
                .hint("publish another port of the host"),
        );
    }

    /// A container's name is used once on a host.
    fn names(&self, report: &mut Report) {
        let mut taken: BTreeMap<&str, &ServiceName> = BTreeMap::new();
        for (name, service) in &self.project.services {
            let Some(container) = &service.container_name else {
                continue;
            };
            if let Some(other) = taken.insert(container, name) {
                let message = format!("`{name}` and `{other}` have the same `container_name`");
                report.add(
                    Problem::error("conflict", self.place(name), message)
                        .note(self.place(other), "the other one")
                        .hint("remove `container_name`, or give it another"),
                );
            }
        }
    }
}
