//! A service's own pipeline: built once, then brought to the test host and to the production host
//! over SSH, with the seed's own `.gitlab-ci.yml` byte for byte, then with the example's; and what
//! goes wrong on the way.
//!
//! The service is the example's mail server. A mail must arrive, and be there after each deploy.

mod cast;
mod mistakes;

use std::path::{Path, PathBuf};

use crate::laptop::example;
use cast::{Flow, PROD, PROJECT, TEST};

const JOBS: [&str; 3] = ["build", "test", "prod"];

#[tokio::test]
async fn a_service_goes_to_test_and_to_production_over_ssh() {
    let _beside = crate::beside_others().await;
    if !crate::has_root() {
        return;
    }
    let known_hosts = own_known_hosts();
    let mut flow = Flow::set().await;
    the_seeds_own_file(&flow).await;
    the_examples_own_file(&mut flow).await;
    mistakes::tell(&flow).await;
    flow.no_secret_is_in_a_log().await;
    flow.no_agent_is_left();
    assert_eq!(own_known_hosts(), known_hosts, "this machine's own file");
}

/// Nothing of it is ours but the base image's name: `FROM debian:jessie` cannot be pulled.
async fn the_seeds_own_file(flow: &Flow) {
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/seed/exim4");
    let Ok(file) = fs_err::read_to_string(seed.join(".gitlab-ci.yml")) else {
        eprintln!("skipped: ../shared/seed is not there; the example's own file is tried");
        return;
    };
    let dockerfile = fs_err::read_to_string(example().join("exim4/Dockerfile")).unwrap();
    let base = "ARG BASE\n";
    assert!(dockerfile.contains(base), "{dockerfile}");
    let repository = &flow.repository;
    repository.write(
        "Dockerfile",
        &dockerfile.replace(base, "ARG BASE=debian:jessie\n"),
    );
    repository.commit_ci(&file, "the seed").await;
    flow.push().await.succeeds().await;
    flow.mail_arrives(PROD, "by the seed").await;
    flow.nothing_runs_for_a_branch().await;
    repository.write("Dockerfile", &dockerfile);
}

/// The second deploy, with a registry's password from a variable.
async fn the_examples_own_file(flow: &mut Flow) {
    let file = fs_err::read_to_string(example().join("exim4/.gitlab-ci.yml")).unwrap();
    flow.repository.commit_ci(&file, "the example").await;
    flow.set_registry_password().await;
    let pipeline = flow.push().await;
    pipeline.succeeds().await;
    let stage = &flow.stage;
    stage.ran_in_order(PROJECT, pipeline.id, &JOBS).await;
    for host in [TEST, PROD] {
        flow.mail_arrives(host, "by the example").await;
    }
    flow.nothing_runs_for_a_branch().await;
}

/// The file that the jobs would write if they ran on this machine.
fn own_known_hosts() -> Option<String> {
    let home = PathBuf::from(std::env::var_os("HOME")?);
    fs_err::read_to_string(home.join(".ssh/known_hosts")).ok()
}
