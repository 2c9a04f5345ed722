//! Jobs from the server's answer to its receipt: what the log shows, how they end.

mod support;

use std::time::{Duration, Instant};

use runner_api::JobState;
use support::{AtWork, Server, job, masked, variable, with_after_script};

#[tokio::test]
async fn a_job_that_goes_well() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    server.give(job(1, &["echo hello", "echo $((6*7))"]));
    let seen = server.ended(1).await;
    let log = seen.text();
    assert!(log.contains("$ echo hello\u{1b}[0;m\nhello\n"), "{log}");
    assert!(log.contains("\n42\n"), "{log}");
    assert!(log.ends_with("Job succeeded\u{1b}[0;m\n"), "{log}");
    let end = seen.end.unwrap();
    assert_eq!(end.state, JobState::Success);
    assert_eq!(end.exit_code, Some(0));
    assert_eq!(end.bytesize, Some(seen.log.len() as u64));
    assert_eq!(
        end.checksum,
        Some(format!("crc32:{:08x}", crc32fast::hash(&seen.log)))
    );
}

#[tokio::test]
async fn a_failing_command_fails_the_job_with_its_exit_code_and_after_script_runs() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    let script = ["echo before", "(exit 3)", "echo never"];
    let after = ["echo after: $CI_JOB_STATUS", "false"];
    server.give(with_after_script(job(1, &script), &after));
    let seen = server.ended(1).await;
    let log = seen.text();
    assert!(log.contains("before\n"), "{log}");
    assert!(!log.contains("never"), "{log}");
    assert!(log.contains("after: failed\n"), "{log}");
    assert!(
        log.contains("after_script failed, but job will continue unaffected"),
        "{log}"
    );
    assert!(log.contains("ERROR: Job failed: exit status 3"), "{log}");
    let end = seen.end.unwrap();
    assert_eq!(end.state, JobState::Failed);
    assert_eq!(end.failure_reason.as_deref(), Some("script_failure"));
    assert_eq!(end.exit_code, Some(3));
}

#[tokio::test]
async fn after_script_is_a_shell_of_its_own_and_does_not_fail_the_job() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    let after = ["echo status=$CI_JOB_STATUS own=$OWN", "exit 7"];
    server.give(with_after_script(job(1, &["export OWN=1"]), &after));
    let seen = server.ended(1).await;
    assert!(
        seen.text().contains("status=success own=\n"),
        "{}",
        seen.text()
    );
    assert_eq!(seen.end.unwrap().state, JobState::Success);
}

#[tokio::test]
async fn output_is_seen_while_the_job_runs() {
    let server = Server::start();
    let runner = AtWork::start(&server);
    let go = runner.folder.path().join("go");
    let wait = format!(
        "echo waiting; while [ ! -e {} ]; do sleep 0.02; done",
        go.display()
    );
    server.give(job(1, &[&wait]));
    server
        .until(1, "waiting", |seen| seen.text().contains("\nwaiting\n"))
        .await;
    fs_err::write(go, "").unwrap();
    assert_eq!(server.ended(1).await.end.unwrap().state, JobState::Success);
}

#[tokio::test]
async fn a_script_has_no_input_and_pipes_count() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    server.give(job(1, &["cat", "echo read nothing", "false | true"]));
    let seen = server.ended(1).await;
    assert!(seen.text().contains("read nothing"), "{}", seen.text());
    assert_eq!(
        seen.end.unwrap().exit_code,
        Some(1),
        "pipefail, as bash has it"
    );
}

#[tokio::test]
async fn plain_sh_does() {
    let server = Server::start();
    let _runner = AtWork::with(&server, |config| config.shell = Some("sh".into()));
    server.give(job(
        1,
        &["echo \"it's ${BASH_VERSION:-no bash}\"", "exit 4"],
    ));
    let seen = server.ended(1).await;
    assert_eq!(seen.end.unwrap().exit_code, Some(4));
}

