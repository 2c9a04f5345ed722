//! Hosts with Docker engines of their own, and a project that is deployed to them.

use std::process::{Command, Output, Stdio};

use docker::{Archive, Engine, EngineAddress};
use testkit::dockerd::{Dockerd, text_of};

use crate::project::{Project, Said};

/// The port that the project publishes.
pub(crate) const PORT: u16 = 8080;

/// What a good image runs.
pub(crate) const SERVES: &str = r#"CMD ["httpd","-f","-p","8080","-h","/srv"]"#;
/// What a bad image runs.
pub(crate) const BREAKS: &str = r#"CMD ["sh","-c","echo no such module; exit 3"]"#;

const COMPOSE: &str = "
services:
  web:
    image: shop:${TAG:?}
    pull_policy: never
    stop_signal: SIGKILL
    ports: ['8080:8080']
";

pub(crate) struct Site {
    pub(crate) hosts: Vec<Dockerd>,
    pub(crate) project: Project,
}

impl Site {
    /// So many hosts, and the project.
    pub(crate) async fn start(hosts: usize) -> Option<Self> {
        let hosts: Option<Vec<Dockerd>> = (0..hosts).map(|_| Dockerd::start()).collect();
        Self::of(hosts?)
    }

    /// These hosts, and the project.
    pub(crate) fn of(hosts: Vec<Dockerd>) -> Option<Self> {
        if !testkit::busybox::is_installed() {
            testkit::skip("`busybox-static` is not installed");
            return None;
        }
        let project = Project::new(&[("compose.yml", COMPOSE)]);
        let site = Self { hosts, project };
        site.settings("", "500ms");
        Some(site)
    }

    /// Writes lotse.toml, with more lines for the environment, and how long a release is watched.
    pub(crate) fn settings(&self, more: &str, monitor: &str) {
        let sockets = self.hosts.iter().map(Dockerd::socket);
        let hosts = sockets.map(|socket| format!("unix://{}", socket.display()));
        let hosts: Vec<String> = hosts.collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        self.write_settings(&hosts, more, monitor);
    }

    /// Writes lotse.toml with these addresses of the hosts.
    pub(crate) fn reach_by(&self, hosts: &[&str]) {
        self.write_settings(hosts, "", "500ms");
    }

    fn write_settings(&self, hosts: &[&str], more: &str, monitor: &str) {
        let hosts: Vec<String> = hosts.iter().map(|host| format!("\"{host}\"")).collect();
        let text = format!(
            "[environment.prod]\ncompose = [\"compose.yml\"]\nproject = \"shop\"\nhosts = [{}]\n\
             health = \"/ping\"\nmonitor = \"{monitor}\"\ngrace = \"3s\"\n{more}\n\
             [environment.prod.variables]\nTAG = \"${{CI_COMMIT_TAG}}\"\n",
            hosts.join(", ")
        );
        self.project.write("lotse.toml", &text);
    }

    /// Puts the image of a version on every host: the same everywhere.
    pub(crate) async fn image(&self, version: &str, runs: &str) {
        let page = format!("{version}\n");
        let files = [("srv/index.html", page.as_str()), ("srv/ping", "pong\n")];
        let archive = Archive::whole(testkit::busybox::archive(&files));
        let [first, others @ ..] = &self.hosts[..] else {
            panic!("no hosts")
        };
        let address = EngineAddress::Unix(first.socket());
        let engine = Engine::connect(&address, None).await.unwrap();
        let name = format!("shop:{version}");
        let changes = ["ENV PATH=/bin", runs];
        engine
            .import_image(&name.parse().unwrap(), archive, &changes)
            .await
            .unwrap();
        for other in others {
            let mut save = first.client("docker");
            let save = save.args(["save", &name]).stdout(Stdio::piped()).spawn();
            let mut load = other.client("docker");
            load.arg("load").stdin(save.unwrap().stdout.unwrap());
            is_well(&load.output().unwrap());
        }
    }

    /// Runs `lotse` with a tag, as a job does.
    pub(crate) fn lotse(&self, tag: &str, arguments: &[&str]) -> Said {
        Said::of(&self.command(tag, arguments).output().unwrap())
    }

    /// Runs `lotse` as somebody at a desk does.
    pub(crate) fn lotse_without_tag(&self, arguments: &[&str]) -> Said {
        Said::of(&self.project.lotse(None, arguments).output().unwrap())
    }

    pub(crate) fn command(&self, tag: &str, arguments: &[&str]) -> Command {
        self.project.lotse(Some(tag), arguments)
    }
}

/// Whether an event says that such a step has begun.
pub(crate) fn begins(event: &str, step: &str) -> bool {
    let step = format!(r#""step":{{"step":"{step}""#);
    event.contains(r#""event":"begun""#) && event.contains(&step)
}

pub(crate) fn is_well(output: &Output) {
    assert!(output.status.success(), "{}", text_of(output));
}
