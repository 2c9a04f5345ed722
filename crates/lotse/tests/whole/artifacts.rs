//! What jobs leave behind: for later jobs, for people, for child pipelines; until its time is over, and
//! whatever happens to the server while it comes.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use testkit::lotse::{Lotse, PATIENCE};

use crate::{lines_after, serve};

async fn status(lotse: &Lotse, method: Method, path: &str) -> u16 {
    lotse.ask(lotse.request(method, path)).await.status
}

#[tokio::test]
async fn what_a_job_made_reaches_later_jobs_and_people() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let ci = "
stages: [build, test]
build:
  stage: build
  script: ['mkdir -p out/deep', 'echo made in $CI_JOB_NAME > out/deep/file', 'echo VERSION=1.2.3 > build.env']
  artifacts: {name: result, paths: [out/], reports: {dotenv: build.env}}
other: {stage: build, script: ['echo more > other'], artifacts: {paths: [other]}}
all: {stage: test, script: ['cat out/deep/file other', 'echo v$VERSION']}
one: {stage: test, needs: [build], script: ['cat out/deep/file', 'ls other || echo v$VERSION']}
none: {stage: test, dependencies: [], script: ['ls out || echo v${VERSION:-unset}']}
";
    let (_repository, id) = lotse.pushed("site/web", ci).await;
    let done = lotse.finished("site/web", id).await;
    assert_eq!(done.status(), "success", "{}", done.summary());
    for (job, expected) in [
        ("all", &["made in build", "more", "v1.2.3"][..]),
        ("one", &["made in build", "v1.2.3"]),
        ("none", &["vunset"]),
    ] {
        let log = lotse.log("site/web", done.job_id(job)).await;
        let lines = lines_after(&log, "$ ");
        let said: Vec<_> = (lines.into_iter())
            .filter(|line| !line.starts_with("ls:"))
            .collect();
        assert_eq!(said, expected, "{job}: {log}");
    }

    // GitLab's API
    let build = done.job_id("build");
    let job = format!("/projects/site%2Fweb/jobs/{build}");
    let shown = lotse.get(&job).await;
    assert_eq!(shown["artifacts_file"]["filename"], "result.zip", "{shown}");
    let kinds: Vec<_> = (shown["artifacts"].as_array().unwrap().iter())
        .map(|file| file["file_type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["archive", "dotenv"]);
    assert_ne!(shown["artifacts_expire_at"], Value::Null);
    let archive = lotse
        .ask(lotse.request(Method::GET, &format!("{job}/artifacts")))
        .await;
    assert_eq!(archive.header("content-type"), "application/zip");
    let disposition = archive.header("content-disposition");
    assert_eq!(disposition, "attachment; filename=\"result.zip\"");
    let file = format!("{job}/artifacts/out/deep/file");
    let file = lotse.ask(lotse.request(Method::GET, &file)).await;
    assert_eq!(file.text, "made in build\n");
    assert_eq!(file.header("content-type"), "application/octet-stream");
    for absent in ["out/deep", "out%2F..%2F..%2Fsecret.key", "absent"] {
        let path = format!("{job}/artifacts/{absent}");
        assert_eq!(status(&lotse, Method::GET, &path).await, 404, "{absent}");
    }
    let latest = "/projects/site%2Fweb/jobs/artifacts/main";
    let raw = format!("{latest}/raw/out/deep/file?job=build");
    let file = lotse.ask(lotse.request(Method::GET, &raw)).await;
    assert_eq!(file.text, "made in build\n");
    for (query, code) in [("build", 200), ("none", 404), ("absent", 404)] {
        let path = format!("{latest}/download?job={query}");
        assert_eq!(status(&lotse, Method::GET, &path).await, code, "{query}");
    }
    let stranger = lotse
        .post("/users", &json!({ "username": "stranger" }))
        .await;
    let theirs = lotse
        .bare_request(Method::GET, &format!("/api/v4{job}/artifacts"))
        .header("private-token", stranger["token"].as_str().unwrap());
    assert_eq!(lotse.ask(theirs).await.status, 404);

    // the command line and the page
    let to = lotse.data().join("../downloaded.zip");
    let to = to.to_str().unwrap();
    let artifacts = ["job", "artifacts", "build", "--project", "site/web"];
    let ran = lotse
        .run(&[&artifacts[..], &["--output", to]].concat())
        .await;
    assert_eq!(ran.code, 0, "{}", ran.text());
    assert!(fs_err::read(to).unwrap().starts_with(b"PK"));
    let page = format!("/site/web/-/jobs/{build}");
    let page = lotse.browser().await.page(&page).await;
    assert!(
        page.contains(&format!("/jobs/{build}/artifacts\">")),
        "{page}"
    );
    let ran = lotse
        .run(&["job", "artifacts", "none", "--project", "site/web"])
        .await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("(none) has no artifacts"),
        "{}",
        ran.stderr
    );

    // kept for ever, until somebody removes them
    lotse
        .post(&format!("{job}/artifacts/keep"), &json!({}))
        .await;
    let shown = lotse.get(&job).await;
    assert_eq!(shown["artifacts_expire_at"], Value::Null);
    let path = format!("{job}/artifacts");
    assert_eq!(status(&lotse, Method::DELETE, &path).await, 204);
    assert_eq!(status(&lotse, Method::GET, &path).await, 404);
    let folder = lotse.data().join("artifacts").join(build.to_string());
    assert!(!folder.exists());
}

