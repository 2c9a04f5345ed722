//! A host that starts anew: containers come back in any order, at the addresses that they had; and one
//! whose start was cut off comes too.

use std::collections::BTreeMap;
use std::time::Duration;

use deploy::{PlannedStep, Step};
use docker::{Filter, Name};
use tokio::time::sleep;

use crate::app::App;
use crate::host::{Host, steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_lead_to_the_same_containers_after_a_reboot() {
    let Some(mut host) = Host::start().await else {
        return;
    };
    host.lock("tester").await.unwrap();
    let plan = host.plan_deploy(&App::new("v1")).await;
    host.roll_out(&plan).await;
    let before = addresses(&host).await;
    assert!(before.len() >= 3, "{before:?}");
    for _ in 0..2 {
        host.daemon.reboot();
        host.again().await;
        host.serves("v1");
        assert_eq!(addresses(&host).await, before);
        assert_eq!(host.exchange(5432, b"hello").unwrap(), "hello");
        let seen = host.observe().await;
        assert_eq!(seen.serving().unwrap().0, 1);
        assert!(
            seen.routes().all(|route| route.leads_to.is_some()),
            "{:?}",
            seen.edge
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_engine_left_of_a_start_is_in_nobodys_way() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.lock("tester").await.unwrap();
    let plan = host.plan_deploy(&App::new("v1")).await;
    host.roll_out(&plan).await;
    let web = "shop-r1-web-1".parse().unwrap();
    let before = host.engine.inspect_container(&web).await.unwrap().id;
    host.engine.stop_container(&web, None).await.unwrap();
    host.daemon.leave_behind(before.as_str());
    let refused = host.engine.start_container(&web).await.unwrap_err();
    assert!(refused.is_left_behind(), "{refused:?}");

    let is_start = |step: &&PlannedStep| matches!(step.step, Step::Start { .. });
    let start = steps(&plan).find(is_start).unwrap();
    host.carry_out(&start.step, &plan.releases).await.unwrap();
    let after = host.engine.inspect_container(&web).await.unwrap();
    assert!(after.state.is_running(), "{after:?}");
    assert_ne!(after.id, before);
    host.serves("v1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_outlives_the_engines_containerd() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.lock("tester").await.unwrap();
    let plan = host.plan_deploy(&App::new("v1")).await;
    host.roll_out(&plan).await;
    let is_start = |step: &&PlannedStep| matches!(step.step, Step::Start { .. });
    let start = &steps(&plan).find(is_start).unwrap().step;
    let webs: [Name; 2] = ["shop-r1-web-1", "shop-r1-web-2"].map(|name| name.parse().unwrap());
    // While the engine makes what the container runs in, when it runs it, and soon afterwards.
    for millis in [30, 120, 400] {
        for web in &webs {
            host.engine.stop_container(web, None).await.unwrap();
        }
        let ending = async {
            sleep(Duration::from_millis(millis)).await;
            host.daemon.kill(host.daemon.containerd());
        };
        let (started, ()) = tokio::join!(host.carry_out(start, &plan.releases), ending);
        started.unwrap_or_else(|failure| panic!("after {millis} ms: {failure:?}"));
        for web in &webs {
            let seen = host.engine.inspect_container(web).await.unwrap();
            assert!(seen.state.is_running(), "after {millis} ms: {seen:?}");
        }
        host.serves("v1");
    }
}

/// Addresses of running containers by container and network.
async fn addresses(host: &Host) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for container in host.engine.list_containers(Filter::all()).await.unwrap() {
        for (network, endpoint) in container.networks {
            if let Some(address) = endpoint.ipv4 {
                let place = (container.name.to_string(), network);
                found.insert(place, address.to_string());
            }
        }
    }
    found
}
