//! The server dies of SIGKILL, as by a power cut, and nothing is lost or done twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::lotse::{Lotse, PATIENCE};

use crate::{lines_after, serve};

const LINES: usize = 60;

#[tokio::test]
async fn in_the_middle_of_a_job_and_the_same_job_goes_on_to_its_end() {
    let lotse = serve().await;
    let runner = lotse.runner(&["shell"]).await;
    let ci = format!(
        "
stages: [build, deploy]
default: {{tags: [shell]}}
build:
  stage: build
  script: ['for i in $(seq -w 1 {LINES}); do echo line $i; sleep 0.05; done']
  after_script: ['echo cleaned up']
deploy: {{stage: deploy, script: ['echo $GREETING']}}
"
    );
    let (repository, _first) = lotse.pushed("site/web", "build: {script: [echo x]}").await;
    let variable = json!({ "key": "GREETING", "value": "hello-from-before", "masked": false });
    lotse
        .post("/projects/site%2Fweb/variables", &variable)
        .await;
    let secret = json!({ "key": "SECRET", "value": "a-masked-value", "masked": true });
    lotse.post("/groups/site/variables", &secret).await;
    let user = lotse
        .post("/users", &json!({ "username": "developer" }))
        .await;
    let before = everything(&lotse).await;

    let commit = repository.commit_ci(&ci, "a long job").await;
    repository.git(&["tag", "v1.0.0"]).await;
    let pushed = repository.push(&["v1.0.0"]).await;
    let id = pushed.pipeline().unwrap();
    let job = lotse.pipeline("site/web", id).await.job_id("build");
    for seen in ["line 05", "line 30"] {
        lotse
            .log_when("site/web", job, |log| log.contains(seen))
            .await;
        lotse.kill();
        lotse.start_again().await;
    }
    let done = lotse.finished("site/web", id).await;
    assert_eq!(done.summary(), "success: build success, deploy success");
    assert_eq!(done.job_id("build"), job, "no other attempt was needed");
    assert_eq!(done.pipeline["sha"], commit);

    let log = lotse.log("site/web", job).await;
    let mut expected: Vec<_> = (1..=LINES).map(|i| format!("line {i:02}")).collect();
    expected.push("cleaned up".to_owned());
    assert_eq!(lines_after(&log, "$ "), expected, "{log}");
    assert_eq!(log.matches("Job succeeded").count(), 1, "{log}");
    let deploy = lotse.log("site/web", done.job_id("deploy")).await;
    assert_eq!(lines_after(&deploy, "$ "), ["hello-from-before"]);

    let after = everything(&lotse).await;
    for (what, (before, after)) in ["variables", "group's", "runners", "tokens", "users"]
        .iter()
        .zip(before.iter().zip(&after))
    {
        assert_eq!(before, after, "{what}");
    }
    let refs = repository.git(&["ls-remote", "lotse"]).await;
    assert!(refs.contains("refs/heads/main") && refs.contains("refs/tags/v1.0.0"));
    let pipelines = lotse.get("/projects/site%2Fweb/pipelines").await;
    assert_eq!(pipelines.as_array().unwrap().len(), 2);
    let token = user["token"].as_str().unwrap();
    let me = lotse
        .bare_request(reqwest::Method::GET, "/api/v4/user")
        .header("private-token", token);
    assert_eq!(lotse.ask(me).await.json()["username"], "developer");
    assert_eq!(runner.log().matches("registered").count(), 1);
}

/// What must outlive the server, without what time changes.
async fn everything(lotse: &Lotse) -> Vec<String> {
    let mut all = Vec::new();
    for path in [
        "/projects/site%2Fweb/variables",
        "/groups/site/variables",
        "/runners/all",
        "/personal_access_tokens",
        "/users",
    ] {
        let mut value = lotse.get(path).await;
        for item in value.as_array_mut().unwrap() {
            let item = item.as_object_mut().unwrap();
            for changing in ["contacted_at", "online", "status"] {
                item.remove(changing);
            }
        }
        assert_ne!(value, json!([]), "{path}");
        all.push(value.to_string());
    }
    all
}

