//! A host that starts anew: containers come back in any order, at the addresses that they had.

use std::collections::BTreeMap;

use docker::Filter;

use crate::app::App;
use crate::host::Host;

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
