//! Pipelines that start pipelines: children, other projects' pipelines, and what becomes of them when
//! something fails, is cancelled, retried, or when the server dies in between.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::lotse::{Lotse, Repository, Snapshot};

use crate::{lines_after, serve};

/// A project with the files of a parent and a child, pushed.
async fn pushed(lotse: &Lotse, parent: &str, child: &str) -> (Repository, i64) {
    let repository = lotse.repository("site/web").await;
    repository.write("child.yml", child);
    repository.commit_ci(parent, "first").await;
    let pushed = repository.push(&["main"]).await;
    assert!(pushed.ok, "{}", pushed.text);
    let id = pushed.pipeline();
    (repository, id.unwrap_or_else(|| panic!("{}", pushed.text)))
}

/// The number of the pipeline that a trigger job has started.
fn below(snapshot: &Snapshot, job: &str) -> Option<i64> {
    snapshot.job(job)["downstream_pipeline"]["id"].as_i64()
}

/// Waits until a trigger job has started its pipeline. Returns the number.
async fn child(lotse: &Lotse, pipeline: i64, job: &str) -> i64 {
    let seen = lotse
        .pipeline_when("site/web", pipeline, |now| below(now, job).is_some())
        .await;
    below(&seen, job).unwrap()
}

async fn ids(lotse: &Lotse, path: &str) -> Vec<i64> {
    let found = lotse.get(path).await;
    let items = found.as_array().unwrap().iter();
    items.map(|item| item["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_child_runs_as_a_part_of_its_parent() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let parent = "
stages: [build, deploy]
variables: {COLOUR: blue}
docs:
  stage: build
  variables: {WHERE: 'docs of $CI_COMMIT_BRANCH by $CI_JOB_NAME'}
  trigger:
    strategy: depend
    include: [{local: child.yml, inputs: {word: hello}}]
deploy: {stage: deploy, script: ['echo deployed']}
";
    let child_file = "
spec: {inputs: {word: {}}}
---
say:
  rules: [{if: '$CI_PIPELINE_SOURCE == \"parent_pipeline\" && $CI_UPSTREAM_PIPELINE_ID'}]
  script: ['echo $[[ inputs.word ]] $COLOUR: $WHERE, below $CI_UPSTREAM_PIPELINE_ID, $CI_COMMIT_SHA']
never: {rules: [{if: '$CI_PIPELINE_SOURCE == \"push\"'}], script: ['echo no']}
";
    let (repository, id) = pushed(&lotse, parent, child_file).await;
    let done = lotse.finished("site/web", id).await;
    assert_eq!(done.summary(), "success: docs success, deploy success");
    let child = below(&done, "docs").unwrap();
    let below = lotse.finished("site/web", child).await;
    assert_eq!(below.summary(), "success: say success");
    let sha = repository.git(&["rev-parse", "HEAD"]).await;
    let log = lotse.log("site/web", below.job_id("say")).await;
    let said = format!(
        "hello blue: docs of main by docs, below {id}, {}",
        sha.trim()
    );
    assert_eq!(lines_after(&log, "$ "), [said], "{log}");
    assert_eq!(below.pipeline["source"], "parent_pipeline");
    assert_eq!(below.pipeline["ref"], "main");

    // the API shows it where GitLab's does
    let project = "/projects/site%2Fweb";
    assert_eq!(ids(&lotse, &format!("{project}/pipelines")).await, [id]);
    let children = format!("{project}/pipelines?source=parent_pipeline");
    assert_eq!(ids(&lotse, &children).await, [child]);
    let jobs = format!("{project}/pipelines/{id}/jobs");
    assert_eq!(ids(&lotse, &jobs).await, [done.job_id("deploy")]);
    let bridges = lotse
        .get(&format!("{project}/pipelines/{id}/bridges"))
        .await;
    assert_eq!(bridges.as_array().unwrap().len(), 1);
    assert_eq!(bridges[0]["name"], "docs");
    assert_eq!(bridges[0]["downstream_pipeline"]["id"], child);
    assert_eq!(bridges[0]["downstream_pipeline"]["status"], "success");
    for (scope, count) in [("scope[]=failed&scope[]=success", 1), ("scope=failed", 0)] {
        let path = format!("{project}/pipelines/{id}/bridges?{scope}");
        assert_eq!(ids(&lotse, &path).await.len(), count, "{scope}");
    }

    // so do the command line and the pages
    let id = id.to_string();
    let shown = lotse
        .run(&["pipeline", "show", &id, "--project", "site/web"])
        .await;
    let line = format!("pipeline {child} success");
    assert!(shown.stdout.contains(&line), "{}", shown.text());
    let browser = lotse.browser().await;
    let page = browser.page(&format!("/site/web/-/pipelines/{id}")).await;
    let link = format!("href=\"/site/web/-/pipelines/{child}\"");
    assert!(page.contains(&link), "{page}");
    let page = browser
        .page(&format!("/site/web/-/pipelines/{child}"))
        .await;
    let link = format!("href=\"/site/web/-/pipelines/{id}\"");
    assert!(page.contains(&link), "{page}");
    let page = browser.page("/site/web").await;
    assert!(!page.contains(&format!("/pipelines/{child}\"")), "{page}");
}

#[tokio::test]
async fn a_failing_child_fails_its_parent_and_takes_it_along_when_it_is_mended() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let marker = lotse.data().join("../mended");
    let parent = "
stages: [build, deploy]
docs: {stage: build, trigger: {include: child.yml, strategy: depend}}
alone: {stage: build, trigger: {include: child.yml}}
deploy: {stage: deploy, script: ['echo deployed']}
";
    let child_file = format!("test: {{script: ['test -e {}']}}", marker.display());
    let (_repository, id) = pushed(&lotse, parent, &child_file).await;
    let failed = lotse.finished("site/web", id).await;
    assert_eq!(
        failed.summary(),
        "failed: docs failed, alone success, deploy skipped"
    );
    let first = below(&failed, "docs").unwrap();
    let watched = lotse
        .run(&[
            "pipeline",
            "watch",
            &id.to_string(),
            "--project",
            "site/web",
        ])
        .await;
    assert_eq!(watched.code, 1);
    let hint = format!("hint: see what failed with `lotse pipeline show {first}`");
    assert!(watched.stderr.contains(&hint), "{}", watched.text());

    // its job is retried, fails again, and is retried when the cause is gone
    let retry = format!("/projects/site%2Fweb/pipelines/{first}/retry");
    lotse.post(&retry, &json!({})).await;
    let again = |now: &Snapshot| now.status() == "failed" && now.job("test")["attempt"] == 2;
    lotse.pipeline_when("site/web", first, again).await;
    let failed = lotse.finished("site/web", id).await;
    assert_eq!(failed.job_status("docs"), "failed");
    fs_err::write(&marker, "").unwrap();
    lotse.post(&retry, &json!({})).await;
    let done = |now: &Snapshot| now.status() == "success";
    let done = lotse.pipeline_when("site/web", id, done).await;
    assert_eq!(
        done.summary(),
        "success: docs success, alone success, deploy success"
    );
    assert_eq!(done.job_id("docs"), failed.job_id("docs"));

    // another attempt of the trigger job has another child
    let retry = format!("/projects/site%2Fweb/jobs/{}/retry", done.job_id("docs"));
    lotse.post(&retry, &json!({})).await;
    let renewed = |now: &Snapshot| {
        below(now, "docs").is_some_and(|child| child != first) && now.status() == "success"
    };
    let renewed = lotse.pipeline_when("site/web", id, renewed).await;
    assert_eq!(renewed.job("docs")["attempt"], 2);
    let children = "/projects/site%2Fweb/pipelines?source=parent_pipeline";
    assert_eq!(ids(&lotse, children).await.len(), 3);
}

#[tokio::test]
async fn a_child_that_cannot_be_says_why_in_the_log_of_its_trigger_job() {
    let lotse = serve().await;
    let parent = "
broken: {trigger: {include: broken.yml}}
absent: {trigger: {include: absent.yml}}
empty: {trigger: {include: empty.yml}}
made: {stage: deploy, needs: [], trigger: {include: [{artifact: x.yml, job: gen}]}}
gen: {tags: [nobody], script: [x], artifacts: {paths: [x.yml]}}
deep: {trigger: {include: deep.yml, strategy: depend}}
self: {trigger: {project: site/web}}
";
    let repository = lotse.repository("site/web").await;
    repository.write("broken.yml", "job: {script: [x], stage: nowhere}");
    repository.write("empty.yml", "job: {script: [x], rules: [{when: never}]}");
    repository.write(
        "deep.yml",
        "deep: {trigger: {include: deep.yml, strategy: depend}}",
    );
    repository.commit_ci(parent, "first").await;
    let pushed = repository.push(&["main"]).await;
    let id = pushed
        .pipeline()
        .unwrap_or_else(|| panic!("{}", pushed.text));
    let names = ["broken", "absent", "empty", "made", "deep", "self"];
    let all_failed = |now: &Snapshot| names.iter().all(|name| now.job_status(name) == "failed");
    let failed = lotse.pipeline_when("site/web", id, all_failed).await;
    let creation = "downstream_pipeline_creation_failed";
    for (name, reason, said) in [
        ("broken", creation, "broken.yml:1:27"),
        ("absent", creation, "`absent.yml` cannot be included"),
        ("empty", creation, "nothing in"),
        (
            "made",
            creation,
            "gen, which is to have made x.yml, has no artifacts",
        ),
        ("self", "invalid_bridge_trigger", "`trigger: include`"),
    ] {
        let job = failed.job(name);
        assert_eq!(job["failure_reason"], reason, "{name}");
        assert_eq!(job["downstream_pipeline"], Value::Null, "{name}");
        let log = lotse.log("site/web", failed.job_id(name)).await;
        assert!(log.contains(said), "{name}: {log}");
    }
    // two levels of children are, the third is not
    let first = below(&failed, "deep").unwrap();
    let middle = lotse.finished("site/web", first).await;
    let second = below(&middle, "deep").unwrap();
    let lowest = lotse.finished("site/web", second).await;
    assert_eq!(
        lowest.job("deep")["failure_reason"],
        "reached_max_descendant_pipelines_depth"
    );
    assert_eq!(below(&lowest, "deep"), None);

    // mended, the same trigger job can be retried; it has the commit's files, so it is still wrong
    let retry = format!(
        "/projects/site%2Fweb/jobs/{}/retry",
        failed.job_id("broken")
    );
    lotse.post(&retry, &json!({})).await;
    let again =
        |now: &Snapshot| now.job("broken")["attempt"] == 2 && now.job_status("broken") == "failed";
    lotse.pipeline_when("site/web", id, again).await;
}

#[tokio::test]
async fn cancelling_a_pipeline_reaches_everything_below() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let parent = "
follows: {trigger: {include: child.yml, strategy: depend}}
alone: {trigger: {include: child.yml}}
waits: {stage: deploy, script: [echo]}
";
    let child_file = "
middle: {trigger: {include: low.yml}}
sleep: {script: ['echo begun', 'sleep 600']}
";
    let repository = lotse.repository("site/web").await;
    repository.write("low.yml", "low: {tags: [nobody], script: [x]}");
    repository.write("child.yml", child_file);
    repository.commit_ci(parent, "first").await;
    let pushed = repository.push(&["main"]).await;
    let id = pushed
        .pipeline()
        .unwrap_or_else(|| panic!("{}", pushed.text));
    let mut all = Vec::new();
    for name in ["follows", "alone"] {
        let child = child(&lotse, id, name).await;
        let low = self::child(&lotse, child, "middle").await;
        all.extend([child, low]);
    }
    let parent = lotse.pipeline("site/web", id).await;
    assert_eq!(parent.job_status("follows"), "running");
    assert_eq!(parent.job_status("alone"), "success");
    let cancel = format!("/projects/site%2Fweb/pipelines/{id}/cancel");
    lotse.post(&cancel, &json!({})).await;
    for child in all {
        let ended = lotse.finished("site/web", child).await;
        assert_eq!(ended.status(), "canceled", "{}", ended.summary());
    }
    let ended = lotse.finished("site/web", id).await;
    assert_eq!(
        ended.summary(),
        "canceled: follows canceled, alone success, waits canceled"
    );
}

