//! From tags to digests: a real engine asks a real registry, which wants to know who is there.

#![allow(
    clippy::unwrap_used,
    reason = "the lint knows tests by their attribute only, not their helpers"
)]

#[path = "../common/private_registry.rs"]
mod private_registry;
mod shop;

use std::collections::BTreeMap;

use apply::keyring::Keyring;
use apply::resolve::{self, Asked};
use compose::Project;
use deploy::release::{Image, ImageFrom};
use docker::image::{Credentials, Pull};
use docker::{ImageRef, if_found};
use model::Secret;
use private_registry::{PASSWORD, USER};
use shop::Shop;

/// A project of services with these lines each.
fn project(services: &[(&str, &str)], more: &str) -> Project {
    let services = services
        .iter()
        .map(|(name, lines)| format!("  {name}: {lines}\n"));
    let text = format!(
        "name: shop\nservices:\n{}{more}",
        services.collect::<String>()
    );
    shop::load(&text)
}

fn key() -> Credentials {
    Credentials {
        user: USER.to_owned(),
        password: Secret::new(PASSWORD),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tag_becomes_the_digest_that_its_registry_has() {
    let Some(shop) = Shop::start().await else {
        return;
    };
    let pushed = shop.push("shop/web:v1");
    let (name, other) = (shop.image("shop/web:v1"), shop.image("shop/web:v9"));
    let pinned = format!("{}@{pushed}", shop.image("shop/web"));
    shop.tag("only-here:1");
    let services = [
        ("web", format!("{{ image: \"{name}\" }}")),
        (
            "again",
            format!("{{ image: \"{name}\", pull_policy: always }}"),
        ),
        ("pinned", format!("{{ image: \"{pinned}\" }}")),
        (
            "here",
            "{ image: \"only-here:1\", pull_policy: never }".to_owned(),
        ),
        ("loaded", "{ image: \"only-here:1\" }".to_owned()),
        ("gone", format!("{{ image: \"{other}\" }}")),
        (
            "nowhere",
            "{ image: \"not-here:1\", pull_policy: never }".to_owned(),
        ),
        ("built", "{ build: . }".to_owned()),
        (
            "rebuilt",
            format!("{{ build: ., image: \"{name}\", pull_policy: build }}"),
        ),
    ];
    let services: Vec<_> = services
        .iter()
        .map(|(name, lines)| (*name, lines.as_str()))
        .collect();
    let project = project(&services, "");

    for keys in [
        shop.logged_in(),
        Keyring::new(None, None).with(&shop.registry, key()),
    ] {
        let images = resolve::images(&project, &shop.engine, &keys).await;
        let found = |name: &str| images[name].clone();
        let digest = pushed.parse().unwrap();
        let web = found("web").unwrap();
        assert_eq!((&web.digest, web.from), (&digest, ImageFrom::Registry));
        assert_eq!(web.pinned(), pinned);
        assert_eq!(found("again").unwrap(), web);
        assert_eq!(found("pinned").unwrap().digest, digest);
        for local in ["here", "loaded"] {
            let Image { digest, from, .. } = found(local).unwrap();
            assert_eq!(
                (digest, from),
                (shop.id_of("only-here:1").await, ImageFrom::Host)
            );
        }
        for (name, says) in [
            ("gone", "was it pushed?"),
            ("nowhere", "does not have it; load it there"),
            ("built", "it is only built"),
            ("rebuilt", "build it and push it before"),
        ] {
            let why = found(name).unwrap_err();
            assert!(why.contains(says), "{name}: {why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_resolved_can_be_pulled_by_those_who_may() {
    let Some(shop) = Shop::start().await else {
        return;
    };
    let pushed = shop.push("shop/web:v1");
    let name: ImageRef = shop.image("shop/web:v1").parse().unwrap();
    shop.engine.remove_image(&name).await.unwrap();
    let project = project(&[("web", &format!("{{ image: \"{name}\" }}"))], "");

    let stranger = Keyring::new(None, None);
    let images = resolve::images(&project, &shop.engine, &stranger).await;
    let why = images["web"].clone().unwrap_err();
    assert!(
        why.contains("nobody is logged in") && why.contains(&shop.registry),
        "{why}"
    );
    let wrong = Credentials {
        password: Secret::new("hunter2"),
        ..key()
    };
    let wrong = Keyring::new(None, None).with(&shop.registry, wrong);
    let images = resolve::images(&project, &shop.engine, &wrong).await;
    let why = images["web"].clone().unwrap_err();
    assert!(
        !why.contains("hunter2") && why.contains(&shop.registry),
        "{why}"
    );

    let keys = shop.logged_in();
    let images = resolve::images(&project, &shop.engine, &keys).await;
    let image: ImageRef = images["web"].clone().unwrap().pinned().parse().unwrap();
    assert!(image.as_str().ends_with(&pushed));
    let mut pull = Pull {
        image: image.clone(),
        credentials: None,
        platform: None,
    };
    assert!(shop.engine.pull_image(&pull, |_| {}).await.is_err());
    pull.credentials = keys.of(&image).await.unwrap();
    shop.engine.pull_image(&pull, |_| {}).await.unwrap();
    assert!(
        if_found(shop.engine.inspect_image(&image).await)
            .unwrap()
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_read_and_all_that_is_wrong_is_told_at_once() {
    let Some(shop) = Shop::start().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs_err::write(path("good"), "hunter2").unwrap();
    fs_err::write(path("large"), vec![0; (1 << 20) + 1]).unwrap();
    let more = format!(
        "secrets:\n  good: {{ file: {} }}\n  gone: {{ file: {} }}\nconfigs:\n  large: {{ file: {} }}\n  \
         folder: {{ file: {} }}\n  inline: {{ content: hello }}\n",
        path("good"),
        path("gone"),
        path("large"),
        folder.path().display()
    );
    let lines = "{ image: \"nothing:1\", pull_policy: never, secrets: [good, gone], configs: [large, folder, inline] }";
    let project = project(&[("web", lines)], &more);
    let asked = Asked {
        environment: "prod".parse().unwrap(),
        label: None,
        values: BTreeMap::new(),
    };
    let draft = resolve::draft(&project, asked, &shop.engine, &Keyring::new(None, None)).await;
    let problems: Vec<String> = draft.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 4, "{problems:#?}");
    for says in [
        "nothing:1",
        "larger than 1 MiB",
        "it is no file",
        "gone` cannot be read",
    ] {
        assert!(
            problems.iter().any(|problem| problem.contains(says)),
            "{says}: {problems:#?}"
        );
    }
    assert!(!format!("{draft:?}").contains("hunter2"));
}
