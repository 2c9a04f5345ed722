//! Jobs that wait, fail, run too long, are cancelled, retried, and run side by side.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::lotse::RunnerSetup;

use crate::{lines_after, serve};

#[tokio::test]
async fn a_job_whose_tags_no_runner_has_says_so_and_starts_when_one_registers() {
    let lotse = serve().await;
    let ci = "
anywhere: {script: [echo here]}
deploy: {tags: [prod01, docker], script: [echo deployed]}
";
    let (_repository, id) = lotse.pushed("site/web", ci).await;
    let _without_tags = lotse.runner(&[]).await;
    let _with_one = lotse.runner(&["prod01"]).await;
    // two runners are there, and work, but neither may take the second job
    let waiting = lotse
        .pipeline_when("site/web", id, |now| {
            now.job_status("anywhere") == "success"
        })
        .await;
    assert_eq!(waiting.job_status("deploy"), "pending");
    let reason = "no runner has the tags prod01, docker: it starts as soon as one registers";
    let pending = waiting.job("deploy")["pending_reason"].as_str().unwrap();
    assert!(pending.starts_with(reason), "{pending}");

    let browser = lotse.browser().await;
    let job = waiting.job_id("deploy");
    for page in [format!("jobs/{job}"), format!("pipelines/{id}")] {
        let html = browser.page(&format!("/site/web/-/{page}")).await;
        assert!(html.contains(reason), "{html}");
    }
    let show = ["pipeline", "show", "--project", "site/web"];
    let shown = lotse.run(&show).await;
    assert_eq!(shown.code, 0, "{}", shown.text());
    assert!(shown.stdout.contains(reason), "{}", shown.stdout);
    assert_eq!(waiting.job("anywhere")["pending_reason"], Value::Null);

    let _with_both = lotse.runner(&["docker", "prod01", "more"]).await;
    let done = lotse.finished("site/web", id).await;
    assert_eq!(done.summary(), "success: anywhere success, deploy success");
    let shown = lotse.run(&show).await;
    assert!(!shown.stdout.contains("no runner"), "{}", shown.stdout);
}

#[tokio::test]
async fn a_failing_command_fails_its_job_and_what_comes_after_and_a_fix_goes_through() {
    let lotse = serve().await;
    let _runner = lotse.runner(&["shell"]).await;
    let ci = |command: &str| {
        format!(
            "
stages: [build, deploy]
default: {{tags: [shell]}}
build:
  stage: build
  before_script: ['echo prepared in $CI_JOB_STAGE', 'HERE=shared']
  script: ['echo $HERE shell', '{command}', 'echo not reached when it fails']
  after_script: ['echo cleaning up after $CI_JOB_STATUS', 'exit 9']
deploy: {{stage: deploy, script: ['echo deployed']}}
"
        )
    };
    let (repository, id) = lotse.pushed("site/web", &ci("sh -c \"exit 7\"")).await;
    let failed = lotse.finished("site/web", id).await;
    assert_eq!(failed.summary(), "failed: build failed, deploy skipped");
    let build = failed.job("build");
    assert_eq!(build["exit_code"], 7);
    assert_eq!(build["failure_reason"], "script_failure");
    let log = lotse.log("site/web", failed.job_id("build")).await;
    let output = lines_after(&log, "$ ");
    assert_eq!(
        output,
        [
            "prepared in build",
            "shared shell",
            "cleaning up after failed"
        ],
        "{log}"
    );
    assert!(log.contains("ERROR: Job failed: exit status 7"), "{log}");
    let page = format!("/site/web/-/jobs/{}", failed.job_id("build"));
    let html = lotse.browser().await.page(&page).await;
    assert!(html.contains("exit code 7"), "{html}");

    repository.commit_ci(&ci("true"), "mended").await;
    let pushed = repository.push(&["main"]).await;
    assert!(pushed.ok, "{}", pushed.text);
    let mended = lotse.finished("site/web", pushed.pipeline().unwrap()).await;
    assert_eq!(mended.summary(), "success: build success, deploy success");
    let log = lotse.log("site/web", mended.job_id("build")).await;
    assert!(log.contains("cleaning up after success"), "{log}");
    assert!(log.contains("Job succeeded"), "{log}");
}