#[tokio::test]
async fn a_server_killed_at_any_moment_makes_each_child_once() {
    const ROUNDS: u64 = 12;
    let lotse = serve().await;
    let parent = "
stages: [build, deploy]
docs: {stage: build, trigger: {include: child.yml, strategy: depend}}
deploy: {stage: deploy, trigger: {include: child.yml}}
";
    // a child that ends without a runner: so every step is the server's own
    let repository = lotse.repository("site/web").await;
    repository.write("low.yml", "wait: {tags: [nobody], script: ['true']}");
    repository.write("child.yml", "low: {trigger: {include: low.yml}}");
    repository.commit_ci(parent, "first").await;
    let pushed = repository.push(&["main"]).await;
    let id = pushed.pipeline().unwrap();
    let first = lotse.finished("site/web", id).await;
    assert_eq!(first.summary(), "success: docs success, deploy success");
    let mut pipelines = vec![id];
    for round in 0..ROUNDS {
        let start = json!({ "ref": "main" });
        let made = lotse.post("/projects/site%2Fweb/pipeline", &start).await;
        pipelines.push(made["id"].as_i64().unwrap());
        // before, while and after the child is made, runs and is told of
        tokio::time::sleep(Duration::from_millis(round * 12)).await;
        lotse.kill();
        lotse.start_again().await;
    }
    let mut expected = Vec::new();
    for &id in &pipelines {
        let done = lotse.finished("site/web", id).await;
        assert_eq!(done.summary(), "success: docs success, deploy success");
        for name in ["docs", "deploy"] {
            assert_eq!(done.job(name)["attempt"], 1);
            let child = below(&done, name).unwrap();
            let ended = lotse.finished("site/web", child).await;
            assert_eq!(ended.summary(), "success: low success");
            expected.extend([child, below(&ended, "low").unwrap()]);
        }
    }
    let path = "/projects/site%2Fweb/pipelines?source=parent_pipeline&per_page=100";
    let mut children = ids(&lotse, path).await;
    children.sort_unstable();
    expected.sort_unstable();
    assert_eq!(children, expected);
}

