//! Networks: who finds whom under which name.

use docker::container::spec::{Attachment, Networking};
use docker::exec::{ExecLimits, ExecSpec};
use docker::network::{NetworkSpec, Subnet};
use docker::{Filter, Name};

use crate::support::{Desk, name, spec};

#[tokio::test]
async fn aliases_lead_to_the_network_they_are_of() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let engine = &desk.engine;
    let (old, new) = (name("release-1"), name("release-2"));
    for (network, subnet) in [(&old, "10.91.1.0/24"), (&new, "10.91.2.0/24")] {
        let mut network_spec = NetworkSpec::default();
        network_spec.labels.insert("site".into(), "prod".into());
        network_spec.subnets.push(Subnet {
            subnet: Some(subnet.to_owned()),
            ..Subnet::default()
        });
        engine.create_network(network, &network_spec).await.unwrap();
    }
    let twice = engine.create_network(&old, &NetworkSpec::default()).await;
    assert!(twice.unwrap_err().is_conflict());
    let listed = engine
        .list_networks(Filter::all().label("site", "prod"))
        .await
        .unwrap();
    assert_eq!(listed.len(), 2);

    let on = |network: &Name, alias: &str| Attachment::new(network.clone(), [alias.to_owned()]);
    let mut fixed = on(&new, "api");
    fixed.ipv4 = Some([10, 91, 2, 77].into());
    let both = Networking::Networks(vec![on(&old, "api"), fixed]);
    let api = desk.run("api", |spec| spec.networking = both).await;
    let asker = desk
        .run("asker", |spec| {
            spec.networking = Networking::Networks(vec![on(&new, "asker")]);
        })
        .await;
    let seen = desk.seen(&api).await;
    assert_eq!(
        seen.networks["release-2"].ipv4,
        Some([10, 91, 2, 77].into())
    );
    assert!(
        seen.networks["release-1"]
            .aliases
            .contains(&"api".to_owned())
    );
    let members = engine.inspect_network(&new).await.unwrap().containers;
    assert_eq!(members.len(), 2);

    assert!(finds(&desk, &asker, "api", "10.91.2.77").await);
    engine.disconnect_network(&new, &api).await.unwrap();
    assert!(!finds(&desk, &asker, "api", "10.91.2.77").await);
    engine
        .connect_network(&api, &on(&new, "again"))
        .await
        .unwrap();
    assert!(finds(&desk, &asker, "again", "10.91.2.").await);

    let in_use = engine.remove_network(&new).await.unwrap_err();
    assert!(
        in_use.problem().to_string().contains("active endpoints"),
        "{in_use:?}"
    );
    for container in [&api, &asker] {
        engine.kill_container(container, "KILL").await.unwrap();
        let removal = docker::container::Removal::Killed;
        engine.remove_container(container, removal).await.unwrap();
    }
    engine.remove_network(&new).await.unwrap();
    assert!(
        engine
            .remove_network(&new)
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test]
async fn no_container_is_left_when_a_network_is_missing() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    desk.engine
        .create_network(&name("here"), &NetworkSpec::default())
        .await
        .unwrap();
    let networks = ["here", "missing"].map(|network| Attachment::new(name(network), []));
    let spec = spec(|spec| spec.networking = Networking::Networks(networks.to_vec()));
    let error = desk
        .engine
        .create_container(&name("web"), &spec)
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    assert!(error.problem().to_string().contains("missing"), "{error:?}");
    let left = desk.engine.list_containers(Filter::all()).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

async fn finds(desk: &Desk, from: &Name, alias: &str, address: &str) -> bool {
    let ask = ExecSpec::new(["nslookup", alias]);
    let asked = desk
        .engine
        .run_exec(from, &ask, b"", ExecLimits::default())
        .await
        .unwrap();
    asked.text().contains(address)
}
