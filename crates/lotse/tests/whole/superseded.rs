//! Newer pipelines of a branch and the older ones; jobs of a resource group and whose turn it is.

use std::path::PathBuf;
use std::time::Instant;

use reqwest::Method;
use serde_json::json;
use testkit::lotse::{Lotse, PATIENCE, Repository};

use crate::serve;

/// Makes a commit with this file, pushes the branch, and says which pipeline came of it.
async fn push(repository: &Repository, ci: &str, refs: &[&str]) -> i64 {
    repository.commit_ci(ci, "more").await;
    let pushed = repository.push(refs).await;
    pushed
        .pipeline()
        .unwrap_or_else(|| panic!("no pipeline: {}", pushed.text))
}

/// A job that is running says so in this folder, and ends when it is told to.
fn waiting_job(more: &str, folder: &std::path::Path) -> String {
    let folder = folder.display();
    format!(
        "{more}\n  script: ['touch {folder}/begun-$CI_JOB_NAME', 'until [ -e {folder}/end ]; do sleep 0.05; done']\n"
    )
}

fn folder(lotse: &Lotse) -> PathBuf {
    let folder = lotse.data().join("../marks");
    fs_err::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test]
async fn a_newer_push_cancels_what_has_not_begun() {
    let lotse = serve().await;
    let ci = "build: {script: [make]}\n";
    let (repository, first) = lotse.pushed("site/web", ci).await;
    repository.git(&["tag", "v1"]).await;
    let tag = repository.push(&["v1"]).await.pipeline().unwrap();
    let other = repository.push(&["HEAD:refs/heads/other"]).await;
    let other = other.pipeline().unwrap();
    // The same commit again makes nothing superfluous.
    let start = json!({ "ref": "main" });
    let again = lotse.post("/projects/site%2Fweb/pipeline", &start).await;
    let again = again["id"].as_i64().unwrap();
    assert_eq!(lotse.pipeline("site/web", first).await.status(), "pending");

    // A file with errors does not either.
    push(
        &repository,
        "build: {script: }\nbuild2: {stage: no}\n",
        &["main"],
    )
    .await;
    assert_eq!(lotse.pipeline("site/web", first).await.status(), "pending");
    let newest = push(&repository, ci, &["main"]).await;
    for (id, status) in [
        (first, "canceled"),
        (again, "canceled"),
        (tag, "pending"),
        (other, "pending"),
        (newest, "pending"),
    ] {
        let now = lotse.pipeline("site/web", id).await;
        assert_eq!(now.status(), status, "{id}: {}", now.summary());
    }

    let set = ["project", "set", "site/web", "--auto-cancel", "disabled"];
    let set = lotse.run(&set).await;
    assert_eq!(set.code, 0, "{}", set.text());
    let project = lotse.get("/projects/site%2Fweb").await;
    assert_eq!(project["auto_cancel_pending_pipelines"], "disabled");
    push(&repository, ci, &["main"]).await;
    assert_eq!(lotse.pipeline("site/web", newest).await.status(), "pending");
    let nothing = lotse
        .request(Method::PUT, "/projects/site%2Fweb")
        .json(&json!({}));
    assert_eq!(lotse.ask(nothing).await.status, 400);
}

/// The moment is found, not guessed: as soon as the first of many is cancelled, the server dies.
#[tokio::test]
async fn a_server_killed_amid_the_cancelling_cancels_the_rest_when_it_starts_again() {
    const OLDER: usize = 40;
    const ROUNDS: usize = 10;
    let lotse = serve().await;
    let ci = "build: {script: [make]}\n";
    let (repository, first) = lotse.pushed("site/web", ci).await;
    let mut alive = vec![first];
    let mut cut = 0;
    for _round in 0..ROUNDS {
        let start = json!({ "ref": "main" });
        while alive.len() < OLDER {
            let made = lotse.post("/projects/site%2Fweb/pipeline", &start).await;
            alive.push(made["id"].as_i64().unwrap());
        }
        let before = superseded(&lotse);
        let commit = repository.commit("a newer one").await;
        let kill = async {
            until_canceled(&lotse, alive[0]).await;
            lotse.kill();
        };
        tokio::join!(repository.push(&["main"]), kill);
        cut += usize::from(superseded(&lotse) - before < OLDER);
        lotse.start_again().await;
        for &id in &alive {
            let ended = lotse.finished("site/web", id).await;
            assert_eq!(ended.summary(), "canceled: build canceled", "{id}");
        }
        // the newer one was made once, and is none of them
        let newest = lotse.latest_pipeline("site/web").await;
        let newest = lotse.pipeline("site/web", newest).await;
        assert_eq!(newest.summary(), "pending: build pending");
        assert_eq!(newest.pipeline["sha"], commit);
        let expected = alive.iter().max().unwrap() + 1;
        assert_eq!(newest.pipeline["id"], expected);
        alive = vec![expected];
        if cut == 3 {
            return;
        }
    }
    assert!(
        cut > 0,
        "every time all were cancelled before the server died"
    );
}

