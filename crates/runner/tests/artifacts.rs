//! Artifacts: from the tree of one job to the server, and into the tree of the next.

mod support;

use axum::http::StatusCode;
use runner_api::{
    Artifact, ArtifactFormat, ArtifactsFile, Dependency, JobResponse, JobState, When,
};
use support::{AtWork, Server, job, variable};

fn artifact(paths: &[&str]) -> Artifact {
    Artifact {
        paths: paths.iter().map(|&path| path.to_owned()).collect(),
        ..Artifact::default()
    }
}

/// Job 1, which makes some files and keeps those.
fn maker(script: &[&str], artifacts: Vec<Artifact>) -> JobResponse {
    let mut job = job(1, script);
    job.artifacts = artifacts;
    job
}

fn taker(id: i64, script: &[&str]) -> JobResponse {
    let mut job = job(id, script);
    job.variables = vec![variable("GIT_STRATEGY", "empty")];
    job.dependencies.push(Dependency {
        id: 1,
        token: support::token(1).into(),
        name: "build".into(),
        artifacts_file: Some(ArtifactsFile {
            filename: "artifacts.zip".into(),
            size: 1,
        }),
    });
    job
}

#[tokio::test]
async fn what_one_job_makes_the_next_one_has() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    let make = [
        "mkdir -p out/deep",
        "echo made > out/deep/a.txt",
        "echo log > out/b.log; touch c",
    ];
    let mut kept = artifact(&["out/", "$NOTHING.missing"]);
    kept.name = Some("build-$CI_JOB_STATUS".into());
    kept.exclude = vec!["**/*.log".into()];
    kept.expire_in = Some("1 week".into());
    // The server loses its first answer.
    server
        .known()
        .artifact_faults
        .push_back(StatusCode::BAD_GATEWAY);
    server.give(maker(&make, vec![kept]));
    let seen = server.ended(1).await;
    let log = seen.text();
    assert_eq!(seen.end.unwrap().state, JobState::Success, "{log}");
    assert!(
        log.contains("out/: found 4 matching artifact files and directories"),
        "{log}"
    );
    assert!(
        log.contains("WARNING: $NOTHING.missing") || log.contains(".missing: no matching files"),
        "{log}"
    );
    {
        let known = server.known();
        let archive = &known.artifacts[&1][0];
        assert_eq!(archive.name, "build-success.zip");
        assert_eq!(
            archive.query,
            "artifact_format=zip&artifact_type=archive&expire_in=1+week"
        );
    }
    server.give(taker(2, &["cat out/deep/a.txt", "ls out", "test ! -e c"]));
    let seen = server.ended(2).await;
    let log = seen.text();
    assert_eq!(seen.end.unwrap().state, JobState::Success, "{log}");
    assert!(log.contains("\nmade\n") && !log.contains("b.log"), "{log}");
}

#[tokio::test]
async fn kept_by_outcome_and_in_other_forms() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    let on = |when, path: &str| Artifact {
        when,
        ..artifact(&[path])
    };
    let mut report = on(When::Always, "report.xml");
    report.artifact_type = "junit".into();
    report.artifact_format = ArtifactFormat::Gzip;
    let artifacts = vec![
        on(When::OnSuccess, "report.xml"),
        on(When::OnFailure, "report.xml"),
        report,
    ];
    server.give(maker(&["echo '<x/>' > report.xml", "exit 3"], artifacts));
    assert_eq!(server.ended(1).await.end.unwrap().exit_code, Some(3));
    let known = server.known();
    let names: Vec<&str> = known.artifacts[&1]
        .iter()
        .map(|a| a.name.as_str())
        .collect();
    assert_eq!(names, ["artifacts.zip", "junit.gz"]);
    assert_eq!(
        known.artifacts[&1][1].query,
        "artifact_format=gzip&artifact_type=junit"
    );
}

#[tokio::test]
async fn too_large_for_the_server_fails_the_job() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    server
        .known()
        .artifact_faults
        .push_back(StatusCode::PAYLOAD_TOO_LARGE);
    server.give(maker(&["echo x > a"], vec![artifact(&["a"])]));
    let seen = server.ended(1).await;
    assert!(
        seen.text().contains("larger than the server takes"),
        "{}",
        seen.text()
    );
    assert_eq!(seen.end.unwrap().state, JobState::Failed);
}

#[tokio::test]
async fn artifacts_that_are_gone_fail_the_job_that_needs_them() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    server.give(taker(2, &["echo never"]));
    let log = server.ended(2).await.text();
    assert!(
        log.contains("cannot download the artifacts build (have they expired"),
        "{log}"
    );
    assert!(!log.contains("never"), "{log}");
}