#[tokio::test]
async fn a_path_with_nothing_but_sh() {
    let server = Server::start();
    let bin = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/sh", bin.path().join("sh")).unwrap();
    let path = bin.path().display().to_string();
    let _runner = AtWork::with(&server, |config| {
        config.environment.insert("PATH".into(), path);
        config.shell = Some("sh".into());
    });
    server.give(job(1, &["echo only sh", "nosuchcommand"]));
    let seen = server.ended(1).await;
    assert!(seen.text().contains("\nonly sh\n"), "{}", seen.text());
    assert_eq!(seen.end.unwrap().exit_code, Some(127));
}

#[tokio::test]
async fn variables_files_and_places() {
    let server = Server::start();
    let runner = AtWork::start(&server);
    let mut given = job(
        1,
        &[
            "echo tag=$TAG_PROD raw=$RAW",
            "echo key=$(cat $KEY) mode=$(stat -c %a $KEY)",
            "echo dir=$CI_PROJECT_DIR pwd=$PWD server=$CI_SERVER status=$CI_JOB_STATUS",
            "echo token=$CI_JOB_TOKEN | cut -c1-9",
            "echo leaked=${CARGO_MANIFEST_DIR:-nothing}",
        ],
    );
    given.variables.push(variable("TAG_PROD", "$CI_COMMIT_TAG"));
    given.variables.push(variable("CI_COMMIT_TAG", "v1.0.0"));
    given.variables.push(variable("RAW", "$CI_COMMIT_TAG"));
    given.variables.last_mut().unwrap().raw = true;
    given
        .variables
        .push(variable("KEY", "content of $CI_COMMIT_TAG"));
    given.variables.last_mut().unwrap().file = true;
    server.give(given);
    let log = server.ended(1).await.text();
    let project = runner.project().display().to_string();
    for line in [
        "tag=v1.0.0 raw=$CI_COMMIT_TAG",
        "key=content of v1.0.0 mode=600",
        &format!("dir={project} pwd={project} server=yes status=running"),
        "token=job",
        "leaked=nothing",
    ] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    let temporary = format!("{project}.tmp");
    assert!(
        !std::path::Path::new(&temporary).exists(),
        "secrets stay on the disk"
    );
}

#[tokio::test]
async fn secrets_are_masked_across_writes() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    let mut given = job(
        1,
        &[
            "printf 'a hunter2'; sleep 0.3; printf 'secret b\\n'",
            "echo $CI_JOB_TOKEN",
            "echo \"$PEM\"",
        ],
    );
    given.variables.push(masked("PASSWORD", "hunter2secret"));
    given.variables.push(masked(
        "PEM",
        "-----BEGIN KEY-----\nAAAABBBBCCCC\n-----END KEY-----\n",
    ));
    server.give(given);
    let log = server.ended(1).await.text();
    assert!(log.contains("a [MASKED] b\n"), "{log}");
    for secret in ["hunter2secret", "job-token-1-", "AAAABBBBCCCC"] {
        assert!(!log.contains(secret), "{secret} is in\n{log}");
    }
}

#[tokio::test]
async fn what_stays_in_the_background_does_not_hold_the_job_and_is_ended() {
    let server = Server::start();
    let runner = AtWork::start(&server);
    let pids = runner.folder.path().join("pids");
    let script = format!(
        "sleep 300 & echo $! >> {pids}; (setsid sleep 300 & echo $! >> {pids}) ; echo started",
        pids = pids.display()
    );
    let begin = Instant::now();
    server.give(job(1, &[&script]));
    let seen = server.ended(1).await;
    assert_eq!(seen.end.unwrap().state, JobState::Success);
    assert!(begin.elapsed() < Duration::from_secs(20));
    for pid in fs_err::read_to_string(pids).unwrap().lines() {
        assert!(is_gone(pid), "process {pid} is still there");
    }
}

