//! Variables reach the jobs that may see them, with the value that counts, and masked ones never reach
//! a log.

use std::collections::BTreeMap;

use serde_json::json;
use testkit::lotse::Lotse;

use crate::{lines_after, serve};

const SECRET: &str = "s3cr3t+Value/with=signs";

async fn set(lotse: &Lotse, owner: &str, key: &str, value: &str, more: &[&str]) {
    let mut body = json!({ "key": key, "value": value });
    for word in more {
        if *word == "file" {
            body["variable_type"] = json!("file");
        } else {
            body[*word] = json!(true);
        }
    }
    lotse.post(&format!("{owner}/variables"), &body).await;
}

/// Pushes the file to a new project's branch or tag, waits for the end, and returns the job's lines.
async fn output_of(lotse: &Lotse, project: &str, ci: &str, git_ref: &str) -> Vec<String> {
    let repository = lotse.repository(project).await;
    repository.commit_ci(ci, "first").await;
    // the branch that exists first is the default branch
    repository.push(&["-o", "ci.skip", "main"]).await;
    let target = if git_ref.starts_with('v') {
        "tags"
    } else {
        "heads"
    };
    repository.commit("second").await;
    let refspec = format!("HEAD:refs/{target}/{git_ref}");
    let pushed = repository.push(&[&refspec]).await;
    let id = pushed
        .pipeline()
        .unwrap_or_else(|| panic!("{}", pushed.text));
    let end = lotse.finished(project, id).await;
    assert_eq!(
        end.status(),
        "success",
        "{}",
        lotse.log(project, end.job_id("job")).await
    );
    let log = lotse.log(project, end.job_id("job")).await;
    lines_after(&log, "$ ")
        .iter()
        .map(|&line| line.to_owned())
        .collect()
}

#[tokio::test]
async fn a_masked_value_is_in_no_log_however_it_is_cut() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    lotse.pushed("site/web", "job: {script: [make]}").await;
    set(
        &lotse,
        "/projects/site%2Fweb",
        "SECRET",
        SECRET,
        &["masked"],
    )
    .await;
    set(
        &lotse,
        "/groups/site",
        "OTHER",
        "another-hidden-one",
        &["masked"],
    )
    .await;
    let ci = r#"
job:
  variables: {COPY: "<$SECRET>"}
  script:
    - 'echo whole $SECRET end'
    - 'for i in $(seq 0 $((${#SECRET} - 1))); do printf %s "${SECRET:$i:1}"; sleep 0.01; done; echo " bytes"'
    - 'printf %s "${SECRET:0:9}"; sleep 0.2; printf "%s halves\n" "${SECRET:9}"'
    - 'echo -n "${SECRET%signs}"; echo -n signs; echo " twice"'
    - 'echo "$SECRET$SECRET joined $OTHER"'
    - 'echo in a variable $COPY'
    - 'echo to stderr $SECRET >&2'
    - 'echo "token $CI_JOB_TOKEN $CI_REGISTRY_PASSWORD $CI_REPOSITORY_URL"'
    - 'printf "%s" "${SECRET:0:12}"; sleep 0.2; echo " only a part"'
    - 'dd if=/dev/zero bs=65530 count=1 2>/dev/null | tr "\0" x; echo "$SECRET"'
    - 'set -x; : "$SECRET"; set +x'
    - 'ls "/$SECRET" || true'
  after_script: ['echo after $SECRET']
