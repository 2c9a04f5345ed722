//! The flow that `lotse deploy` replaces, by the team's own tools: `docker-compose down`, `docker
//! system prune`, `docker-compose up`. What it costs and deletes, on the same project and engine.

use std::time::Duration;

use super::crowd::{self, Crowd};
use super::data;
use super::stage::{Stage, WEB};

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
    stage.compose(WEB[0], 1, &["up", "-d"]).await;
    stage.await_release(WEB[0], 1).await;
    data::mark(&stage, WEB[0]);

    let crowd = Crowd::come_to(&stage, &WEB[..1], &crowd::small(RATE), 1);
    crowd.expect(2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.compose(WEB[0], 1, &["down"]).await;
    let prune = ["system", "prune", "--force", "--volumes"];
    stage.docker_on(WEB[0], &prune).await;
    stage.compose(WEB[0], 2, &["up", "-d"]).await;
    stage.await_release(WEB[0], 2).await;
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