/// Gone, or waiting to be buried.
fn is_gone(pid: &str) -> bool {
    match fs_err::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    }
}

#[tokio::test]
async fn the_seeds_ssh_agent() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    server.give(job(
        1,
        &[
            "eval $(ssh-agent -s)",
            "ssh-add -l || true",
            "echo agent $SSH_AGENT_PID.",
        ],
    ));
    let seen = server.ended(1).await;
    let log = seen.text();
    assert_eq!(seen.end.unwrap().state, JobState::Success);
    let (_, pid) = log.split_once("\nagent ").expect("the agent's number");
    let pid = pid.split('.').next().unwrap();
    assert!(is_gone(pid), "the agent {pid} is still there");
}

#[tokio::test]
async fn cancel_stops_the_script_and_after_script_runs() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    let given = job(1, &["echo begun", "sleep 300", "echo never"]);
    server.give(with_after_script(given, &["echo after: $CI_JOB_STATUS"]));
    server
        .until(1, "begun", |seen| seen.text().contains("\nbegun\n"))
        .await;
    let begin = Instant::now();
    server.known().status = Some("canceling");
    let seen = server.ended(1).await;
    assert!(
        // Before it would be killed.
        begin.elapsed() < Duration::from_secs(9),
        "{:?}",
        begin.elapsed()
    );
    let log = seen.text();
    assert!(log.contains("after: canceled\n"), "{log}");
    assert!(log.contains("ERROR: Job failed: canceled"), "{log}");
    assert!(!log.contains("never"), "{log}");
}

#[tokio::test]
async fn a_canceled_job_stops_at_once() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    let given = job(1, &["echo begun", "sleep 300"]);
    server.give(with_after_script(given, &["echo after"]));
    server
        .until(1, "begun", |seen| seen.text().contains("\nbegun\n"))
        .await;
    server.known().status = Some("canceled");
    let seen = server.ended(1).await;
    assert!(!seen.text().contains("\nafter\n"), "{}", seen.text());
}

#[tokio::test]
async fn a_job_that_takes_too_long() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    let mut given = job(1, &["echo begun", "sleep 300"]);
    given.runner_info.timeout = 1;
    server.give(with_after_script(given, &["echo after"]));
    let seen = server.ended(1).await;
    let log = seen.text();
    assert!(
        log.contains("ERROR: Job failed: execution took longer than 1s"),
        "{log}"
    );
    assert!(!log.contains("\nafter\n"), "{log}");
    assert_eq!(
        seen.end.unwrap().failure_reason.as_deref(),
        Some("job_execution_timeout")
    );
}

#[tokio::test]
async fn a_script_that_takes_too_long_leaves_time_for_after_script() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    let mut given = job(1, &["sleep 300"]);
    given
        .variables
        .push(variable("RUNNER_SCRIPT_TIMEOUT", "1s"));
    server.give(with_after_script(given, &["echo after: $CI_JOB_STATUS"]));
    let seen = server.ended(1).await;
    assert!(seen.text().contains("\nafter: failed\n"), "{}", seen.text());
    assert_eq!(
        seen.end.unwrap().failure_reason.as_deref(),
        Some("job_execution_timeout")
    );
}

#[tokio::test]
async fn a_log_beyond_its_limit_is_cut_and_says_so() {
    let server = Server::start();
    let _runner = AtWork::with(&server, |config| config.output_limit_kib = 16);
    server.give(job(
        1,
        &["head -c 1000000 /dev/zero | tr '\\0' y", "echo the end"],
    ));
    let seen = server.ended(1).await;
    let log = seen.text();
    assert!(seen.log.len() < 20_000, "{}", seen.log.len());
    assert!(
        log.contains("Job's log exceeded limit of 16384 bytes"),
        "{log}"
    );
    assert!(log.ends_with("Job succeeded\u{1b}[0;m\n"), "{log}");
}

