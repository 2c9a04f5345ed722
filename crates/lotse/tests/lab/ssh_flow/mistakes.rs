//! What goes wrong on the way: the job fails and says why, and the service that runs is as it was.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use testkit::lotse::{PATIENCE, Snapshot};

use super::cast::{Flow, PROD, PROJECT, TEST};

pub(super) async fn tell(flow: &Flow) {
    the_host_is_another(flow).await;
    the_key_is_another(flow).await;
    the_password_is_revoked(flow).await;
    the_new_image_dies(flow).await;
    the_new_container_cannot_start(flow).await;
    the_job_is_cancelled(flow).await;
    the_power_fails(flow).await;
}

async fn the_host_is_another(flow: &Flow) {
    let key = fs_err::read_to_string(flow.new_key("another-host") + ".pub").unwrap();
    let before = flow
        .change("SSH_SERVER_HOSTKEYS", &format!("{TEST} {key}"))
        .await;
    again(flow, "Host key verification failed").await;
    flow.change("SSH_SERVER_HOSTKEYS", &before).await;
}

async fn the_key_is_another(flow: &Flow) {
    let key = fs_err::read_to_string(flow.new_key("another-user")).unwrap();
    let before = flow.change("SERVER_3_PRIVATE_KEY", &key).await;
    again(flow, "Permission denied (publickey)").await;
    flow.change("SERVER_3_PRIVATE_KEY", &before).await;
}

/// Between build and deploy, so that the host's own login fails.
async fn the_password_is_revoked(flow: &Flow) {
    let token = format!("/personal_access_tokens/{}", flow.password.0);
    flow.ask(Method::DELETE, &token, &json!(null)).await;
    again(flow, "unauthorized").await;
    for key in ["CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"] {
        let path = format!("/projects/invenio%2Fexim4/variables/{key}");
        flow.ask(Method::DELETE, &path, &json!(null)).await;
    }
}

/// Tries the newest pipeline's deploy to the test host again, which must fail with this in its log.
async fn again(flow: &Flow, reason: &str) {
    let untouched = Untouched::look(flow);
    let retry = Retry::begin(flow).await;
    let end = retry.ended().await;
    let log = flow.stage.lotse.log(PROJECT, retry.job).await;
    assert_eq!(end.job_status("test"), "failed", "{reason}:\n{log}");
    assert!(log.contains(reason), "no {reason:?} in\n{log}");
    untouched.must_be(flow, TEST).await;
    untouched.must_be(flow, PROD).await;
}

/// The newest pipeline's deploy to the test host, once more.
struct Retry<'f> {
    flow: &'f Flow,
    pipeline: i64,
    job: i64,
}

impl<'f> Retry<'f> {
    async fn begin(flow: &'f Flow) -> Self {
        let lotse = &flow.stage.lotse;
        let pipeline = lotse.latest_pipeline(PROJECT).await;
        let job = lotse.pipeline(PROJECT, pipeline).await.job_id("test");
        flow.ask(Method::POST, &job_path(job, "retry"), &json!({}))
            .await;
        let job = lotse.pipeline(PROJECT, pipeline).await.job_id("test");
        Self {
            flow,
            pipeline,
            job,
        }
    }

    async fn ended(&self) -> Snapshot {
        self.flow.stage.ended(PROJECT, self.pipeline).await
    }
}

fn job_path(job: i64, verb: &str) -> String {
    format!("/projects/invenio%2Fexim4/jobs/{job}/{verb}")
}

async fn the_new_image_dies(flow: &Flow) {
    let change = Change {
        file: "Dockerfile",
        from: "CMD [\"start\"]",
        to: "CMD [\"sh\", \"-c\", \"echo of no use >&2; exit 3\"]",
    };
    let untouched = Untouched::look(flow);
    let log = fails(flow, &change, "test").await;
    assert!(log.contains("of no use"), "{log}");
    assert!(log.contains("the new image does not answer"), "{log}");
    assert!(log.contains("what ran before answers again"), "{log}");
    untouched.must_be(flow, TEST).await;
    untouched.must_be(flow, PROD).await;
}