#[tokio::test]
async fn a_cancel_outlives_the_server() {
    const CHILDREN: usize = 40;
    let lotse = serve().await;
    let numbers: Vec<_> = (0..CHILDREN).map(|number| number.to_string()).collect();
    let parent = format!(
        "docs: {{parallel: {{matrix: [{{N: [{}]}}]}}, trigger: {{include: child.yml, strategy: depend}}}}",
        numbers.join(", ")
    );
    let child_file = "test: {tags: [nobody], script: ['true']}";
    let (_repository, id) = pushed(&lotse, &parent, child_file).await;
    let has_child = |job: &Value| job["downstream_pipeline"]["id"].is_i64();
    let all = |now: &Snapshot| now.jobs.iter().all(has_child) && now.status() == "running";
    let before = lotse.pipeline_when("site/web", id, all).await;
    let cancel = format!("/projects/site%2Fweb/pipelines/{id}/cancel");
    lotse.post(&cancel, &json!({})).await;
    // most of the children have not heard of it yet
    lotse.kill();
    lotse.start_again().await;
    assert_eq!(before.jobs.len(), CHILDREN);
    for job in &before.jobs {
        let child = job["downstream_pipeline"]["id"].as_i64().unwrap();
        let ended = lotse.finished("site/web", child).await;
        assert_eq!(ended.summary(), "canceled: test canceled");
    }
    let ended = lotse.finished("site/web", id).await;
    assert_eq!(ended.status(), "canceled", "{}", ended.summary());
}

