//! Services.

use std::collections::BTreeMap;

use model::Secret;
use yaml::{Entry, Node, Problem, Span, Value};

use super::{
    OWN, Place, Reader, Section, count, entries, extensions, flag, items, strings, text, texts,
};
use crate::file::{Absence, Content};
use crate::project::{
    Condition, Dependency, ExtraHost, Healthcheck, Logging, PullPolicy, Restart, Security, Service,
    ServiceName, Test,
};
use crate::shape::shortened;
use crate::value::{self, scalar_text};

impl Reader<'_, '_> {
    pub(super) fn service(&mut self, entry: &Entry) -> Option<Service> {
        let node = &entry.value;
        let name: ServiceName = entry.key.parse().ok()?;
        let place = Place {
            name: entry.span,
            ports: items(node, "ports").iter().map(|port| port.span).collect(),
            links: items(node, "links").iter().map(|link| link.span).collect(),
        };
        self.places.insert(name.clone(), place);
        if node.as_map().is_none() {
            self.nothing_to_run(&name, entry.span);
            return None;
        }
        let mut service = self.attributes(node);
        service.depends_on = self.implied_dependencies(&service);
        self.holds_together(&name, entry, &service);
        Some(service)
    }

    /// Each attribute for itself.
    fn attributes(&mut self, node: &Node) -> Service {
        let (limits, deploy) = self.limits_and_deploy(node);
        Service {
            image: self.image(node),
            build: self.build(node),
            pull_policy: pull_policy(node),
            platform: text(node, "platform"),
            command: self.command(node, "command"),
            entrypoint: self.command(node, "entrypoint"),
            environment: environment(node),
            working_dir: text(node, "working_dir"),
            user: text(node, "user"),
            group_add: texts(node, "group_add"),
            init: node.get("init").and_then(Node::as_bool),
            tty: flag(node, "tty"),
            stdin_open: flag(node, "stdin_open"),
            stop_signal: text(node, "stop_signal"),
            stop_grace_period: self.read(node, "stop_grace_period", value::duration),
            container_name: self.container_name(node),
            hostname: text(node, "hostname"),
            domainname: text(node, "domainname"),
            labels: strings(node, "labels"),
            annotations: strings(node, "annotations"),
            restart: self
                .read(node, "restart", value::restart)
                .unwrap_or_default(),
            healthcheck: self.healthcheck(node),
            depends_on: self.depends_on(node),
            deploy,
            networking: self.networking(node),
            links: self.links(node),
            external_links: self.external_links(node),
            ports: self.ports(node),
            expose: self.expose(node),
            extra_hosts: self.extra_hosts(node),
            dns: self.addresses(node, "dns"),
            dns_search: texts(node, "dns_search"),
            dns_opt: texts(node, "dns_opt"),
            mounts: self.mounts(node),
            tmpfs: self.tmpfs(node),
            volumes_from: self.volumes_from(node),
            configs: self.file_mounts(node, Section::Configs),
            secrets: self.file_mounts(node, Section::Secrets),
            devices: self.devices(node),
            storage_opt: strings(node, "storage_opt"),
            limits,
            security: self.security(node),
            sysctls: strings(node, "sysctls"),
            logging: logging(node),
            runtime: text(node, "runtime"),
            isolation: text(node, "isolation"),
            profiles: texts(node, "profiles"),
            once: self.once(node),
            extensions: extensions(node),
        }
    }

    fn nothing_to_run(&mut self, name: &ServiceName, span: Span) {
        let message = format!("the service `{name}` has neither `image` nor `build`");
        let hint = "add `image: …`, or `build: …` with the folder of its Dockerfile";
        self.error("missing", span, message, hint);
    }

    /// What a service says in several places.
    fn holds_together(&mut self, name: &ServiceName, entry: &Entry, service: &Service) {
        let span = entry.span;
        let node = &entry.value;
        let place = |key: &str| node.get(key).map_or(span, |node| node.span);
        if node.get("image").is_none() && node.get("build").is_none() {
            self.nothing_to_run(name, span);
        }
        let upper = name.as_str().bytes().any(|byte| byte.is_ascii_uppercase());
        if service.image.is_none() && service.build.is_some() && upper {
            let message = format!("the image of `{name}` cannot have upper-case letters");
            self.error(
                "name",
                span,
                message,
                "give the image a name with `image: …`, or rename the service",
            );
        }
        if service.pull_policy == PullPolicy::Build && service.build.is_none() {
            let message = format!("`{name}` is to be built, but has no `build`");
            self.error("conflict", place("pull_policy"), message, "add `build: …`");
        }
        let many = service.deploy.replicas.unwrap_or(1) > 1;
        if service.container_name.is_some() && many {
            let message =
                format!("`{name}` has a `container_name`, so it cannot run more than once");
            self.error(
                "conflict",
                place("container_name"),
                message,
                "remove `container_name` or the number",
            );
        }
        let endless = matches!(service.restart, Restart::Always | Restart::UnlessStopped);
        if service.once && endless {
            let message = format!("`{name}` runs once, so it cannot be restarted whenever it ends");
            self.error(
                "conflict",
                place("restart"),
                message,
                "write `restart: on-failure` or leave it out",
            );
        }
        if let crate::project::Networking::Host = service.networking
            && !service.ports.is_empty()
        {
            let message = format!("`{name}` is in the host's network: its `ports` publish nothing");
            self.add(
                Problem::warning("conflict", place("ports"), message)
                    .hint("remove `ports`, or `network_mode: host`"),
            );
        }
    }

