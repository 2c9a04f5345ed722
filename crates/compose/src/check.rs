//! What only the whole project shows: circles, services that are not asked for, ports taken twice.

use std::collections::{BTreeMap, BTreeSet};

use yaml::{Problem, Report, Span};

use crate::project::{
    Condition, NetworkName, Project, Protocol, Published, Service, ServiceName, Test,
};
use crate::read::{Place, ReadProject};

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
    checker.links(report);
    checker.health(report);
}

struct Checker<'c> {
    project: &'c Project,
    places: &'c BTreeMap<ServiceName, Place>,
}

impl Checker<'_> {
    fn place(&self, name: &ServiceName) -> Span {
        self.places
            .get(name)
            .map(|place| place.name)
            .unwrap_or_default()
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
        let mut known = BTreeSet::new();
        for start in waiting.keys() {
            let problem = self.circle(start, &all, &waiting, &mut known);
            problem.into_iter().for_each(|problem| report.add(problem));
        }
    }

    /// Follows those that wait until one comes again; nothing where a known one comes.
    fn circle<'p>(
        &self,
        start: &'p ServiceName,
        all: &BTreeMap<&'p ServiceName, &'p Service>,
        waiting: &BTreeMap<&'p ServiceName, usize>,
        known: &mut BTreeSet<&'p ServiceName>,
    ) -> Option<Problem> {
        let mut way: Vec<&ServiceName> = Vec::new();
        let mut at = start;
        while known.insert(at) {
            way.push(at);
            let mut needs = all.get(at)?.depends_on.keys();
            at = needs.find(|one| waiting.contains_key(one))?;
        }
        let from = way.iter().position(|one| *one == at)?;
        let names = way[from..].iter().take(20).map(|one| format!("`{one}`"));
        let names: Vec<String> = names.chain([format!("`{at}`")]).collect();
        let message = format!("services wait for each other: {}", names.join(" → "));
        Some(Problem::error("circle", self.place(at), message).hint(
            "take one of these out of `depends_on`, `links`, `volumes_from` or shared namespaces",
        ))
    }

    /// A port of the host can be published once.
    fn ports(&self, report: &mut Report) {
        let mut taken: BTreeMap<(u16, Protocol), Listeners<'_>> = BTreeMap::new();
        for (name, service) in &self.project.services {
            for (at, port) in service.ports.iter().enumerate() {
                let Published::Port(number) = port.published else {
                    continue;
                };
                let ip = port.host_ip.as_deref();
                let ip = ip.filter(|ip| !matches!(*ip, "0.0.0.0" | "::"));
                let place = self.places.get(name).and_then(|place| place.ports.get(at));
                let new = Taken {
                    service: name,
                    place: place.copied().unwrap_or_else(|| self.place(name)),
                };
                let others = taken.entry((number, port.protocol)).or_default();
                let all = others.get(&None);
                let other = match ip {
                    None => others.values().next(),
                    Some(_) => all.or_else(|| others.get(&ip)),
                };
                match other {
                    Some(other) => clash(&new, other, number, report),
                    None => {
                        others.insert(ip, new);
                    }
                }
            }
        }
    }

    /// A link is a network alias: all in the network see it, so it must mean one service there.
    fn links(&self, report: &mut Report) {
        let mut given: BTreeMap<(&NetworkName, &str), &ServiceName> = BTreeMap::new();
        for (name, service) in &self.project.services {
            for network in service.networks() {
                given.insert((network, name.as_str()), name);
            }
        }
        for (name, service) in &self.project.services {
            let places = self.places.get(name).map(|place| &place.links[..]);
            for (at, link) in service.links.iter().enumerate() {
                let place = places.and_then(|places| places.get(at)).copied();
                let place = place.unwrap_or_else(|| self.place(name));
                let Some(target) = self.project.services.get(&link.service) else {
                    continue;
                };
                let theirs: BTreeSet<_> = target.networks().collect();
                let mut shared = service
                    .networks()
                    .filter(|one| theirs.contains(one))
                    .peekable();
                if shared.peek().is_none() && service.networks().next().is_some() {
                    report.add(no_way(name, &link.service, place));
                }
                for network in shared {
                    let known = given.entry((network, &link.alias)).or_insert(&link.service);
                    if **known != link.service {
                        let message = format!(
                            "in the network `{network}` the name `{}` would mean `{}` and `{known}`",
                            link.alias, link.service
                        );
                        report.add(Problem::error("conflict", place, message).hint(
                            "links are names that the whole network sees: give this one another",
                        ));
                    }
                }
            }
        }
    }

    /// Who waits for health needs a check.
    fn health(&self, report: &mut Report) {
        for (name, service) in &self.project.services {
            for (other, dependency) in &service.depends_on {
                let check = self
                    .project
                    .services
                    .get(other)
                    .and_then(|one| one.healthcheck.as_ref());
                let is_off = check.is_some_and(|check| check.test == Test::Disabled);
                if is_off && dependency.condition == Condition::ServiceHealthy {
                    let message = format!(
                        "`{name}` waits for `{other}` to be healthy, but its healthcheck is disabled"
                    );
                    report.add(
                        Problem::error("conflict", self.place(name), message)
                            .note(self.place(other), "the service without a check")
                            .hint("give it a `healthcheck`, or wait for `service_started`"),
                    );
                }
            }
        }
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

fn no_way(name: &ServiceName, target: &ServiceName, place: Span) -> Problem {
    let message = format!("`{name}` links to `{target}`, but they share no network");
    Problem::warning("reference", place, message).hint("put both into one network")
}

/// Who listens at a port of the host, by address; no address means all of them.
type Listeners<'t> = BTreeMap<Option<&'t str>, Taken<'t>>;

/// A published port.
struct Taken<'t> {
    service: &'t ServiceName,
    place: Span,
}

fn clash(new: &Taken<'_>, other: &Taken<'_>, port: u16, report: &mut Report) {
    let name = new.service;
    let message = match name == other.service {
        true => format!("`{name}` publishes the port {port} twice"),
        false => format!(
            "`{name}` publishes the port {port}, as `{}` does",
            other.service
        ),
    };
    report.add(
        Problem::error("conflict", new.place, message)
            .note(other.place, "the other one")
            .hint("publish another port of the host"),
    );
}
