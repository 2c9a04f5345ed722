//! What teams do by hand, host after host.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::deployer::Measured;
use crate::stage::{PATIENCE, Stage, ran};

/// Release 1 on all hosts.
pub(crate) async fn first(stage: &Stage, hosts: &[&str]) {
    for host in hosts {
        compose(stage, host, 1, &["up", "-d"]).await;
    }
    await_release(stage, hosts, 1).await;
}

/// `docker-compose up -d` of release 2.
pub(crate) async fn up(stage: &Stage, hosts: &[&str]) -> Measured {
    let begin = Instant::now();
    for host in hosts {
        compose(stage, host, 2, &["up", "-d"]).await;
        await_release(stage, &[host], 2).await;
    }
    Measured::by_hand(begin.elapsed())
}

/// The flow of the seed, to release 3.
pub(crate) async fn down_prune_up(stage: &Stage, hosts: &[&str]) -> Measured {
    let begin = Instant::now();
    for host in hosts {
        compose(stage, host, 2, &["down"]).await;
        let mut prune = Command::new("/usr/bin/docker");
        prune.args(["system", "prune", "--all", "--force", "--volumes"]);
        on(stage, host, prune).await;
        compose(stage, host, 3, &["up", "-d"]).await;
        await_release(stage, &[host], 3).await;
    }
    Measured::by_hand(begin.elapsed())
}

/// Leaves the hosts empty.
pub(crate) async fn end(stage: &Stage, hosts: &[&str]) {
    for host in hosts {
        compose(stage, host, 3, &["down", "--volumes"]).await;
    }
}

/// Waits until all hosts serve a release.
pub(crate) async fn await_release(stage: &Stage, hosts: &[&str], release: u64) {
    let deadline = Instant::now() + PATIENCE;
    for host in hosts {
        while stage.serves(host).await != Ok(release) {
            assert!(Instant::now() < deadline, "{host} does not serve {release}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn compose(stage: &Stage, host: &str, release: u64, arguments: &[&str]) {
    let release = release.to_string();
    let mut command = Command::new("/usr/bin/docker-compose");
    command
        .args(["--project-name", "site"])
        .args(arguments)
        .current_dir(stage.project())
        .envs([("RELEASE", release.as_str()), ("FAULT", "")]);
    on(stage, host, command).await;
}

async fn on(stage: &Stage, host: &str, mut command: Command) {
    let socket = stage.host(host).docker_socket();
    command
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .env("DOCKER_CONFIG", stage.docker_config());
    ran(command).await.succeeds();
}