    /// A name that the engine could not take is most often one whose variable is not set.
    fn image(&mut self, node: &Node) -> Option<String> {
        let node = node.get("image")?;
        let image = node.as_str()?;
        let flaw = if image.is_empty() {
            "is empty"
        } else if image.ends_with([':', '@', '/']) {
            "ends too early"
        } else if image.contains(|c: char| c.is_whitespace() || c.is_control()) {
            "has a space"
        } else {
            return Some(image.to_owned());
        };
        let message = format!("the image's name `{}` {flaw}", shortened(image));
        self.error(
            "value",
            node.span,
            message,
            "names look like `registry/path:tag`; is a variable in it not set?",
        );
        None
    }

    fn container_name(&mut self, node: &Node) -> Option<String> {
        let node = node.get("container_name")?;
        let name = node.as_str()?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let starts = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        if starts && name.len() > 1 && name.bytes().all(allowed) {
            return Some(name.to_owned());
        }
        let message = format!("`{}` is no name of a container", shortened(name));
        self.error(
            "name",
            node.span,
            message,
            "letters, digits, `_`, `.` and `-` are allowed; a letter or digit comes first",
        );
        None
    }

    fn command(&mut self, node: &Node, key: &str) -> Option<Vec<String>> {
        let node = node.get(key)?;
        match &node.value {
            Value::Text(text) => value::words(text).ok(),
            Value::List(items) => Some(items.iter().filter_map(scalar_text).collect()),
            _ => None,
        }
    }

    fn healthcheck(&mut self, node: &Node) -> Option<Healthcheck> {
        let node = node.get("healthcheck")?;
        node.as_map()?;
        Some(Healthcheck {
            test: self.test(node),
            interval: self.read(node, "interval", value::duration),
            timeout: self.read(node, "timeout", value::duration),
            retries: count(node, "retries"),
            start_period: self.read(node, "start_period", value::duration),
            start_interval: self.read(node, "start_interval", value::duration),
        })
    }

    fn test(&mut self, node: &Node) -> Test {
        let Some(node) = node.get("test") else {
            return Test::Inherited;
        };
        if let Some(line) = node.as_str() {
            return Test::Shell(line.to_owned());
        }
        let words: Vec<_> = node
            .as_list()
            .unwrap_or_default()
            .iter()
            .filter_map(scalar_text)
            .collect();
        let rest = words.get(1..).unwrap_or_default();
        match (words.first().map(String::as_str), rest) {
            (None, _) => Test::Inherited,
            (Some("NONE"), []) => Test::Disabled,
            (Some("CMD"), [_, ..]) => Test::Command(rest.to_vec()),
            (Some("CMD-SHELL"), [line]) => Test::Shell(line.clone()),
            _ => {
                let hint = "a list begins with `CMD` (a program and its arguments) or `CMD-SHELL` (one line for a shell), or is `[NONE]`";
                self.error("value", node.span, "this test cannot be carried out", hint);
                Test::Inherited
            }
        }
    }

    fn depends_on(&mut self, node: &Node) -> BTreeMap<ServiceName, Dependency> {
        let mut all = BTreeMap::new();
        for entry in entries(node, "depends_on") {
            let required = entry.value.get("required").and_then(Node::as_bool);
            let required = required.unwrap_or(true);
            if !required && !self.services.contains_key(&*entry.key) {
                continue;
            }
            let name = self.known(Section::Services, &entry.key, entry.span, "`depends_on`");
            let condition = match text(&entry.value, "condition").as_deref() {
                Some("service_healthy") => Condition::ServiceHealthy,
                Some("service_completed_successfully") => Condition::ServiceCompletedSuccessfully,
                _ => Condition::ServiceStarted,
            };
            let restart = flag(&entry.value, "restart");
            let dependency = Dependency {
                condition,
                restart,
                required,
            };
            all.extend(name.map(|name| (name, dependency)));
        }
        all
    }