#[tokio::test]
async fn a_large_log_arrives_whole() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    server.give(job(1, &["seq 1 200000"]));
    let seen = server.ended(1).await;
    let log = seen.text();
    let numbers = log
        .lines()
        .filter(|line| line.parse::<u32>().is_ok())
        .count();
    assert_eq!(numbers, 200_000);
    assert_eq!(seen.end.unwrap().bytesize, Some(seen.log.len() as u64));
}

#[tokio::test]
async fn jobs_run_beside_each_other_up_to_the_limit() {
    let server = Server::start();
    let runner = AtWork::with(&server, |config| config.concurrent = 2);
    let meet = |own: &str, other: &str| {
        let folder = runner.folder.path().display();
        format!("touch {folder}/{own}; while [ ! -e {folder}/{other} ]; do sleep 0.02; done")
    };
    server.give(job(1, &[&meet("a", "b")]));
    server.give(job(2, &[&meet("b", "a")]));
    assert_eq!(server.ended(1).await.end.unwrap().state, JobState::Success);
    assert_eq!(server.ended(2).await.end.unwrap().state, JobState::Success);
}

#[tokio::test]
async fn a_variable_too_long_for_any_process_is_named() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    let mut given = job(1, &["echo never"]);
    given.variables.push(variable("HUGE", &"x".repeat(200_000)));
    server.give(given);
    let log = server.ended(1).await.text();
    assert!(
        log.contains("the variable HUGE is longer than a process can be given"),
        "{log}"
    );
}

#[tokio::test]
async fn draining_finishes_the_job_at_work_and_takes_no_other() {
    let server = Server::start();
    let mut runner = AtWork::start(&server);
    let go = runner.folder.path().join("go");
    let wait = format!(
        "echo waiting; while [ ! -e {} ]; do sleep 0.02; done",
        go.display()
    );
    server.give(job(1, &[&wait]));
    server
        .until(1, "waiting", |seen| seen.text().contains("\nwaiting\n"))
        .await;
    runner.shutdown.drain.cancel();
    server.give(job(2, &["echo never"]));
    fs_err::write(go, "").unwrap();
    tokio::time::timeout(support::PATIENCE, &mut runner.task)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(server.seen(1).end.unwrap().state, JobState::Success);
    assert!(server.seen(2).log.is_empty());
}

#[tokio::test]
async fn aborting_stops_the_job_and_says_so() {
    let server = Server::start();
    let mut runner = AtWork::start(&server);
    server.give(job(1, &["echo begun", "sleep 300"]));
    server
        .until(1, "begun", |seen| seen.text().contains("\nbegun\n"))
        .await;
    runner.shutdown.drain.cancel();
    runner.shutdown.abort.cancel();
    tokio::time::timeout(support::PATIENCE, &mut runner.task)
        .await
        .unwrap()
        .unwrap();
    let seen = server.seen(1);
    assert!(
        seen.text().contains("the runner was stopped"),
        "{}",
        seen.text()
    );
    assert_eq!(
        seen.end.unwrap().failure_reason.as_deref(),
        Some("runner_system_failure")
    );
}

#[tokio::test]
async fn sections_are_marked_for_a_server_that_folds_them() {
    let server = Server::start();
    let _runner = AtWork::start(&server);
    let mut given = with_after_script(job(1, &["echo hello"]), &["echo bye"]);
    given.features.trace_sections = true;
    server.give(given);
    let log = server.ended(1).await.text();
    for name in ["get_sources", "step_script", "after_script"] {
        let start = log.find(&format!(":{name}\r\u{1b}[0K\u{1b}[0K\u{1b}[36;1m"));
        let end = log
            .find(&format!(":{name}\r\u{1b}[0K"))
            .and(log.rfind(&format!(":{name}\r")));
        assert!(start.is_some() && start < end, "{name} in\n{log:?}");
    }
    assert_eq!(
        log.matches("section_start:").count(),
        log.matches("section_end:").count()
    );
}
