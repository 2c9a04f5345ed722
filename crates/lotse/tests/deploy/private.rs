//! Images of a registry that wants a password: whoever deploys has one, hosts have none.

use std::process::Command;

use crate::private_registry::{self, PASSWORD, USER};
use crate::project::Said;
use crate::site::{self, Site, is_well};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_pull_with_the_login_of_whoever_deploys() {
    let Some(site) = Site::start(1).await else {
        return;
    };
    let images = tempfile::tempdir().unwrap();
    let registry = private_registry::serve(site.hosts[0].listen(), images.path());
    for version in ["v1", "v2", "v3"] {
        site.image(version, site::SERVES).await;
        push(&site, &registry, version);
    }
    let compose = format!(
        "services:\n  web:\n    image: {registry}/shop/web:${{TAG:?}}\n    stop_signal: SIGKILL\n    ports: ['8080:8080']\n"
    );
    site.project.write("compose.yml", &compose);
    let run = |tag, arguments: &[&str], login: &[(&str, &str)]| {
        let mut command = site.command(tag, arguments);
        Said::of(&command.envs(login.iter().copied()).output().unwrap())
    };

    let stranger = run("v1", &["deploy", "prod"], &[]).fails();
    for part in ["nobody is logged in", &registry] {
        assert!(stranger.contains(part), "{part:?} is missing: {stranger}");
    }
    let job = |password| {
        [
            ("CI_REGISTRY", registry.as_str()),
            ("CI_REGISTRY_USER", USER),
            ("CI_REGISTRY_PASSWORD", password),
        ]
    };
    let wrong = run("v1", &["deploy", "prod"], &job("hunter2")).fails();
    assert!(wrong.contains(&registry), "{wrong}");
    let mut said = wrong;

    said += &run("v1", &["deploy", "prod", "--json"], &job(PASSWORD)).succeeds();
    let folder = site.project.path().join("docker");
    login(&site, &registry, &folder);
    let logged_in = [("DOCKER_CONFIG", folder.to_str().unwrap())];
    for version in ["v2", "v3"] {
        said += &run(version, &["deploy", "prod"], &logged_in).succeeds();
    }
    let images = ["images", "--quiet", &format!("{registry}/shop/web")];
    let images = docker(&site, &images, &folder).output().unwrap();
    let left = String::from_utf8(images.stdout).unwrap();
    assert_eq!(left.lines().count(), 2, "that of v1 is gone: {left}");
    said += &run("v3", &["rollback", "prod", "v1"], &logged_in).succeeds();
    assert!(said.contains("release 1 (v1) serves"), "{said}");
    for secret in [PASSWORD, "hunter2"] {
        assert!(!said.contains(secret), "{secret} is told: {said}");
    }
}

/// Puts a version into the registry alone: the host keeps neither image nor login.
fn push(site: &Site, registry: &str, version: &str) {
    let folder = tempfile::tempdir().unwrap();
    login(site, registry, folder.path());
    let (local, name) = (
        format!("shop:{version}"),
        format!("{registry}/shop/web:{version}"),
    );
    for arguments in [
        &["tag", &local, &name][..],
        &["push", &name],
        &["rmi", &local, &name],
    ] {
        is_well(&docker(site, arguments, folder.path()).output().unwrap());
    }
}

fn login(site: &Site, registry: &str, folder: &std::path::Path) {
    let login = ["login", "-u", USER, "-p", PASSWORD, registry];
    is_well(&docker(site, &login, folder).output().unwrap());
}

/// The client with the host's engine, and its logins in this folder.
fn docker(site: &Site, arguments: &[&str], folder: &std::path::Path) -> Command {
    let mut docker = site.hosts[0].client("docker");
    docker.args(arguments).env("DOCKER_CONFIG", folder);
    docker
}