#[tokio::test]
async fn a_cancelled_job_cleans_up_and_can_be_retried() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let marker = lotse.data().join("../may-end");
    let ci = format!(
        "
stages: [build, deploy]
build:
  stage: build
  script: ['echo begun', 'until [ -e {} ]; do sleep 0.05; done', 'echo ended']
  after_script: ['echo after: $CI_JOB_STATUS']
deploy: {{stage: deploy, script: ['echo deployed']}}
",
        marker.display()
    );
    let (_repository, id) = lotse.pushed("site/web", &ci).await;
    let job = lotse.pipeline("site/web", id).await.job_id("build");
    lotse
        .log_when("site/web", job, |log| log.contains("\nbegun"))
        .await;
    let cancel = format!("/projects/site%2Fweb/jobs/{job}/cancel");
    lotse.post(&cancel, &json!({})).await;
    let cancelled = lotse.finished("site/web", id).await;
    assert_eq!(
        cancelled.summary(),
        "canceled: build canceled, deploy skipped"
    );
    let log = lotse.log("site/web", job).await;
    assert!(log.contains("\nafter: canceled"), "{log}");
    assert!(!log.contains("\nended"), "{log}");
    let again = lotse.ask(lotse.request(Method::POST, &cancel)).await;
    assert_eq!(again.status, 403, "{again:?}");

    fs_err::write(&marker, "").unwrap();
    let retried = lotse
        .run(&["job", "retry", "build", "--project", "site/web"])
        .await;
    assert_eq!(retried.code, 0, "{}", retried.text());
    let done = lotse.finished("site/web", id).await;
    assert_eq!(done.summary(), "success: build success, deploy success");
    assert_ne!(done.job_id("build"), job, "an attempt of its own");
    assert_eq!(done.job("build")["attempt"], 2);
    // what the first attempt wrote is still there
    assert_eq!(lotse.log("site/web", job).await, log);
    let all = format!("/projects/site%2Fweb/pipelines/{id}/jobs?include_retried=true");
    assert_eq!(lotse.get(&all).await.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_job_that_takes_longer_than_it_may_is_ended() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let ci =
        "slow: {timeout: 1 second, script: [echo begun, sleep 600], after_script: [echo after]}";
    let (_repository, id) = lotse.pushed("site/web", ci).await;
    let ended = lotse.finished("site/web", id).await;
    assert_eq!(ended.summary(), "failed: slow failed");
    assert_eq!(ended.job("slow")["failure_reason"], "job_execution_timeout");
    let log = lotse.log("site/web", ended.job_id("slow")).await;
    assert!(log.contains("\nbegun"), "{log}");
}

#[tokio::test]
async fn thirty_jobs_run_once_each_however_many_runners_ask() {
    let lotse = serve().await;
    let ran = lotse.data().join("../ran");
    let script = format!("echo $CI_JOB_ID $CI_RUNNER_ID >> {}", ran.display());
    let ci = format!("many: {{parallel: 30, script: ['{script}']}}");
    let one_at_a_time = RunnerSetup {
        concurrent: 1,
        ..RunnerSetup::default()
    };
    let first = lotse.runner(&[]).await;
    let second = lotse.runner_with(&one_at_a_time).await;
    let third = lotse.runner_with(&one_at_a_time).await;
    let (_repository, id) = lotse.pushed("site/web", &ci).await;
    let done = lotse.finished("site/web", id).await;
    assert_eq!(done.status(), "success", "{}", done.summary());
    let text = fs_err::read_to_string(ran).unwrap();
    let mut jobs: Vec<i64> = Vec::new();
    for line in text.lines() {
        let (job, runner) = line.split_once(' ').unwrap();
        assert!([first.id, second.id, third.id].contains(&runner.parse().unwrap()));
        jobs.push(job.parse().unwrap());
    }
    jobs.sort_unstable();
    let mut expected: Vec<i64> = done
        .jobs
        .iter()
        .map(|job| job["id"].as_i64().unwrap())
        .collect();
    expected.sort_unstable();
    assert_eq!(expected.len(), 30);
    assert_eq!(jobs, expected);
}

