//! What goes wrong on the way: the job fails and says why, and the service that runs is as it was.

use reqwest::Method;
use serde_json::json;

use super::cast::{Flow, PROD, PROJECT, TEST};

pub(super) async fn tell(flow: &Flow) {
    the_host_is_another(flow).await;
    the_key_is_another(flow).await;
    the_password_is_revoked(flow).await;
    the_new_image_dies(flow).await;
    the_new_container_cannot_start(flow).await;
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
    let lotse = &flow.stage.lotse;
    let pipeline = lotse.latest_pipeline(PROJECT).await;
    let job = lotse.pipeline(PROJECT, pipeline).await.job_id("test");
    let retry = format!("/projects/invenio%2Fexim4/jobs/{job}/retry");
    flow.ask(Method::POST, &retry, &json!({})).await;
    let end = flow.stage.ended(PROJECT, pipeline).await;
    let log = lotse.log(PROJECT, end.job_id("test")).await;
    assert_eq!(end.job_status("test"), "failed", "{reason}:\n{log}");
    assert!(log.contains(reason), "no {reason:?} in\n{log}");
    untouched.must_be(flow, TEST).await;
    untouched.must_be(flow, PROD).await;
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
    untouched.must_be(flow, PROD).await;
    flow.mail_arrives(TEST, "to the new one").await;
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