"#;
    let repository = lotse.repository("site/web").await;
    repository.git(&["pull", "-q", "lotse", "main"]).await;
    repository.commit_ci(ci, "shows secrets").await;
    let id = repository.push(&["main"]).await.pipeline().unwrap();
    let end = lotse.finished("site/web", id).await;
    let job = end.job_id("job");
    let log = lotse.log("site/web", job).await;
    assert_eq!(end.status(), "success", "{log}");
    assert!(!log.contains(SECRET), "{log}");
    assert!(!log.contains("another-hidden-one"), "{log}");
    assert!(
        !log.contains("job-token") && !log.contains("lotj-"),
        "{log}"
    );
    for line in [
        "whole [MASKED] end",
        "[MASKED] bytes",
        "[MASKED] halves",
        "[MASKED] twice",
        "[MASKED] joined [MASKED]",
        "in a variable <[MASKED]>",
        "to stderr [MASKED]",
        "s3cr3t+Value only a part",
        "+ : [MASKED]",
        "after [MASKED]",
    ] {
        assert!(
            log.lines().any(|found| found.contains(line)),
            "no {line} in\n{log}"
        );
    }
    let page = format!("/site/web/-/jobs/{job}/raw");
    assert_eq!(lotse.browser().await.page(&page).await, log);
    assert!(!lotse.server_log().contains(SECRET));
}

#[tokio::test]
async fn what_cannot_be_masked_is_refused() {
    let lotse = serve().await;
    lotse
        .post("/projects", &json!({ "path_with_namespace": "site/web" }))
        .await;
    for value in ["short", "two words of text", "two\nlines-of-text"] {
        let body = json!({ "key": "A", "value": value, "masked": true });
        let request = lotse.request(reqwest::Method::POST, "/projects/site%2Fweb/variables");
        let answer = lotse.ask(request.json(&body)).await;
        assert_eq!(answer.status, 400, "{value}: {answer:?}");
        assert!(answer.text.contains("cannot be masked"), "{answer:?}");
        assert!(!answer.text.contains(value), "{answer:?}");
    }
    assert_eq!(lotse.get("/projects/site%2Fweb/variables").await, json!([]));
}

#[tokio::test]
async fn files_references_protection_and_precedence() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    for project in ["a", "b", "c"] {
        let path = format!("org/site/{project}");
        lotse
            .post("/projects", &json!({ "path_with_namespace": path }))
            .await;
        let owner = format!("/projects/org%2Fsite%2F{project}");
        set(
            &lotse,
            &owner,
            "ENV_FILE",
            "A=1\nB='two words'\n",
            &["file"],
        )
        .await;
        set(&lotse, &owner, "TAG_PROD", "$CI_COMMIT_TAG", &[]).await;
        set(&lotse, &owner, "RAW", "$CI_COMMIT_TAG", &["raw"]).await;
        set(&lotse, &owner, "ONLY_PROTECTED", "opened", &["protected"]).await;
        set(&lotse, &owner, "LEVEL", "project", &[]).await;
    }
    set(&lotse, "/groups/org", "LEVEL", "outer group", &[]).await;
    set(&lotse, "/groups/org", "GROUPS", "outer group", &[]).await;
    set(&lotse, "/groups/org%2Fsite", "GROUPS", "inner group", &[]).await;
    set(&lotse, "/groups/org", "OUTER", "outer group", &[]).await;
    let ci = r#"
variables: {LEVEL: file, OWN: global, GROUPS: file, FROM: "<$OWN>"}
job:
  variables: {OWN: job, IMAGE: "$CI_REGISTRY_IMAGE:$TAG_PROD"}
  script:
    - 'cat "$ENV_FILE"'
    - 'echo $TAG_PROD. $RAW. $IMAGE.'
    - 'echo $ONLY_PROTECTED.'
    - 'echo $LEVEL, $GROUPS, $OUTER, $OWN, $FROM'
"#;
    let registry = lotse.address().to_string();
    let expected = |project: &str, tag: &str, protected: &str| {
        [
            "A=1".to_owned(),
            "B='two words'".to_owned(),
            format!("{tag}. $CI_COMMIT_TAG. {registry}/org/site/{project}:{tag}."),
            format!("{protected}."),
            "project, inner group, outer group, job, <job>".to_owned(),
        ]
    };
    for (project, git_ref, tag, protected) in [
        ("a", "v1.0.0", "v1.0.0", "opened"),
        ("b", "topic", "", ""),
        ("c", "main", "", "opened"),
    ] {
        let path = format!("org/site/{project}");
        let output = output_of(&lotse, &path, ci, git_ref).await;
        assert_eq!(
            output,
            expected(project, tag, protected),
            "{path} {git_ref}"
        );
    }
}