    pub(super) fn extra_hosts(&mut self, node: &Node) -> Vec<ExtraHost> {
        let mut all = Vec::new();
        for item in items(node, "extra_hosts") {
            let text = item.as_str().unwrap_or_default();
            let (host, address) = text.split_once(':').unwrap_or((text, ""));
            let right = address == "host-gateway" || address.parse::<std::net::IpAddr>().is_ok();
            if host.is_empty() || !right {
                let message = format!("`{}` is no host with its address", shortened(text));
                self.error(
                    "value",
                    item.span,
                    message,
                    "write `name:address`, with an IP address or `host-gateway`",
                );
                continue;
            }
            all.push(ExtraHost {
                host: host.to_owned(),
                address: address.to_owned(),
            });
        }
        all
    }

    fn security(&mut self, node: &Node) -> Security {
        Security {
            cap_add: texts(node, "cap_add"),
            cap_drop: texts(node, "cap_drop"),
            privileged: flag(node, "privileged"),
            read_only: flag(node, "read_only"),
            security_opt: self.security_opt(node),
            userns_mode: text(node, "userns_mode"),
            ipc: self.namespace(node, "ipc"),
            pid: self.namespace(node, "pid"),
            uts: text(node, "uts"),
            cgroup: text(node, "cgroup"),
            cgroup_parent: text(node, "cgroup_parent"),
            device_cgroup_rules: texts(node, "device_cgroup_rules"),
        }
    }

    /// Options for the engine, which wants the profile of seccomp itself, not its path.
    fn security_opt(&mut self, node: &Node) -> Vec<String> {
        let mut all = Vec::new();
        for item in items(node, "security_opt") {
            let text = item.as_str().unwrap_or_default();
            let path = ["seccomp=", "seccomp:"]
                .iter()
                .find_map(|prefix| text.strip_prefix(prefix))
                .filter(|path| *path != "unconfined");
            match path {
                Some(path) => all.extend(self.seccomp(path, item.span)),
                None => all.push(text.to_owned()),
            }
        }
        all
    }

    fn seccomp(&mut self, path: &str, span: Span) -> Option<String> {
        let path = crate::path::absolute(self.folder, path.trim_matches('"'), None);
        let text = self
            .loader
            .text(&path, &Absence::Error(span), Content::Shown)?;
        // Each container gets a copy: a value stands for sixteen bytes.
        if !self.loader.counted(text.text.len() / 16, span) {
            return None;
        }
        match serde_json::from_str::<serde_json::Value>(&text.text) {
            Ok(profile) => Some(format!("seccomp={profile}")),
            Err(error) => {
                let message = format!("the profile `{}` is no JSON: {error}", shortened(&path));
                self.error(
                    "value",
                    span,
                    message,
                    "see the engine's documentation of seccomp profiles",
                );
                None
            }
        }
    }

    /// `x-lotse: { once: true }`
    fn once(&mut self, node: &Node) -> bool {
        let Some(own) = node.get(OWN) else {
            return false;
        };
        let once = self.own_key(own, "once", "`x-lotse` of a service knows `once: true`");
        match once.map(|node| (node, node.as_bool())) {
            Some((_, Some(once))) => once,
            Some((node, None)) => {
                let hint = "write `true` or `false`";
                self.error("type", node.span, "`once` is a boolean", hint);
                false
            }
            None => false,
        }
    }

    /// The one key that `x-lotse` may have here.
    pub(super) fn own_key<'n>(&mut self, own: &'n Node, key: &str, hint: &str) -> Option<&'n Node> {
        let Some(map) = own.as_map() else {
            let message = format!("`x-lotse` must be a mapping; this is {}", own.kind());
            self.error("type", own.span, message, hint);
            return None;
        };
        for entry in map.entries.iter().filter(|entry| &*entry.key != key) {
            let message = format!("`{}` is not a key of `x-lotse` here", shortened(&entry.key));
            self.error("unknown-key", entry.span, message, hint);
        }
        map.get(key)
    }
}

fn pull_policy(node: &Node) -> PullPolicy {
    match text(node, "pull_policy").as_deref() {
        Some("always") => PullPolicy::Always,
        Some("never") => PullPolicy::Never,
        Some("build") => PullPolicy::Build,
        _ => PullPolicy::Missing,
    }
}

fn environment(node: &Node) -> BTreeMap<String, Option<Secret>> {
    let entries = entries(node, "environment").iter();
    entries
        .map(|entry| {
            let value = scalar_text(&entry.value).map(Secret::from);
            (entry.key.to_string(), value)
        })
        .collect()
}

fn logging(node: &Node) -> Option<Logging> {
    let node = node.get("logging")?;
    node.as_map()?;
    Some(Logging {
        driver: text(node, "driver"),
        options: strings(node, "options"),
    })
}
