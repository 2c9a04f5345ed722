//! What deployers and users go through on one host.

use std::time::Duration;

use apply::hands::Renewal;
use deploy::{FailureKind, HostPlan, Lease, Step};
use docker::container::WaitFor;
use docker::exec::{ExecLimits, ExecSpec};
use futures_util::future::join_all;

use crate::app::App;
use crate::host::{Host, hands};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_comes_with_its_files_and_a_bad_one_does_not() {
    let Some(host) = Host::start().await else {
        return;
    };
    let before = host.observe().await;
    assert_eq!(
        (before.edge, before.networks.len()),
        (None, 3),
        "looking makes nothing"
    );
    let seen = host.lock("tester").await.unwrap();
    assert!(seen.edge.is_some_and(|edge| edge.running));
    let plan = host.plan_deploy(&App::new("v1")).await;
    host.roll_out(&plan).await;
    host.serves("v1");
    assert_eq!(host.exchange(5432, b"hello").unwrap(), "hello");
    let key = inside(
        &host,
        "shop-r1-web-1",
        "id -u; cat /etc/key; ls -ln /etc/key",
    )
    .await;
    assert!(
        key.contains("hunter2") && key.contains("-r--------"),
        "{key}"
    );
    assert!(key.contains(" 7 "), "{key}");

    let names = inside(
        &host,
        "shop-r1-web-1",
        "nslookup db 127.0.0.11 | grep -c Address",
    )
    .await;
    assert_ne!(names.trim(), "0", "the stack finds the standing service");

    let bad = App {
        web: Some(r#"[sh, -c, "echo it is broken; exit 3"]"#),
        ..App::new("v2")
    };
    let plan = host.plan_deploy(&bad).await;
    let web_ends = &["shop-r2-web-1", "shop-r2-web-2"];
    let failure = failing(&host, &plan.hosts[0], &plan.releases, web_ends, |step| {
        matches!(step, Step::Probe { .. })
    });
    let failure = failure.await;
    assert_eq!(failure.service.as_ref().unwrap().as_str(), "web");
    assert!(failure.message.contains("no container"), "{failure:?}");
    host.serves("v1");

    let worse = App {
        migration: "echo column exists; exit 4",
        ..App::new("v3")
    };
    let plan = host.plan_deploy(&worse).await;
    let failure = failing(&host, &plan.hosts[0], &plan.releases, &[], |step| {
        matches!(step, Step::RunOnce { .. })
    });
    let failure = failure.await;
    assert_eq!(failure.kind, FailureKind::Exited(4));
    assert_eq!(failure.last_lines, ["column exists"]);
    host.serves("v1");
}

/// Carries steps out, waits left out, up to the first of this kind, which must fail; before it, these
/// containers must have ended.
async fn failing(
    host: &Host,
    plan: &HostPlan,
    releases: &apply::hands::Releases,
    ends: &[&str],
    last: impl Fn(&Step) -> bool,
) -> deploy::Failure {
    let HostPlan {
        prepare,
        once,
        roll,
        ..
    } = plan;
    for planned in [prepare, once, roll].into_iter().flatten() {
        if matches!(planned.step, Step::Await { .. }) {
            continue;
        }
        for container in ends.iter().filter(|_| last(&planned.step)) {
            let ending = WaitFor::NotRunning;
            // Its status is not what is asked for.
            let _ = host
                .engine
                .wait_container(&container.parse().unwrap(), ending)
                .await;
        }
        let done = host.carry_out(&planned.step, releases).await;
        match (done, last(&planned.step)) {
            (Err(failure), true) => return failure,
            (Ok(()), false) => {}
            (done, _) => panic!("{:?}: {done:?}", planned.step),
        }
    }
    panic!("there is no such step");
}

async fn inside(host: &Host, container: &str, line: &str) -> String {
    let spec = ExecSpec::new(["sh", "-c", line]);
    let name = container.parse().unwrap();
    let limits = ExecLimits::default();
    let outcome = host
        .engine
        .run_exec(&name, &spec, b"", limits)
        .await
        .unwrap();
    outcome.text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_deployers_at_once_one_gets_the_lock() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.lock("first").await.unwrap();
    let lease = |holder: &str| Lease {
        holder: holder.parse().unwrap(),
        length: "60s".parse().unwrap(),
    };
    assert_eq!(
        host.hands.renew(&lease("first")).await.unwrap(),
        Renewal::Renewed
    );
    let broken = host.hands.break_lock().await.unwrap().unwrap();
    assert_eq!(broken.holder.as_str(), "first");
    let lost = host.hands.renew(&lease("first")).await.unwrap();
    assert_eq!(lost, Renewal::Lost { by: None });

    let names = ["one", "two", "three", "four"];
    let tries = join_all(names.iter().map(|name| host.lock(name))).await;
    let taken = tries.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(taken, 1, "{tries:?}");
    let refused = tries.iter().filter_map(|outcome| outcome.as_ref().err());
    for failure in refused {
        assert!(
            matches!(failure.kind, FailureKind::Locked { .. }),
            "{failure:?}"
        );
        assert!(failure.message.contains("has the lock"), "{failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_on_the_host_are_left_alone() {
    let Some(mut host) = Host::start().await else {
        return;
    };
    host.lock("tester").await.unwrap();
    let plan = host.plan_deploy(&App::new("v1")).await;
    host.roll_out(&plan).await;

    let other = hands(&host.engine, "blog", "prod");
    let seen = other.observe().await.unwrap();
    assert!(seen.stacks.is_empty() && seen.standing.is_empty());
    assert!(seen.record.releases.is_empty() && seen.lock.is_none());
    assert!(seen.edge.unwrap().routes.is_empty());
    let taken: Vec<u16> = seen.ports.iter().map(|taken| taken.listen.port).collect();
    assert!(
        taken.contains(&8080) && taken.contains(&5432),
        "{:?}",
        seen.ports
    );
    let by = &seen
        .ports
        .iter()
        .find(|taken| taken.listen.port == 8080)
        .unwrap()
        .by;
    assert_eq!(by, "the edge, for shop/prod");

    host.hands = hands(&host.engine, "shop", "test");
    let refused = host.lock("tester").await.unwrap_err();
    assert!(
        refused.message.contains("project name of its own"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_is_killed_is_waited_for() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.lock("tester").await.unwrap();
    let plan = host.plan_deploy(&App::new("v1")).await;
    host.roll_out(&plan).await;
    for _ in 0..3 {
        let edge = host
            .engine
            .inspect_container(&"lotse-edge".parse().unwrap())
            .await
            .unwrap();
        let docker::container::State::Running { pid, .. } = edge.state else {
            panic!("{edge:?}");
        };
        host.daemon.kill(pid);
        let seen = host.observe().await;
        assert_eq!(seen.record.in_force.unwrap().0, 1);
        tokio::time::sleep(Duration::from_millis(100)).await;
        host.serves("v1");
    }
}