#[tokio::test]
async fn a_pipelines_own_variables_win() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let ci = "job: {variables: {WHO: file}, script: ['echo $WHO $CI_PIPELINE_SOURCE']}";
    lotse.pushed("site/web", ci).await;
    set(&lotse, "/projects/site%2Fweb", "WHO", "project", &[]).await;
    let ran = lotse
        .run(&[
            "pipeline",
            "run",
            "main",
            "-v",
            "WHO=me",
            "--watch",
            "--project",
            "site/web",
        ])
        .await;
    assert_eq!(ran.code, 0, "{}", ran.text());
    let end = lotse.finished("site/web", 2).await;
    let log = lotse.log("site/web", end.job_id("job")).await;
    assert_eq!(lines_after(&log, "$ "), ["me api"], "{log}");
}

/// The predefined variables of a tag's job. `…` stands for what differs from run to run.
const GOLDEN: &str = "\
CI=true
CI_API_V4_URL=http://HOST/api/v4
CI_BUILDS_DIR=…
CI_COMMIT_AUTHOR=Some Developer <developer@example.org>
CI_COMMIT_BEFORE_SHA=0000000000000000000000000000000000000000
CI_COMMIT_DESCRIPTION=and a body
CI_COMMIT_MESSAGE=A title||and a body|
CI_COMMIT_REF_NAME=v1.0.0
CI_COMMIT_REF_PROTECTED=true
CI_COMMIT_REF_SLUG=v1-0-0
CI_COMMIT_SHA=SHA
CI_COMMIT_SHORT_SHA=SHORT
CI_COMMIT_TAG=v1.0.0
CI_COMMIT_TAG_MESSAGE=The first release
CI_COMMIT_TIMESTAMP=…
CI_COMMIT_TITLE=A title
CI_CONCURRENT_ID=…
CI_CONCURRENT_PROJECT_ID=…
CI_CONFIG_PATH=.gitlab-ci.yml
CI_DEFAULT_BRANCH=main
CI_JOB_GROUP_NAME=my job
CI_JOB_ID=1
CI_JOB_NAME=my job 1/2
CI_JOB_NAME_SLUG=my-job-1-2
CI_JOB_STAGE=test
CI_JOB_STARTED_AT=…
CI_JOB_STATUS=running
CI_JOB_TIMEOUT=3600
CI_JOB_TOKEN=…
CI_JOB_URL=http://HOST/org/my-site/web.app/-/jobs/1
CI_NODE_INDEX=1
CI_NODE_TOTAL=2
CI_PIPELINE_CREATED_AT=…
CI_PIPELINE_ID=1
CI_PIPELINE_IID=1
CI_PIPELINE_SOURCE=push
CI_PIPELINE_URL=http://HOST/org/my-site/web.app/-/pipelines/1
CI_PROJECT_DIR=…
CI_PROJECT_ID=1
CI_PROJECT_NAME=web.app
CI_PROJECT_NAMESPACE=org/my-site
CI_PROJECT_NAMESPACE_SLUG=org-my-site
CI_PROJECT_PATH=org/my-site/web.app
CI_PROJECT_PATH_SLUG=org-my-site-web-app
CI_PROJECT_REPOSITORY_LANGUAGES=
CI_PROJECT_ROOT_NAMESPACE=org
CI_PROJECT_TITLE=web.app
CI_PROJECT_URL=http://HOST/org/my-site/web.app
CI_PROJECT_VISIBILITY=private
CI_REGISTRY=HOST
CI_REGISTRY_IMAGE=HOST/org/my-site/web.app
CI_REGISTRY_PASSWORD=…
CI_REGISTRY_USER=gitlab-ci-token
CI_REPOSITORY_URL=…
CI_RUNNER_DESCRIPTION=a test's runner
CI_RUNNER_EXECUTABLE_ARCH=…
CI_RUNNER_ID=1
CI_RUNNER_SHORT_TOKEN=…
CI_RUNNER_TAGS=[\"shell\"]
CI_RUNNER_VERSION=…
CI_SERVER=yes
CI_SERVER_FQDN=HOST
CI_SERVER_HOST=IP
CI_SERVER_NAME=GitLab
CI_SERVER_PORT=8929
CI_SERVER_PROTOCOL=http
CI_SERVER_REVISION=…
CI_SERVER_URL=http://HOST
CI_SERVER_VERSION=18.0.0
CI_SERVER_VERSION_MAJOR=18
CI_SERVER_VERSION_MINOR=0
CI_SERVER_VERSION_PATCH=0
CI_SHARED_ENVIRONMENT=true
GITLAB_CI=true
GITLAB_FEATURES=
GITLAB_USER_LOGIN=root
GITLAB_USER_NAME=root
";

#[tokio::test]
async fn predefined_variables() {
    let lotse = serve().await;
    let _runner = lotse.runner(&["shell"]).await;
    let ci = r#"
my job:
  tags: [shell]
  parallel: 2
  script:
    - 'env -0 | tr "\n\0" "|\n" | grep -E "^(CI|GITLAB)" | sed "s/^/=/"'
    - 'test "$CI_PROJECT_DIR" = "$PWD" && test -d "$CI_BUILDS_DIR" && echo folders are right'
    - 'test "$CI_REGISTRY_PASSWORD" = "$CI_JOB_TOKEN" && echo tokens are right'
    - 'test "$(git rev-parse HEAD)" = "$CI_COMMIT_SHA" && echo the commit is right'
"#;
    let project = "org/my-site/web.app";
    let repository = lotse.repository(project).await;
    let sha = repository.commit_ci(ci, "A title\n\nand a body").await;
    repository.push(&["-o", "ci.skip", "main"]).await;
    repository
        .git(&["tag", "-a", "-m", "The first release", "v1.0.0"])
        .await;
    let pushed = repository.push(&["v1.0.0"]).await;
    let id = pushed
        .pipeline()
        .unwrap_or_else(|| panic!("{}", pushed.text));
    let end = lotse.finished(project, id).await;
    assert_eq!(end.status(), "success", "{}", end.summary());
    let log = lotse.log(project, end.job_id("my job 1/2")).await;
    for right in [
        "folders are right",
        "tokens are right",
        "the commit is right",
    ] {
        assert!(log.contains(&format!("\n{right}")), "{log}");
    }
    let found: BTreeMap<&str, &str> = log
        .lines()
        .filter_map(|line| line.strip_prefix('=')?.split_once('='))
        .collect();
    let host = lotse.address().to_string();
    let ip = lotse.address().ip().to_string();
    for line in GOLDEN.lines() {
        let (name, expected) = line.split_once('=').unwrap();
        let value = found
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in\n{log}"));
        let expected = expected
            .replace("HOST", &host)
            .replace("IP", &ip)
            .replace("SHA", &sha)
            .replace("SHORT", &sha[..8]);
        assert!(
            expected == "…" || *value == expected,
            "{name}: {value}, not {expected}"
        );
    }
    // a tag has no branch
    assert!(!found.contains_key("CI_COMMIT_BRANCH"), "{log}");
    let known = |name: &str| {
        GOLDEN
            .lines()
            .any(|line| line.split('=').next() == Some(name))
    };
    let more: Vec<_> = found.keys().filter(|name| !known(name)).collect();
    assert!(more.is_empty(), "not in the list: {more:?}");
}
