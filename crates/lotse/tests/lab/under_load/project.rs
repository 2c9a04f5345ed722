//! The project that the stories deploy: the files that its team has.

use std::path::Path;

use super::stage::{REGISTRY, WEB};

/// What differs between the stories.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How long a release is watched after the switch of a deploy; of a rollback by default.
    pub(crate) monitor: &'static str,
    /// How long services may take to become healthy.
    pub(crate) deadline: &'static str,
    /// Hosts at a time.
    pub(crate) parallelism: usize,
    /// The port in the front end's container that is published.
    pub(crate) target: u16,
    /// How long a host may be away.
    pub(crate) away: &'static str,
    /// How long the lock of a deployer that died counts.
    pub(crate) lease: &'static str,
    /// The web servers that are deployed to.
    pub(crate) hosts: &'static [&'static str],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            monitor: "2s",
            deadline: "90s",
            parallelism: 1,
            target: 8080,
            away: "30s",
            lease: "1m",
            hosts: &WEB,
        }
    }
}

/// Writes `lotse.toml` and the compose file.
pub(crate) fn write(folder: &Path, settings: &Settings) {
    fs_err::create_dir_all(folder).unwrap();
    fs_err::write(folder.join("lotse.toml"), environment(settings)).unwrap();
    fs_err::write(folder.join("docker-compose.yml"), compose(settings)).unwrap();
}

fn environment(settings: &Settings) -> String {
    let Settings {
        deadline,
        parallelism,
        lease,
        away,
        ..
    } = settings;
    let hosts = settings.hosts.iter();
    let hosts: Vec<_> = hosts.map(|host| format!("\"ssh://root@{host}\"")).collect();
    let hosts = hosts.join(", ");
    format!(
        r#"[environment.prod]
compose = ["docker-compose.yml"]
project = "site"
hosts = [{hosts}]
health = "/ping"
deadline = "{deadline}"
parallelism = {parallelism}
lease = "{lease}"
away = "{away}"

[environment.prod.variables]
RELEASE = "${{RELEASE}}"
FAULT = "${{FAULT}}"
"#
    )
}

/// A front end, pages, an API, a worker; a database that stands, and a migration.
fn compose(settings: &Settings) -> String {
    let Settings {
        monitor, target, ..
    } = settings;
    format!(
        r#"x-part: &part
  image: {REGISTRY}/shop/site:v${{RELEASE}}
  environment:
    FAULT: ${{FAULT}}
  stop_grace_period: 5s
  deploy: {{ update_config: {{ monitor: {monitor} }} }}

services:
  frontend:
    <<: *part
    command: [frontend]
    depends_on: [web-ui, web-api]
    ports: ["8080:{target}"]
    volumes: ["static:/srv/static:ro"]

  web-ui:
    <<: *part
    command: [ui]
    # Longer than any deadline: who waits for the engine's first test waits in vain.
    healthcheck: {{ test: [CMD, site, check, "5000", /health], interval: 10m, retries: 2 }}
    volumes: ["static:/srv/static", "uploaded:/srv/data"]

  web-api:
    <<: *part
    command: [api]
    healthcheck: {{ test: [CMD, site, check, "5000", /health], interval: 2s, retries: 2 }}
    volumes: ["uploaded:/srv/data", "archived:/srv/archive"]

  worker:
    <<: *part
    command: [worker]
    volumes: ["archived:/srv/archive"]

  migrate:
    <<: *part
    command: [migrate]
    x-lotse: {{ once: true }}
    depends_on: [database]

  database:
    image: {REGISTRY}/shop/site:v1
    command: [database]
    volumes: ["records:/srv/records"]

volumes:
  static:
    x-lotse: {{ per: release }}
  uploaded:
    driver: local
    driver_opts: {{ type: none, o: bind, device: /storage }}
  archived:
  records:
"#
    )
}
