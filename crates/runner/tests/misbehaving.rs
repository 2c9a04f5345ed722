//! A server that is away, forgets, refuses or changes its mind: no job and no line is lost.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use axum::http::StatusCode;
use runner_api::JobState;
use support::{AtWork, PatchFault, Server, job};

/// Says three lines, the next only when the file of its number is there.
fn slowly(folder: &std::path::Path) -> String {
    let folder = folder.display();
    format!(
        "for i in 1 2 3; do echo line $i; while [ ! -e {folder}/go$i ]; do sleep 0.02; done; done"
    )
}

fn go(runner: &AtWork, number: u32) {
    fs_err::write(runner.folder.path().join(format!("go{number}")), "").unwrap();
}

fn assert_whole(seen: &support::Seen) {
    let log = seen.text();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("line "))
        .collect();
    assert_eq!(lines, ["line 1", "line 2", "line 3"], "{log}");
    assert!(log.ends_with("Job succeeded\u{1b}[0;m\n"), "{log}");
    let end = seen.end.as_ref().unwrap();
    assert_eq!(end.state, JobState::Success);
    assert_eq!(
        end.checksum,
        Some(format!("crc32:{:08x}", crc32fast::hash(&seen.log)))
    );
}

#[tokio::test]
async fn a_server_that_dies_and_comes_back_gets_the_whole_log() {
    let mut server = Server::start();
    let runner = AtWork::start(&server);
    server.give(job(1, &[&slowly(runner.folder.path())]));
    server
        .until(1, "line 1", |seen| seen.text().contains("line 1\n"))
        .await;
    server.down();
    go(&runner, 1);
    go(&runner, 2);
    go(&runner, 3);
    tokio::time::sleep(Duration::from_millis(700)).await;
    server.up();
    assert_whole(&server.ended(1).await);
    server.give(job(2, &["echo next"]));
    assert_eq!(server.ended(2).await.end.unwrap().state, JobState::Success);
}

#[tokio::test]
async fn every_fault_of_the_log_is_mended() {
    for (name, faults) in [
        (
            "errors",
            vec![PatchFault::Status(StatusCode::INTERNAL_SERVER_ERROR); 3],
        ),
        (
            "too many",
            vec![PatchFault::Status(StatusCode::TOO_MANY_REQUESTS)],
        ),
        (
            "forgets all",
            vec![PatchFault::TakeOnly(1000), PatchFault::Forget(0)],
        ),
        (
            "forgets a part",
            vec![PatchFault::TakeOnly(1000), PatchFault::Forget(7)],
        ),
        (
            "takes a part",
            vec![PatchFault::TakeOnly(3), PatchFault::TakeOnly(5)],
        ),
        ("takes nothing", vec![PatchFault::TakeOnly(0)]),
    ] {
        let server = Server::start();
        server.known().patch_faults.extend(faults);
        let runner = AtWork::start(&server);
        server.give(job(1, &[&slowly(runner.folder.path())]));
        for number in 1..=3 {
            let line = format!("line {number}\n");
            server
                .until(1, name, |seen| seen.text().contains(&line))
                .await;
            go(&runner, number);
        }
        assert_whole(&server.ended(1).await);
    }
}

#[tokio::test]
async fn the_final_state_is_reported_until_it_is_taken() {
    let server = Server::start();
    server.known().put_faults.extend([
        StatusCode::ACCEPTED,
        StatusCode::ACCEPTED,
        StatusCode::PRECONDITION_FAILED,
        StatusCode::BAD_GATEWAY,
    ]);
    let runner = AtWork::start(&server);
    (1..=3).for_each(|number| go(&runner, number));
    server.give(job(1, &[&slowly(runner.folder.path())]));
    let seen = server.ended(1).await;
    assert_whole(&seen);
    assert_eq!(seen.updates.len(), 5);
    let first = seen.parts.iter().filter(|(_, offset)| *offset == 0).count();
    assert!(first >= 2, "after 412 the log is sent anew");
}

#[tokio::test]
async fn a_server_that_never_likes_the_checksum_still_hears_the_result() {
    let server = Server::start();
    server
        .known()
        .put_faults
        .extend([StatusCode::PRECONDITION_FAILED; 4]);
    let _runner = AtWork::start(&server);
    server.give(job(1, &["exit 3"]));
    let end = server.ended(1).await.end.unwrap();
    assert_eq!((end.exit_code, end.checksum), (Some(3), None));
}

#[tokio::test]
async fn a_job_that_the_server_forgot_is_stopped() {
    let server = Server::start();
    let runner = AtWork::start(&server);
    server.give(job(1, &["echo begun", "sleep 300"]));
    server
        .until(1, "begun", |seen| seen.text().contains("\nbegun\n"))
        .await;
    server.known().status = Some("failed");
    server.ended(1).await;
    server.known().status = None;
    server.give(job(2, &["echo next"]));
    assert_eq!(server.ended(2).await.end.unwrap().state, JobState::Success);
    drop(runner);
}

#[tokio::test]
async fn a_quiet_job_gives_signs_of_life() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    server.give(job(1, &["sleep 2.5"]));
    let seen = server.ended(1).await;
    assert!(seen.signs_of_life >= 1, "{}", seen.signs_of_life);
}

#[tokio::test]
async fn a_server_that_errs_is_asked_again_soon() {
    let server = Server::start();
    server
        .known()
        .request_answers
        .extend([StatusCode::INTERNAL_SERVER_ERROR; 3]);
    server
        .known()
        .request_answers
        .extend([StatusCode::FORBIDDEN; 2]);
    let _runner = AtWork::start(&server);
    server.give(job(1, &["echo hello"]));
    server.ended(1).await;
}

#[tokio::test]
async fn the_queues_cursor_is_sent_back() {
    let server = Server::start();
    server.known().impatient = true;
    let _runner = AtWork::start(&server);
    server
        .until(0, "asked twice", |_| server.requests() >= 2)
        .await;
    let known = server.known();
    assert_eq!(known.requests[0].last_update, "");
    assert_eq!(known.requests[1].last_update, "cursor-1");
    assert_eq!(known.requests[1].info.executor, "shell");
}

#[tokio::test]
async fn registration() {
    let server = Server::start();
    let by_registration = support::registration(&server.url, "GR1348941abc");
    let runner = runner::register(&by_registration).await.unwrap();
    assert_eq!(
        (runner.id, runner.token.expose()),
        (5, "given-for-shell+prod01")
    );
    let by_runner_token = support::registration(&server.url, "glrt-abc");
    let runner = runner::register(&by_runner_token).await.unwrap();
    assert_eq!((runner.id, runner.token.expose()), (6, "glrt-abc"));
    runner::verify(&runner).await.unwrap();
    runner::unregister(&runner).await.unwrap();
    server.known().refuse_tokens = true;
    assert!(runner::verify(&runner).await.is_err());
    let error = runner::register(&by_registration)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("403") && error.contains("invalid token supplied"),
        "{error}"
    );
}

#[tokio::test]
async fn two_processes_cannot_work_with_one_registration() {
    let server = Server::start();
    let runner = AtWork::start(&server);
    let config = support::config(&server.url, runner.folder.path());
    let second = runner::Config {
        runners: vec![config],
    };
    let error = runner::Runner::new(second, runner::Shutdown::default()).unwrap_err();
    assert!(error.to_string().contains("is at work already"), "{error}");
}
