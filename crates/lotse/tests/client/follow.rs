//! Following logs and pipelines, over connections that break.

use serde_json::{Value, json};

use crate::mock::{Answer, Mock, User};
use crate::{job, pipeline};

const FOLLOW_LOG: &str = "GET /projects/site%2Fweb/jobs/31/trace/follow";
const FOLLOW_PIPELINE: &str = "GET /projects/site%2Fweb/pipelines/12/follow";
const JOB: &str = "GET /projects/site%2Fweb/jobs/31";

fn event(name: &str, id: &str, data: &Value) -> String {
    format!("event: {name}\nid: {id}\ndata: {data}\n\n")
}

fn stream(events: &[String]) -> Answer {
    Answer::text(events.concat()).header("content-type", "text/event-stream")
}

#[tokio::test]
async fn a_log_is_printed_for_reading_or_byte_for_byte() {
    let mock = Mock::start().await;
    let log = "section_start:1:a\r\u{1b}[0K\u{1b}[32mone\u{1b}[0m\n\u{1b}]0;x\u{7}two\n";
    mock.on(
        "GET /projects/site%2Fweb/jobs/31/trace",
        [Answer::text(log)],
    );
    let user = User::of(&mock);
    let readable = user.ok(&["job", "log", "31", "-p", "site/web"]).await;
    assert_eq!(readable.stdout, "one\ntwo\n");
    let raw = user
        .ok(&["job", "log", "31", "--raw", "-p", "site/web"])
        .await;
    assert_eq!(raw.stdout, log);

    mock.on("GET /projects/site%2Fweb/jobs/31/trace", [Answer::text("")]);
    let mut waiting = job(31, "build", "pending");
    waiting["pending_reason"] = json!("no runner");
    mock.on(JOB, [Answer::json(waiting)]);
    let empty = user.ok(&["job", "log", "31", "-p", "site/web"]).await;
    assert_eq!(
        empty.stderr,
        "job 31 has no log: it is pending\njob 31 is pending: no runner\n"
    );
}

#[tokio::test]
async fn a_followed_log_goes_on_where_the_connection_broke() {
    let mock = Mock::start().await;
    let first = [
        event("status", "0", &job(31, "build", "running")),
        event("log", "4", &json!("one\n")),
        "event: log\nid: 8\ndata: \"tw".to_owned(),
    ];
    let second = [
        ": still here\n\n".to_owned(),
        event("log", "8", &json!("two\n")),
        event("status", "8", &job(31, "build", "success")),
        event("end", "8", &json!({})),
    ];
    mock.on(
        FOLLOW_LOG,
        [
            stream(&first).breaks(),
            Answer::text("restarting").status(503),
            stream(&second),
        ],
    );
    mock.on(JOB, [Answer::json(job(31, "build", "success"))]);
    let user = User::of(&mock);
    let followed = user.ok(&["job", "log", "-f", "31", "-p", "site/web"]).await;
    assert_eq!(followed.stdout, "one\ntwo\n");
    assert!(followed.stderr.contains("is lost; trying again") || followed.stderr.is_empty());
    let asked: Vec<_> = mock
        .asked()
        .into_iter()
        .map(|asked| asked.last_event)
        .collect();
    let four = Some("4".to_owned());
    assert_eq!(asked, [None, four.clone(), four, None]);
}

#[tokio::test]
async fn a_followed_job_gives_its_outcome() {
    let mock = Mock::start().await;
    let mut waiting = job(31, "build", "pending");
    waiting["pending_reason"] = json!("no runner has the tag prod01");
    let events = [
        event("status", "0", &waiting),
        event("log", "3", &json!("no\n")),
        event("end", "3", &json!({})),
    ];
    mock.on(FOLLOW_LOG, [stream(&events)]);
    let mut failed = job(31, "build", "failed");
    failed["exit_code"] = json!(3);
    mock.on(JOB, [Answer::json(failed)]);
    let user = User::of(&mock);
    let followed = user
        .run(&["job", "log", "-f", "31", "-p", "site/web"])
        .await;
    assert_eq!((followed.code, followed.stdout.as_str()), (1, "no\n"));
    assert_eq!(
        followed.stderr,
        "job 31 is pending: no runner has the tag prod01\njob 31 is failed (exit code 3)\n"
    );
}

#[tokio::test]
async fn following_what_is_not_there_ends_at_once() {
    let mock = Mock::start().await;
    let user = User::of(&mock);
    let missing = user
        .run(&["job", "log", "-f", "31", "-p", "site/web"])
        .await;
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.starts_with("error: nothing here\n"),
        "{}",
        missing.stderr
    );

    let lost = [event("status", "0", &job(31, "build", "running"))];
    let gone = Answer::json(json!({"message": "401 Unauthorized"})).status(401);
    mock.on(FOLLOW_LOG, [stream(&lost).breaks(), gone]);
    let revoked = user
        .run(&["job", "log", "-f", "31", "-p", "site/web"])
        .await;
    assert_eq!(revoked.code, 1);
    assert!(
        revoked.stderr.contains("hint: the token is wrong"),
        "{}",
        revoked.stderr
    );
}

#[tokio::test]
async fn watching_a_pipeline_prints_changes_and_ends_as_it_does() {
    let mock = Mock::start().await;
    let state = |status: &str, jobs: Value| json!({"pipeline": pipeline(status), "jobs": jobs});
    let running = state(
        "running",
        json!([job(31, "build", "running"), job(32, "deploy", "created")]),
    );
    let mut failed = job(31, "build", "failed");
    failed["exit_code"] = json!(3);
    failed["duration"] = json!(12);
    let ended = state("failed", json!([failed, job(32, "deploy", "skipped")]));
    mock.on(
        FOLLOW_PIPELINE,
        [
            stream(&[event("pipeline", "1", &running)]).breaks(),
            stream(&[event("pipeline", "1", &running)]),
            stream(&[
                event("pipeline", "2", &ended),
                event("end", "2", &json!({})),
            ]),
        ],
    );
    let user = User::of(&mock);
    let watched = user
        .run(&["pipeline", "watch", "12", "-p", "site/web"])
        .await;
    assert_eq!(watched.code, 1, "{}", watched.stderr);
    assert_eq!(
        watched.stdout,
        "build: running (job 31)\n\
         build: failed (job 31, 12 s, exit code 3)\n\
         deploy: skipped (job 32)\n\
         pipeline 12: failed after 1 min 3 s\n"
    );
    assert_eq!(watched.stderr, "hint: read why with `lotse job log 31`\n");

    let good = state("success", json!([job(31, "build", "success")]));
    let events = [event("pipeline", "3", &good), event("end", "3", &json!({}))];
    mock.on(FOLLOW_PIPELINE, [stream(&events)]);
    user.ok(&["pipeline", "watch", "12", "-p", "site/web"])
        .await;

    let blocked = state(
        "manual",
        json!([job(31, "build", "success"), job(32, "deploy", "manual")]),
    );
    mock.on(
        FOLLOW_PIPELINE,
        [stream(&[event("pipeline", "4", &blocked)])],
    );
    let blocked = user
        .ok(&["pipeline", "watch", "12", "-p", "site/web"])
        .await;
    assert_eq!(
        blocked.stderr,
        "hint: go on with `lotse job play 32` (deploy)\n"
    );
}
