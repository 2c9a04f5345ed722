//! What teams do by hand, host after host.

use std::time::Instant;

use crate::deployer::Measured;
use crate::stage::Stage;

/// Release 1 on all hosts.
pub(crate) async fn first(stage: &Stage, hosts: &[&str]) {
    for host in hosts {
        stage.compose(host, 1, &["up", "-d"]).await;
    }
    for host in hosts {
        stage.await_release(host, 1).await;
    }
}

/// `docker-compose up -d` of release 2.
pub(crate) async fn up(stage: &Stage, hosts: &[&str]) -> Measured {
    let begin = Instant::now();
    for host in hosts {
        stage.compose(host, 2, &["up", "-d"]).await;
        stage.await_release(host, 2).await;
    }
    Measured::by_hand(begin.elapsed())
}

/// The flow of the seed, to release 3.
pub(crate) async fn down_prune_up(stage: &Stage, hosts: &[&str]) -> Measured {
    let begin = Instant::now();
    for host in hosts {
        stage.compose(host, 2, &["down"]).await;
        let prune = ["system", "prune", "--all", "--force", "--volumes"];
        stage.docker_on(host, &prune).await;
        stage.compose(host, 3, &["up", "-d"]).await;
        stage.await_release(host, 3).await;
    }
    Measured::by_hand(begin.elapsed())
}

/// Leaves the hosts empty.
pub(crate) async fn end(stage: &Stage, hosts: &[&str]) {
    for host in hosts {
        stage.compose(host, 3, &["down", "--volumes"]).await;
    }
}