#[tokio::test]
async fn a_paused_runner_takes_nothing_and_goes_on_when_it_is_resumed() {
    let lotse = serve().await;
    let runner = lotse.runner(&[]).await;
    let _other = lotse.runner(&["other"]).await;
    let ci = "
paused: {script: [echo ran]}
free: {tags: [other], script: [echo ran]}
";
    // both wait for work when the one is paused
    let (repository, first) = lotse.pushed("site/web", ci).await;
    lotse.finished("site/web", first).await;
    let path = format!("/runners/{}", runner.id);
    let set = async |paused: bool| {
        let body = json!({ "paused": paused });
        let answer = lotse
            .ask(lotse.request(Method::PUT, &path).json(&body))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    set(true).await;
    repository.commit("again").await;
    let id = repository.push(&["main"]).await.pipeline().unwrap();
    let now = lotse
        .pipeline_when("site/web", id, |now| now.job_status("free") == "success")
        .await;
    assert_eq!(now.job_status("paused"), "pending");
    assert_eq!(
        now.job("paused")["pending_reason"],
        "every runner that takes jobs without tags is paused"
    );
    set(false).await;
    let done = lotse.finished("site/web", id).await;
    assert_eq!(done.status(), "success");
}

#[tokio::test]
async fn a_log_is_followed_while_it_is_written_and_from_where_it_broke_off() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let go_on = lotse.data().join("../go-on");
    let ci = format!(
        "slow: {{script: [echo ä-one, 'until [ -e {} ]; do sleep 0.05; done', echo two-ß]}}",
        go_on.display()
    );
    let (_repository, id) = lotse.pushed("site/web", &ci).await;
    let job = lotse.pipeline("site/web", id).await.job_id("slow");

    let mut seen = String::new();
    let mut last = None;
    let mut events = lotse.follow_job("site/web", job, None).await;
    while !seen.contains("\nä-one") {
        let event = events.next().await.expect("the job is not over");
        if event.name == "log" {
            seen.push_str(&serde_json::from_str::<String>(&event.data).unwrap());
            last = event.id;
        }
    }
    assert_eq!(
        lotse.pipeline("site/web", id).await.job_status("slow"),
        "running"
    );
    drop(events);
    fs_err::write(&go_on, "").unwrap();
    let done = lotse.finished("site/web", id).await;
    assert_eq!(done.status(), "success");

    let mut names = Vec::new();
    let mut events = lotse.follow_job("site/web", job, last.as_deref()).await;
    while let Some(event) = events.next().await {
        if event.name == "log" {
            seen.push_str(&serde_json::from_str::<String>(&event.data).unwrap());
        }
        names.push(event.name);
    }
    assert_eq!(names, ["status", "log", "end"]);
    assert_eq!(seen, lotse.log("site/web", job).await);
    assert_eq!(lines_after(&seen, "$ "), ["ä-one", "two-ß"], "{seen}");

    let followed = lotse
        .run(&[
            "job",
            "log",
            "-f",
            "--raw",
            &job.to_string(),
            "--project",
            "site/web",
        ])
        .await;
    assert_eq!((followed.code, followed.stdout), (0, seen));
}

#[tokio::test]
async fn what_was_a_deleted_projects_is_nobody_elses() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let ci = "say: {script: ['echo the secret of one'], artifacts: {paths: [a.txt]}, before_script: ['echo x > a.txt']}";
    let (_repository, id) = lotse.pushed("one/web", ci).await;
    let done = lotse.finished("one/web", id).await;
    let job = done.job_id("say");
    assert_eq!(done.status(), "success");
    let log = lotse.data().join(format!("logs/0/{job}.log"));
    let archive = lotse.data().join(format!("artifacts/{job}/archive"));
    assert!(log.exists() && archive.exists());
    let delete = lotse.request(Method::DELETE, "/projects/one%2Fweb");
    assert_eq!(lotse.ask(delete).await.status, 202);
    assert!(!log.exists() && !archive.exists());

    // what a crash has left goes at the next start
    fs_err::write(&log, "the secret of one").unwrap();
    lotse.kill();
    lotse.start_again().await;
    let waiting = "wait: {tags: [nobody], script: [x]}";
    let (_repository, other) = lotse.pushed("two/web", waiting).await;
    let waits = lotse.pipeline("two/web", other).await;
    assert!(
        other > id && waits.job_id("wait") > job,
        "{other}, {waits:?}"
    );
    assert_eq!(lotse.log("two/web", waits.job_id("wait")).await, "");
    let deadline = std::time::Instant::now() + testkit::lotse::PATIENCE;
    while log.exists() {
        assert!(
            std::time::Instant::now() < deadline,
            "the log is still there"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