/// A user with these levels on projects. Returns the token.
async fn user(lotse: &Lotse, name: &str, levels: &[(&str, i64)]) -> String {
    let made = lotse.post("/users", &json!({ "username": name })).await;
    for (project, level) in levels {
        let member = json!({ "username": name, "access_level": level });
        let path = format!("/projects/site%2F{project}/members");
        lotse.post(&path, &member).await;
    }
    made["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn another_projects_pipeline_needs_the_rights_of_whoever_started_this_one() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let below_file = "
spec: {inputs: {word: {default: none}}}
---
say:
  rules: [{if: '$CI_PIPELINE_SOURCE == \"pipeline\"'}]
  script: ['echo $[[ inputs.word ]]: $VERSION for $GIVEN in $CI_PROJECT_PATH on $CI_COMMIT_BRANCH, $SECRET']
";
    let api = lotse.repository("site/api").await;
    let commit = api.commit_ci(below_file, "first").await;
    api.git(&["branch", "next"]).await;
    assert!(api.push(&["main", "next"]).await.ok);
    let above_file = "
api:
  variables: {VERSION: 'web-$CI_COMMIT_BRANCH', SECRET: 'it is $TOKEN'}
  trigger:
    project: site/api
    branch: $BRANCH
    strategy: depend
    forward: {pipeline_variables: true}
    inputs: {word: hello}
";
    let web = lotse.repository("site/web").await;
    web.commit_ci(above_file, "first").await;
    assert!(web.push(&["main", "-o", "ci.skip"]).await.ok);
    let secret = json!({ "key": "TOKEN", "value": "s3cr3t-of-web", "masked": true });
    lotse.post("/projects/site%2Fweb/variables", &secret).await;
    let developer = user(&lotse, "developer", &[("web", 30), ("api", 30)]).await;
    let reporter = user(&lotse, "reporter", &[("web", 30), ("api", 20)]).await;
    let stranger = user(&lotse, "stranger", &[("web", 30)]).await;

    for (token, branch, reason, said) in [
        (&developer, "next", Value::Null, "made pipeline #"),
        (
            &developer,
            "gone",
            json!("downstream_pipeline_creation_failed"),
            "site/api does not have a branch or tag gone",
        ),
        (
            &reporter,
            "next",
            json!("insufficient_bridge_permissions"),
            "reporter, who started this pipeline, may not start one in site/api",
        ),
        (
            &stranger,
            "next",
            json!("downstream_bridge_project_not_found"),
            "there is no project site/api, or stranger",
        ),
    ] {
        let variables = json!([
            { "key": "BRANCH", "value": branch },
            { "key": "GIVEN", "value": "everyone" },
        ]);
        let request = lotse
            .bare_request(Method::POST, "/api/v4/projects/site%2Fweb/pipeline")
            .header("private-token", token)
            .json(&json!({ "ref": "main", "variables": variables }));
        let made = lotse.ask(request).await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.json()["id"].as_i64().unwrap();
        let done = lotse.finished("site/web", id).await;
        assert_eq!(done.job("api")["failure_reason"], reason, "{branch}");
        let log = lotse.log("site/web", done.job_id("api")).await;
        assert!(log.contains(said), "{log}");
        assert_eq!(done.status() == "success", reason.is_null());
    }

    // the one that was made is the other project's own, by developer
    let made = lotse.get("/projects/site%2Fapi/pipelines").await;
    assert_eq!(made.as_array().unwrap().len(), 1, "{made}");
    assert_eq!(made[0]["source"], "pipeline");
    assert_eq!(made[0]["ref"], "next");
    assert_eq!(made[0]["sha"], commit);
    assert_eq!(made[0]["user"]["username"], "developer");
    let below = lotse
        .finished("site/api", made[0]["id"].as_i64().unwrap())
        .await;
    let log = lotse.log("site/api", below.job_id("say")).await;
    let said = "hello: web-main for everyone in site/api on next, [MASKED]";
    assert_eq!(lines_after(&log, "$ "), [said], "{log}");
}

#[tokio::test]
async fn a_trigger_job_whose_pipeline_is_deleted_with_its_project_fails() {
    let lotse = serve().await;
    let _runner = lotse.runner(&["shell"]).await;
    for (round, strategy, waits, dies) in [
        ("alive", "depend", "running", false),
        ("manual", "mirror", "manual", false),
        ("killed", "depend", "running", true),
    ] {
        let api = lotse.repository(&format!("{round}/api")).await;
        let below = match waits {
            "manual" => "ask: {when: manual, allow_failure: false, script: [x]}",
            _ => "wait: {tags: [nobody], script: [x]}",
        };
        api.commit_ci(below, "first").await;
        assert!(api.push(&["main", "-o", "ci.skip"]).await.ok);
        let web = format!("{round}/web");
        let above = format!(
            "
stages: [build, deploy]
api: {{stage: build, trigger: {{project: {round}/api, strategy: {strategy}}}}}
deploy: {{stage: deploy, tags: [shell], script: ['echo deployed']}}
"
        );
        let (_repository, id) = lotse.pushed(&web, &above).await;
        lotse
            .pipeline_when(&web, id, |now| {
                now.job_status("api") == waits && now.job("api")["downstream_pipeline"].is_object()
            })
            .await;
        let path = format!("/projects/{round}%2Fapi");
        let delete = lotse.request(Method::DELETE, &path);
        assert_eq!(lotse.ask(delete).await.status, 202);
        if dies {
            lotse.kill();
            lotse.start_again().await;
        }
        let done = lotse.finished(&web, id).await;
        assert_eq!(done.summary(), "failed: api failed, deploy skipped");
        let reason = "downstream_bridge_project_not_found";
        assert_eq!(done.job("api")["failure_reason"], reason, "{round}");
        let log = lotse.log(&web, done.job_id("api")).await;
        assert!(log.contains("its project was deleted"), "{round}: {log}");
    }
}

#[tokio::test]
async fn projects_that_start_each_other_do_not_go_on_for_ever() {
    let lotse = serve().await;
    for (project, other) in [("api", "web"), ("web", "api")] {
        let repository = lotse.repository(&format!("site/{project}")).await;
        let ci = format!("next: {{trigger: {{project: site/{other}, strategy: depend}}}}");
        repository.commit_ci(&ci, "first").await;
        assert!(repository.push(&["main", "-o", "ci.skip"]).await.ok);
    }
    let start = json!({ "ref": "main" });
    let made = lotse.post("/projects/site%2Fweb/pipeline", &start).await;
    let id = made["id"].as_i64().unwrap();
    let done = lotse.finished("site/web", id).await;
    assert_eq!(done.summary(), "failed: next failed");
    let mut all = Vec::new();
    for project in ["web", "api"] {
        let path = format!("/projects/site%2F{project}/pipelines");
        all.extend(ids(&lotse, &path).await);
    }
    // one started by hand, then each project twice by the other, and one to whom it is said
    assert_eq!(all.len(), 6, "{all:?}");
    let last = all.iter().max().unwrap();
    let jobs = lotse.server_log();
    assert!(!jobs.contains("ERROR"), "{jobs}");
    let mut reasons = Vec::new();
    for project in ["web", "api"] {
        let path = format!("/projects/site%2F{project}/pipelines/{last}/bridges");
        let found = lotse.ask(lotse.request(Method::GET, &path)).await;
        if found.status == 200 {
            reasons.push(found.json()[0]["failure_reason"].clone());
        }
    }
    assert_eq!(reasons, [json!("pipeline_loop_detected")]);
}