#[tokio::test]
async fn at_any_moment_of_a_push_and_what_git_reported_has_its_pipeline() {
    const ROUNDS: u64 = 12;
    let lotse = serve().await;
    let ci = "test: {script: [make]}";
    let (repository, _first) = lotse.pushed("site/web", ci).await;
    let begin = Instant::now();
    repository.commit("how long a push takes").await;
    assert!(repository.push(&["main"]).await.ok);
    let usual = begin.elapsed();

    let mut reported = Vec::new();
    for round in 0..ROUNDS {
        let commit = repository.commit(&format!("round {round}")).await;
        let tag = format!("v0.0.{round}");
        repository
            .git(&["tag", "-a", "-m", "a release", &tag])
            .await;
        // moments spread over the push, and a bit more
        let moment = usual.mul_f64((round * 5 % ROUNDS) as f64 * 1.8 / ROUNDS as f64);
        let refs = ["--force", "main", &tag];
        let kill = async {
            tokio::time::sleep(moment).await;
            lotse.kill();
        };
        let (pushed, ()) = tokio::join!(repository.push(&refs), kill);
        if pushed.ok {
            reported.push(("main".to_owned(), commit.clone()));
            reported.push((tag, commit));
        }
        lotse.start_again().await;
    }
    println!("{} of {ROUNDS} pushes were reported", reported.len() / 2);
    let refs = refs(&repository.git(&["ls-remote", "lotse"]).await);
    let pipelines = wait_for_pipelines(&lotse, &refs).await;
    for (name, commit) in &reported {
        assert_eq!(
            pipelines.get(&(name.clone(), commit.clone())),
            Some(&1),
            "{name} at {commit} was reported to be pushed"
        );
    }
    for (key, count) in &pipelines {
        assert_eq!(*count, 1, "{key:?} has several pipelines");
    }
    // what was cut off can be pushed again
    let pushed = repository.push(&["main", "--tags"]).await;
    assert!(pushed.ok, "{}", pushed.text);
    let checked = repository.git(&["ls-remote", "lotse", "refs/tags/*"]).await;
    assert_eq!(
        checked.lines().filter(|line| line.ends_with("^{}")).count() as u64,
        ROUNDS
    );
}

/// Branches and tags with the commits that they lead to.
fn refs(listing: &str) -> BTreeMap<String, String> {
    let mut refs = BTreeMap::new();
    for line in listing.lines() {
        let (commit, name) = line.split_once('\t').unwrap();
        let name = name.strip_suffix("^{}").unwrap_or(name);
        let short = name
            .strip_prefix("refs/heads/")
            .or_else(|| name.strip_prefix("refs/tags/"));
        if let Some(short) = short {
            // the line with ^{}, which comes later, tells the commit of a tag
            refs.insert(short.to_owned(), commit.to_owned());
        }
    }
    refs
}

/// Waits until each of the refs has a pipeline. Returns how many each ref and commit has.
async fn wait_for_pipelines(
    lotse: &Lotse,
    refs: &BTreeMap<String, String>,
) -> BTreeMap<(String, String), usize> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut found = BTreeMap::new();
        let pipelines = lotse
            .get("/projects/site%2Fweb/pipelines?per_page=100")
            .await;
        for pipeline in pipelines.as_array().unwrap() {
            let text = |key: &str| pipeline[key].as_str().unwrap().to_owned();
            *found.entry((text("ref"), text("sha"))).or_insert(0) += 1;
        }
        let missing = refs
            .iter()
            .find(|(name, commit)| !found.contains_key(&((*name).clone(), (*commit).clone())));
        match missing {
            None => return found,
            Some(missing) => assert!(Instant::now() < deadline, "{missing:?} has no pipeline"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