/// How many pipelines were told that a newer one is there, as the server's log says.
fn superseded(lotse: &Lotse) -> usize {
    lotse.server_log().matches("superseded").count()
}

async fn until_canceled(lotse: &Lotse, id: i64) {
    let path = format!("/projects/site%2Fweb/pipelines/{id}");
    let deadline = Instant::now() + PATIENCE;
    while lotse.get(&path).await["status"] != "canceled" {
        assert!(Instant::now() < deadline, "{id} is not cancelled");
    }
}

#[tokio::test]
async fn what_has_begun_is_cancelled_as_its_file_says() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    for (name, workflow, expected) in [
        // The default, `conservative`: a job that cannot be interrupted has begun.
        ("fixed", "", "running: test running, lint running"),
        (
            "conservative",
            "workflow: {auto_cancel: {on_new_commit: conservative}}\ndefault: {interruptible: true}\n",
            "canceled: test canceled, lint canceled",
        ),
        (
            "interruptible",
            "workflow: {auto_cancel: {on_new_commit: interruptible}}\n",
            "running: test running, lint canceled",
        ),
        (
            "none",
            "workflow: {auto_cancel: {on_new_commit: none}}\ndefault: {interruptible: true}\n",
            "running: test running, lint running",
        ),
    ] {
        let folder = folder(&lotse).join(name);
        fs_err::create_dir_all(&folder).unwrap();
        let test = waiting_job("test:", &folder);
        let lint = waiting_job("lint:\n  interruptible: true", &folder);
        let ci = format!("{workflow}{test}{lint}");
        let project = format!("site/{name}");
        let (repository, first) = lotse.pushed(&project, &ci).await;
        lotse
            .pipeline_when(&project, first, |now| {
                now.summary() == "running: test running, lint running"
            })
            .await;
        let next = push(&repository, "next: {script: ['true']}\n", &["main"]).await;
        assert_eq!(lotse.finished(&project, next).await.status(), "success");
        let seen = lotse
            .pipeline_when(&project, first, |now| !now.summary().contains("canceling"))
            .await;
        assert_eq!(seen.summary(), expected, "{name}");
        fs_err::write(folder.join("end"), "").unwrap();
        lotse.finished(&project, first).await;
    }
}

#[tokio::test]
async fn a_failure_cancels_the_rest_where_the_file_says_so() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let folder = folder(&lotse);
    let long = waiting_job("long:", &folder);
    let begun = folder.join("begun-long");
    let ci = format!(
        "workflow: {{auto_cancel: {{on_job_failure: all}}}}
{long}
bad: {{script: ['until [ -e {} ]; do sleep 0.05; done', 'exit 1']}}
later: {{stage: deploy, script: [make]}}
",
        begun.display()
    );
    let (_repository, id) = lotse.pushed("site/web", &ci).await;
    let done = lotse
        .pipeline_when("site/web", id, |now| {
            now.job_status("bad") == "failed" && now.job_status("long") == "canceled"
        })
        .await;
    assert_eq!(
        done.summary(),
        "failed: long canceled, bad failed, later canceled"
    );
}

/// Tags `names` of commits whose job `deploy` takes its turn in `prod` and notes it; `build` comes before
/// and waits for a file of the tag's name.
async fn tags(repository: &Repository, folder: &std::path::Path, names: &[&str]) -> Vec<i64> {
    let folder = folder.display();
    let ci = format!(
        "
build:
  stage: build
  script: ['until [ -e {folder}/$CI_COMMIT_TAG ]; do sleep 0.02; done']
deploy:
  stage: deploy
  resource_group: prod
  script:
    - echo $CI_COMMIT_TAG >> {folder}/order
    - 'until [ -e {folder}/go-$CI_COMMIT_TAG ]; do sleep 0.02; done'
"
    );
    let mut ids = Vec::new();
    for name in names {
        repository.commit_ci(&ci, name).await;
        repository.git(&["tag", name]).await;
        ids.push(repository.push(&[*name]).await.pipeline().unwrap());
    }
    ids
}

