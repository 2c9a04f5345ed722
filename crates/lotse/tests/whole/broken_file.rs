//! A `.gitlab-ci.yml` with mistakes: the push is stored, and everybody hears of every mistake.

use crate::serve;

const BROKEN: &str = "\
stages: [build, test]

build:
  stage: biuld
  script: make

test:
  stage: test
  scrpt: make test

deploy:
  stage: test
  needs: [bulid]
  script: [make deploy]
";

#[tokio::test]
async fn every_mistake_is_told_where_somebody_looks() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let (repository, id) = lotse.pushed("site/web", BROKEN).await;
    let broken = lotse.finished("site/web", id).await;
    assert_eq!(broken.summary(), "failed: ");
    let api = broken.pipeline["yaml_errors"].as_str().unwrap().to_owned();
    let pushed = {
        repository.commit("again").await;
        repository.push(&["main"]).await
    };
    assert!(pushed.ok, "{}", pushed.text);
    assert!(
        pushed
            .remote
            .contains(".gitlab-ci.yml has errors, so pipeline #2 has failed"),
        "{}",
        pushed.remote
    );
    let page = format!("/site/web/-/pipelines/{id}");
    let html = lotse.browser().await.page(&page).await;
    let shown = lotse
        .run(&["pipeline", "show", &id.to_string(), "--project", "site/web"])
        .await;
    for (place, source_line) in [
        (".gitlab-ci.yml:4:10", "stage: biuld"),
        (".gitlab-ci.yml:7:1", "test:"),
        (".gitlab-ci.yml:13:11", "needs: [bulid]"),
    ] {
        for (who, text) in [
            ("push", &pushed.remote),
            ("API", &api),
            ("page", &html),
            ("command line", &shown.stdout),
        ] {
            assert!(text.contains(place), "{who}: no {place} in\n{text}");
            assert!(
                text.contains(source_line),
                "{who}: no {source_line} in\n{text}"
            );
        }
    }
    let hints = [&pushed.remote, &api, &html, &shown.stdout].map(|text| {
        text.lines()
            .filter(|line| line.contains("help: ") || line.contains("hint: "))
            .count()
    });
    assert_eq!(hints, [hints[0]; 4]);
    assert!(hints[0] >= 2, "{api}");

    repository
        .commit_ci("build: {script: [echo mended]}", "mended")
        .await;
    let mended = repository.push(&["main"]).await.pipeline().unwrap();
    let mended = lotse.finished("site/web", mended).await;
    assert_eq!(mended.summary(), "success: build success");
}

#[tokio::test]
async fn what_is_no_yaml_is_told_and_an_unknown_keyword_is_a_warning() {
    let lotse = serve().await;
    for (number, ci, expected) in [
        (1, "build:\n  script: [make\nnext: x\n", "error"),
        (2, "build:\n\tscript: make\n", ".gitlab-ci.yml:2:"),
        (3, "- just\n- a list\n", ".gitlab-ci.yml:1:1"),
        (4, "build: {script: [make], colour: red}\n", "warning"),
    ] {
        let project = format!("site/web{number}");
        let (_repository, id) = lotse.pushed(&project, ci).await;
        let now = lotse.pipeline(&project, id).await;
        let page = format!("/{project}/-/pipelines/{id}");
        let html = lotse.browser().await.page(&page).await;
        if expected == "warning" {
            assert_eq!(now.summary(), "pending: build pending");
        } else {
            assert_eq!(now.status(), "failed", "{ci}");
            let errors = now.pipeline["yaml_errors"].as_str().unwrap();
            assert!(errors.contains(expected), "{errors}");
            assert!(html.contains("What is wrong with the file"), "{html}");
        }
    }
}

#[tokio::test]
async fn a_warning_is_shown_at_the_push_and_the_pipeline_runs() {
    let lotse = serve().await;
    let repository = lotse.repository("site/web").await;
    repository
        .commit_ci("build: {script: [make], colour: red}\n", "first")
        .await;
    let pushed = repository.push(&["main"]).await;
    assert!(pushed.remote.contains("colour"), "{}", pushed.remote);
    assert!(pushed.remote.contains("warning"), "{}", pushed.remote);
    assert!(pushed.pipeline().is_some());
}

#[tokio::test]
async fn without_anything_to_run_the_push_says_why_there_is_no_pipeline() {
    let lotse = serve().await;
    let repository = lotse.repository("site/web").await;
    repository.commit("no file").await;
    let pushed = repository.push(&["main"]).await;
    let nothing = "lotse: main: no pipeline: there is no .gitlab-ci.yml at this commit";
    assert!(pushed.remote.contains(nothing), "{}", pushed.remote);
    let ci = "deploy: {only: [tags], script: [make]}";
    repository.commit_ci(ci, "only tags").await;
    let pushed = repository.push(&["main"]).await;
    let nothing = "lotse: main: no pipeline: nothing in .gitlab-ci.yml runs for it";
    assert!(pushed.remote.contains(nothing), "{}", pushed.remote);
    repository.git(&["tag", "v1"]).await;
    let pushed = repository.push(&["v1"]).await;
    assert_eq!(pushed.pipeline(), Some(1), "{}", pushed.remote);
    repository.commit("again [skip ci]").await;
    let pushed = repository.push(&["HEAD:refs/heads/other"]).await;
    assert!(pushed.remote.contains("[skip ci]"), "{}", pushed.remote);
}