/// On production alone, where the script wants a port that is taken: the test host has the new
/// image by then.
async fn the_new_container_cannot_start(flow: &Flow) {
    let change = Change {
        file: "deploy-prod.sh",
        from: "--publish 25:25",
        to: "--publish 25:25 --publish 22:25",
    };
    let untouched = Untouched::look(flow);
    let log = fails(flow, &change, "prod").await;
    assert!(log.contains("address already in use"), "{log}");
    assert!(log.contains("what ran before answers again"), "{log}");
    untouched.must_be(flow, PROD).await;
    flow.mail_arrives(TEST, "to the new one").await;
}

/// What the job had begun on the host goes on to its end there.
async fn the_job_is_cancelled(flow: &Flow) {
    let mails = flow.mails(TEST);
    let retry = Retry::begin(flow).await;
    let deadline = Instant::now() + PATIENCE;
    while flow.try_exec(TEST, &["flock", "--nonblock", LOCK, "true"]) {
        assert!(Instant::now() < deadline, "no deploy begins");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    flow.ask(Method::POST, &job_path(retry.job, "cancel"), &json!({}))
        .await;
    assert_eq!(retry.ended().await.job_status("test"), "canceled");
    flow.stage.exec(TEST, &["flock", LOCK, "true"]);
    must_run_alone(flow, &mails).await;
}

/// In the moment in which no mail server runs. The next deploy makes it good.
async fn the_power_fails(flow: &Flow) {
    let mails = flow.mails(TEST);
    let file = flow.repository.folder().join("deploy-test.sh");
    let script = fs_err::read_to_string(file).unwrap();
    let cut_off = script
        .replace("docker pull", "true")
        .replace("if ! run ||", "kill -KILL $$; if ! run ||");
    assert!(!flow.try_exec(TEST, &["sh", "-c", &cut_off]));
    let names = ["docker", "ps", "--all", "--format", "{{.Names}} {{.State}}"];
    assert_eq!(flow.stage.exec(TEST, &names).trim(), "exim4-before exited");
    let retry = Retry::begin(flow).await;
    assert_eq!(retry.ended().await.job_status("test"), "success");
    must_run_alone(flow, &mails).await;
}

/// Held by a deploy for as long as it is at work.
const LOCK: &str = "/run/lock/exim4-deploy";

async fn must_run_alone(flow: &Flow, mails: &[String]) {
    let names = ["docker", "ps", "--all", "--format", "{{.Names}}"];
    assert_eq!(flow.stage.exec(TEST, &names).trim(), "exim4");
    assert!(flow.mails(TEST).starts_with(mails), "{mails:?}");
    flow.mail_arrives(TEST, "all the same").await;
}

/// A change of a file by somebody who did not think of everything.
struct Change {
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

/// Pushes the change, and takes it back. The job must fail; what comes before it, succeed; what
/// comes after it, not run. Returns the job's log.
async fn fails(flow: &Flow, change: &Change, job: &str) -> String {
    let repository = &flow.repository;
    let text = fs_err::read_to_string(repository.folder().join(change.file)).unwrap();
    assert!(text.contains(change.from), "{text}");
    repository.write(change.file, &text.replace(change.from, change.to));
    repository.commit(change.to).await;
    let end = flow.push().await.ended().await;
    repository.write(change.file, &text);
    let log = flow.stage.lotse.log(PROJECT, end.job_id(job)).await;
    let mut expected = "success";
    for each in super::JOBS {
        if each == job {
            expected = "failed";
        }
        assert_eq!(end.job_status(each), expected, "{each}:\n{log}");
        if each == job {
            expected = "skipped";
        }
    }
    log
}

/// What runs on both hosts.
struct Untouched(Vec<(&'static str, String, Vec<String>)>);

impl Untouched {
    fn look(flow: &Flow) -> Self {
        let hosts = [TEST, PROD].into_iter();
        Self(
            hosts
                .map(|host| (host, flow.running(host), flow.mails(host)))
                .collect(),
        )
    }

    /// The same container runs, with its mails, and takes another.
    async fn must_be(&self, flow: &Flow, host: &'static str) {
        let (_, running, mails) = self.0.iter().find(|one| one.0 == host).unwrap();
        assert_eq!(flow.running(host), *running, "{host}");
        assert!(flow.mails(host).starts_with(mails), "{host}: {mails:?}");
        flow.mail_arrives(host, "after a mistake").await;
    }
}