#[tokio::test]
async fn jobs_of_a_resource_group_take_turns_in_the_order_that_is_set() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let mark = |folder: &std::path::Path, name: &str| fs_err::write(folder.join(name), "").unwrap();
    for (mode, before_last, whole) in [
        // v2 is not ready, and is not waited for.
        ("unordered", "v1 v3 v4", "v1 v3 v4 v2"),
        ("newest_ready_first", "v1 v4 v3", "v1 v4 v3 v2"),
        // v2 is waited for; then nothing waits any more but what is younger.
        ("oldest_first", "v1", "v1 v2 v3 v4"),
        ("newest_first", "v1 v4 v3", "v1 v4 v3 v2"),
    ] {
        let folder = folder(&lotse).join(mode);
        fs_err::create_dir_all(&folder).unwrap();
        let project = format!("site/{}", mode.replace('_', "-"));
        let repository = lotse.repository(&project).await;
        let ids = tags(&repository, &folder, &["v1", "v2", "v3", "v4"]).await;
        let set = [
            "project",
            "resource-group",
            "prod",
            "--mode",
            mode,
            "--project",
            &project,
        ];
        let set = lotse.run(&set).await;
        assert_eq!(set.stdout, format!("prod: {mode}\n"), "{}", set.stderr);

        let order = || {
            let text = fs_err::read_to_string(folder.join("order")).unwrap_or_default();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let when = |id: i64, status: &'static str| {
            let project = project.clone();
            let lotse = &lotse;
            async move {
                lotse
                    .pipeline_when(&project, id, |now| now.job_status("deploy") == status)
                    .await
            }
        };
        // In this mode v1 would wait for v4: it is the only one until it has begun.
        if mode == "newest_first" {
            let unordered = ["project", "resource-group", "prod", "--mode", "unordered"];
            lotse
                .run(&[&unordered[..], &["--project", &project]].concat())
                .await;
        }
        mark(&folder, "v1");
        when(ids[0], "running").await;
        lotse
            .run(&[
                "project",
                "resource-group",
                "prod",
                "--mode",
                mode,
                "--project",
                &project,
            ])
            .await;
        for (name, id) in [("v3", ids[2]), ("v4", ids[3])] {
            mark(&folder, name);
            when(id, "waiting_for_resource").await;
        }
        for name in ["go-v1", "go-v3", "go-v4"] {
            mark(&folder, name);
        }
        when(ids[0], "success").await;
        if mode == "oldest_first" {
            for id in &ids[2..] {
                when(*id, "waiting_for_resource").await;
            }
        } else {
            for id in &ids[2..] {
                when(*id, "success").await;
            }
        }
        assert_eq!(order(), before_last, "{mode}");
        mark(&folder, "v2");
        mark(&folder, "go-v2");
        for id in &ids {
            let done = lotse.finished(&project, *id).await;
            assert_eq!(done.status(), "success", "{mode}: {}", done.summary());
        }
        assert_eq!(order(), whole, "{mode}");
    }
}

#[tokio::test]
async fn who_waits_for_an_older_pipeline_goes_on_when_that_is_cancelled() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let folder = folder(&lotse);
    let repository = lotse.repository("site/web").await;
    let ids = tags(&repository, &folder, &["v1", "v2"]).await;
    let groups = "/projects/site%2Fweb/resource_groups";
    let put = |key: &str, mode: &str| {
        lotse
            .request(Method::PUT, &format!("{groups}/{key}"))
            .json(&json!({ "process_mode": mode }))
    };
    let set = lotse.ask(put("prod", "oldest_first")).await;
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(lotse.ask(put("none", "oldest_first")).await.status, 404);
    assert_eq!(lotse.ask(put("prod", "fastest")).await.status, 422);
    let listed = lotse.get(groups).await;
    assert_eq!(listed[0]["key"], "prod");
    assert_eq!(listed[0]["process_mode"], "oldest_first");

    for name in ["v2", "go-v2"] {
        fs_err::write(folder.join(name), "").unwrap();
    }
    lotse
        .pipeline_when("site/web", ids[1], |now| {
            now.job_status("deploy") == "waiting_for_resource"
        })
        .await;
    let upcoming = lotse.get(&format!("{groups}/prod/upcoming_jobs")).await;
    assert_eq!(upcoming[0]["name"], "deploy", "{upcoming}");
    let cancel = format!("/projects/site%2Fweb/pipelines/{}/cancel", ids[0]);
    lotse.post(&cancel, &json!({})).await;
    let done = lotse.finished("site/web", ids[1]).await;
    assert_eq!(done.status(), "success", "{}", done.summary());
}
