//! The team's own tools on a host of the stage: `docker-compose` and `docker`, and what they wait for.

use std::process::Command;
use std::time::{Duration, Instant};

use super::stage::{PATIENCE, Ran, Stage, ran};

impl Stage {
    /// `docker-compose` with the project of a release.
    pub(crate) async fn compose(&self, host: &str, release: u64, arguments: &[&str]) -> Ran {
        let release = release.to_string();
        let mut command = Command::new("/usr/bin/docker-compose");
        command
            .args(["--project-name", "site"])
            .args(arguments)
            .current_dir(self.project())
            .envs([("RELEASE", release.as_str()), ("FAULT", "")]);
        self.on(host, command).await
    }

    pub(crate) async fn docker_on(&self, host: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new("/usr/bin/docker");
        command.args(arguments);
        self.on(host, command).await
    }

    /// Waits until a host serves a release.
    pub(crate) async fn await_release(&self, host: &str, release: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.serves(host).await != Ok(release) {
            assert!(Instant::now() < deadline, "{host} does not serve {release}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn on(&self, host: &str, mut command: Command) -> Ran {
        let socket = self.host(host).docker_socket();
        command
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .env("DOCKER_CONFIG", self.docker_config());
        ran(command).await.succeeds()
    }
}