#[tokio::test]
async fn their_time_is_over_but_the_latest_good_ones_stay() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let ci = "build: {script: ['echo x > file'], artifacts: {paths: [file], expire_in: 1 second}}";
    let (_repository, first) = lotse.pushed("site/web", ci).await;
    let mut jobs = Vec::new();
    let archive = |job: i64| format!("/projects/site%2Fweb/jobs/{job}/artifacts");
    jobs.push(lotse.finished("site/web", first).await.job_id("build"));
    // long after its time it is still there, as nothing newer is
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(status(&lotse, Method::GET, &archive(jobs[0])).await, 200);
    let start = json!({ "ref": "main" });
    let second = lotse.post("/projects/site%2Fweb/pipeline", &start).await;
    let second = lotse
        .finished("site/web", second["id"].as_i64().unwrap())
        .await;
    jobs.push(second.job_id("build"));
    let deadline = Instant::now() + PATIENCE;
    while status(&lotse, Method::GET, &archive(jobs[0])).await != 404 {
        assert!(Instant::now() < deadline, "the old ones stay");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status(&lotse, Method::GET, &archive(jobs[1])).await, 200);
    let shown = lotse
        .get(&format!("/projects/site%2Fweb/jobs/{}", jobs[0]))
        .await;
    assert_eq!(shown["artifacts"], json!([]));
}

#[tokio::test]
async fn a_job_writes_the_pipeline_that_comes_next() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let ci = r#"
stages: [write, run]
write:
  stage: write
  script:
    - 'echo "said: {script: [\"echo it is \$WORD\"]}" > next.yml'
    - 'echo WORD=written > next.env'
  artifacts: {paths: [next.yml], reports: {dotenv: next.env}}
run:
  stage: run
  trigger:
    include: [{artifact: next.yml, job: write}]
    strategy: depend
    forward: {pipeline_variables: true}
wrong:
  stage: run
  trigger: {include: [{artifact: other.yml, job: write}]}
"#;
    let (_repository, id) = lotse.pushed("site/web", ci).await;
    let done = lotse.finished("site/web", id).await;
    assert_eq!(
        done.summary(),
        "failed: write success, run success, wrong failed"
    );
    let below = &done.job("run")["downstream_pipeline"]["id"];
    let below = lotse.finished("site/web", below.as_i64().unwrap()).await;
    let log = lotse.log("site/web", below.job_id("said")).await;
    assert_eq!(lines_after(&log, "$ "), ["it is written"], "{log}");
    let log = lotse.log("site/web", done.job_id("wrong")).await;
    assert!(
        log.contains("there is no file other.yml in the artifacts"),
        "{log}"
    );
}

#[tokio::test]
async fn a_server_killed_while_they_come_has_them_whole_in_the_end() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let ci = "
stages: [build, test]
build:
  stage: build
  script: ['head -c 16000000 /dev/urandom > big', 'sha256sum big']
  artifacts: {paths: [big]}
test: {stage: test, script: ['sha256sum big']}
";
    let (_repository, id) = lotse.pushed("site/web", ci).await;
    let incoming = lotse.data().join("artifacts/incoming");
    let coming = || std::fs::read_dir(&incoming).is_ok_and(|mut all| all.next().is_some());
    let deadline = Instant::now() + PATIENCE;
    while !coming() {
        assert!(Instant::now() < deadline, "nothing comes");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    lotse.kill();
    assert!(coming(), "it was killed while the file came");
    lotse.start_again().await;
    let done = lotse.finished("site/web", id).await;
    assert_eq!(done.summary(), "success: build success, test success");
    let mut sums = Vec::new();
    for job in ["build", "test"] {
        let log = lotse.log("site/web", done.job_id(job)).await;
        let sum = log.lines().find(|line| line.ends_with("  big"));
        sums.push(sum.unwrap_or_else(|| panic!("{log}")).to_owned());
    }
    assert_eq!(sums[0], sums[1]);
    assert!(!coming(), "what was cut off is gone");
}

