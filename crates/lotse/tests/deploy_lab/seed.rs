//! The flow that `lotse deploy` replaces, by the team's own tools: `docker-compose down`, `docker
//! system prune`, `docker-compose up`. What it costs and deletes, on the same project and engine.

use std::process::Command;
use std::time::Duration;

use crate::crowd::{self, Crowd};
use crate::data;
use crate::stage::{Ran, Stage, WEB, ran};

/// Requests a second at the one host.
const RATE: f64 = 50.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_flow_before_deletes_data_and_fails_requests() {
    let _beside = crate::beside_others().await;
    let Some(stage) = Stage::set("seed").await else {
        return;
    };
    stage.push(1);
    stage.push(2);
    compose(&stage, 1, &["up", "-d"]).await;
    await_release(&stage, 1).await;
    data::mark(&stage, WEB[0]);

    let crowd = Crowd::come_to(&stage, &WEB[..1], &crowd::small(RATE), 1);
    crowd.expect(2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    compose(&stage, 1, &["down"]).await;
    let prune = ["system", "prune", "--force", "--volumes"];
    docker(&stage, &prune).await;
    compose(&stage, 2, &["up", "-d"]).await;
    await_release(&stage, 2).await;
    let (_, report) = crowd.leave().await.remove(0);
    println!("the flow before: {}", report.line());
    assert!(report.failures.len() > 10, "the load sees what fails");
    assert_eq!(data::lost(&stage, WEB[0]), deleted(&stage));
}

/// The volumes that the prune deletes: named ones on engines up to 20.10, and none that are bound to a
/// folder of the host.
fn deleted(stage: &Stage) -> Vec<&'static str> {
    let version = stage.exec(WEB[0], &["docker", "version", "-f", "{{.Server.Version}}"]);
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    match major {
        ..23 => vec!["archived", "records"],
        _ => vec![],
    }
}

async fn await_release(stage: &Stage, release: u64) {
    let deadline = std::time::Instant::now() + crate::stage::PATIENCE;
    while stage.serves(WEB[0]).await != Ok(release) {
        assert!(std::time::Instant::now() < deadline, "it does not serve");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// `docker-compose` with the engine of the first web server.
pub(crate) async fn compose(stage: &Stage, release: u64, arguments: &[&str]) -> Ran {
    let release = release.to_string();
    let mut command = Command::new("/usr/bin/docker-compose");
    command
        .args(["--project-name", "site"])
        .args(arguments)
        .current_dir(stage.project())
        .envs([("RELEASE", release.as_str()), ("FAULT", "")]);
    on_first(stage, command).await
}

async fn docker(stage: &Stage, arguments: &[&str]) -> Ran {
    let mut command = Command::new("/usr/bin/docker");
    command.args(arguments);
    on_first(stage, command).await
}

async fn on_first(stage: &Stage, mut command: Command) -> Ran {
    let socket = stage.host(WEB[0]).docker_socket();
    command
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .env("DOCKER_CONFIG", stage.docker_config());
    ran(command).await.succeeds()
}
