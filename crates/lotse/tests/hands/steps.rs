//! Each step cut off at several moments, repeated, and done twice: the end is the same.

use std::time::Duration;

use deploy::{Desired, HostSeen, Plan, Step};
use tokio::time::timeout;

use crate::app::App;
use crate::host::{Host, steps, words};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_can_be_cut_off_and_repeated() {
    let Some(host) = Host::start().await else {
        return;
    };
    host.lock("tester").await.unwrap();
    let first = host.plan_deploy(&App::new("v1")).await;
    tear(&host, &first).await;
    host.serves("v1");
    let second = host.plan_deploy(&App::new("v2")).await;
    tear(&host, &second).await;
    host.serves("v2");
    let third = host.plan_deploy(&App::new("v3")).await;
    tear(&host, &third).await;
    host.serves("v3");
    let seen = host.observe().await;
    let stacks: Vec<u64> = seen.stacks.keys().map(|number| number.0).collect();
    assert_eq!(stacks, [2, 3], "one old stack is kept");
    assert!(
        !seen.networks.iter().any(|name| name.contains("-r1-")),
        "{:?}",
        seen.networks
    );
    let back = host.plan(Desired::Back).await;
    tear(&host, &back).await;
    host.serves("v2");
    let done = host.plan(Desired::BackTo(deploy::ReleaseNumber(2))).await;
    assert!(done.is_empty(), "{done:?}");
    assert!(seen.volumes.contains_key("shop_static-r1"), "volumes stay");
}

/// Carries a plan out in the most careless way.
async fn tear(host: &Host, plan: &Plan) {
    for planned in steps(plan) {
        let step = &planned.step;
        for millis in [2, 30, 150] {
            let cut = host.carry_out(step, &plan.releases);
            if timeout(Duration::from_millis(millis), cut).await.is_ok() {
                break;
            }
        }
        let done = host.carry_out(step, &plan.releases).await;
        done.unwrap_or_else(|failure| panic!("{step:?}: {failure:?}"));
        let once = host.observe().await;
        let again = host.carry_out(step, &plan.releases).await;
        again.unwrap_or_else(|failure| panic!("{step:?} again: {failure:?}"));
        let twice = host.observe().await;
        assert_eq!(still(&once), still(&twice), "after {}", words(step));
        check(&twice, step);
    }
}

/// What does not change by itself.
fn still(seen: &HostSeen) -> HostSeen {
    let mut seen = seen.clone();
    let containers = seen
        .stacks
        .values_mut()
        .chain(seen.standing.values_mut())
        .flatten();
    for container in containers {
        container.running_for = None;
        container.health = None;
    }
    seen.lock = None;
    seen
}

fn check(seen: &HostSeen, step: &Step) {
    let all = seen.stacks.values().chain(seen.standing.values()).flatten();
    for container in all {
        assert!(
            !container.name.ends_with(".new"),
            "{container:?} after {}",
            words(step)
        );
    }
    if let Step::Switch(to) = step {
        let found: Vec<_> = seen.routes().map(|route| &route.leads_to).collect();
        assert_eq!(found.len(), to.routes.len());
        for route in &to.routes {
            assert!(found.contains(&&Some(route.leads_to.clone())), "{found:?}");
        }
    }
}