#[tokio::test]
async fn a_job_does_not_start_without_what_it_needs() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let ci = "
stages: [build, deploy]
build: {stage: build, script: ['echo $CI_JOB_ID > file'], artifacts: {paths: [file]}}
deploy: {stage: deploy, script: ['cat file'], rules: [{when: manual}]}
other: {stage: deploy, script: ['echo alone'], dependencies: [], rules: [{when: manual}]}
";
    let (_repository, id) = lotse.pushed("site/web", ci).await;
    let waits = lotse.finished("site/web", id).await;
    assert_eq!(waits.status(), "manual");
    let archive = format!(
        "/projects/site%2Fweb/jobs/{}/artifacts",
        waits.job_id("build")
    );
    assert_eq!(status(&lotse, Method::DELETE, &archive).await, 204);
    for job in ["deploy", "other"] {
        let play = format!("/projects/site%2Fweb/jobs/{}/play", waits.job_id(job));
        lotse.post(&play, &json!({})).await;
    }
    let ended = lotse.finished("site/web", id).await;
    assert_eq!(
        ended.summary(),
        "failed: build success, deploy failed, other success"
    );
    let reason = &ended.job("deploy")["failure_reason"];
    assert_eq!(reason, "missing_dependency_failure");
    let log = lotse.log("site/web", ended.job_id("deploy")).await;
    assert!(log.contains("hint: retry build, then this job"), "{log}");
    assert!(!log.contains("cat file"), "{log}");

    let project = ["--project", "site/web"];
    for job in ["build", "deploy"] {
        let ran = lotse
            .run(&[&["job", "retry", job][..], &project].concat())
            .await;
        assert_eq!(ran.code, 0, "{}", ran.text());
        let again = |now: &testkit::lotse::Snapshot| {
            now.job(job)["attempt"] == 2 && now.job_status(job) == "success"
        };
        lotse.pipeline_when("site/web", id, again).await;
    }
}

/// A form with one file in it.
fn form(request: reqwest::RequestBuilder, content: &[u8]) -> reqwest::RequestBuilder {
    let head =
        "--limit\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n";
    let body = [head.as_bytes(), content, b"\r\n--limit--\r\n"].concat();
    request
        .header("content-type", "multipart/form-data; boundary=limit")
        .body(body)
}

#[tokio::test]
async fn what_is_wrong_or_breaks_off_is_not_kept() {
    let lotse = serve().await;
    let body = json!({ "runner_type": "instance_type", "description": "by hand" });
    let runner = lotse.post("/user/runners", &body).await;
    let (_repository, id) = lotse.pushed("site/web", "build: {script: [make]}").await;
    let ask = lotse
        .bare_request(Method::POST, "/api/v4/jobs/request")
        .json(&json!({ "token": runner["token"] }));
    let job = lotse.ask(ask).await.json();
    let (job, token) = (job["id"].as_i64().unwrap(), job["token"].as_str().unwrap());
    let upload = |kind: &str, token: &str| {
        let path = format!("/api/v4/jobs/{job}/artifacts?artifact_type={kind}");
        lotse
            .bare_request(Method::POST, &path)
            .header("job-token", token)
    };
    let random: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    for (kind, token, content, status) in [
        ("archive", "glcbt-wrong", &b"PK"[..], 403),
        ("..%2Fx", token, b"PK", 400),
        ("dotenv", token, b"no report", 400),
        ("dotenv", token, &random, 413),
    ] {
        let answer = lotse.ask(form(upload(kind, token), content)).await;
        assert_eq!(answer.status, status, "{kind}: {answer:?}");
    }
    let incoming = lotse.data().join("artifacts/incoming");
    let count = |folder: &std::path::Path| {
        let found = fs_err::read_dir(folder).map(Iterator::count);
        found.unwrap_or_default()
    };
    assert_eq!(count(&incoming), 0);

    // the runner hangs up in the middle
    let mut connection = tokio::net::TcpStream::connect(lotse.address())
        .await
        .unwrap();
    let head = format!(
        "POST /api/v4/jobs/{job}/artifacts HTTP/1.1\r\nhost: x\r\njob-token: {token}\r\ncontent-length: 9999999\r\n\
         content-type: multipart/form-data; boundary=limit\r\n\r\n--limit\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n"
    );
    let part = [head.as_bytes(), &random].concat();
    tokio::io::AsyncWriteExt::write_all(&mut connection, &part)
        .await
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let becomes = async |wanted: usize| {
        while count(&incoming) != wanted {
            assert!(Instant::now() < deadline, "{} files", count(&incoming));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    becomes(1).await;
    drop(connection);
    becomes(0).await;
    let shown = lotse.get(&format!("/projects/site%2Fweb/jobs/{job}")).await;
    assert_eq!(shown["artifacts"], json!([]));

    // a whole one is kept; the same attempt's next takes its place; nothing comes after the end
    for content in [&b"PK one"[..], b"PK another"] {
        let answer = lotse.ask(form(upload("archive", token), content)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let archive = lotse.get(&format!("/projects/site%2Fweb/jobs/{job}")).await;
    assert_eq!(archive["artifacts_file"]["size"], 10);
    let done = lotse
        .bare_request(Method::PUT, &format!("/api/v4/jobs/{job}"))
        .json(&json!({ "token": token, "state": "success" }));
    assert_eq!(lotse.ask(done).await.status, 200);
    assert_eq!(lotse.finished("site/web", id).await.status(), "success");
    let late = lotse.ask(form(upload("archive", token), b"PK")).await;
    assert_eq!(late.status, 403);
    let theirs = lotse
        .bare_request(Method::GET, &format!("/api/v4/jobs/{job}/artifacts"))
        .header("job-token", token);
    assert_eq!(lotse.ask(theirs).await.status, 401);
}
