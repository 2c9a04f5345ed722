//! Files that a CI file includes from elsewhere: other projects, components, templates, any address; and
//! what happens when they cannot be had.

use std::net::SocketAddr;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use reqwest::Method;
use serde_json::json;
use testkit::lotse::{Lotse, Repository, Setup};
use tokio::net::TcpListener;

use crate::{lines_after, serve};

/// A project with a file for others, which includes one of its own, and a component.
async fn parts(lotse: &Lotse) -> Repository {
    let parts = lotse.repository("parts/lib").await;
    let build = "include: '/ci/*e.yml'\nbuild: {extends: .base, script: [echo built by $OF]}\n";
    parts.write("ci/build.yml", build);
    parts.write("ci/base.yml", ".base: {variables: {OF: first}}\n");
    let component = |version: &str| {
        format!(
            "spec:\n  component: [version]\n  inputs:\n    to: {{}}\n---\nto $[[ inputs.to ]]:\n  script: [echo {version}, echo found $[[ component.version ]]]\n"
        )
    };
    for version in ["1.0.0", "1.2.0", "2.0.0-rc1"] {
        parts.write("templates/ship.yml", &component(version));
        parts.commit(version).await;
        parts.git(&["tag", version]).await;
    }
    parts.write("ci/base.yml", ".base: {variables: {OF: second}}\n");
    parts.commit("second").await;
    let pushed = parts.push(&["main", "1.0.0", "1.2.0", "2.0.0-rc1"]).await;
    assert!(pushed.ok, "{}", pushed.text);
    parts
}

const SITE: &str = "
there:
  script: ['true']
  rules: [{exists: {paths: [templates/ship.yml], project: parts/lib, ref: 1.0.0}}]
not there:
  script: [make]
  rules: [{exists: {paths: [templates/none.yml], project: parts/lib, ref: 1.0.0}}]
include:
  - {project: parts/lib, file: ci/build.yml, ref: 1.0.0}
  - component: $CI_SERVER_FQDN/parts/lib/ship@~latest
    inputs: {to: prod}
  - component: $CI_SERVER_FQDN/parts/lib/ship@2.0.0-rc1
    inputs: {to: test}
";

#[tokio::test]
async fn other_projects_files_and_components_are_part_of_the_pipeline() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    parts(&lotse).await;
    let (site, id) = lotse.pushed("site/web", SITE).await;
    let done = lotse.finished("site/web", id).await;
    assert_eq!(
        done.summary(),
        "success: build success, to prod success, to test success, there success"
    );
    for (job, command, said) in [
        // The local include of the other project is read at the same commit.
        ("build", "echo built", "built by first"),
        ("to prod", "echo 1.2.0", "1.2.0"),
        ("to prod", "echo found", "found 1.2.0"),
        ("to test", "echo 2.0.0", "2.0.0-rc1"),
    ] {
        let log = lotse.log("site/web", done.job_id(job)).await;
        assert!(lines_after(&log, command).contains(&said), "{job}: {log}");
    }

    // The same on one's own machine, through the API.
    let file = site.folder().join(".gitlab-ci.yml");
    let file = file.to_str().unwrap();
    let shown = lotse.run(&["ci", "show", file, "--jobs"]).await;
    assert!(
        shown
            .stdout
            .starts_with("test\n  build\n  to prod\n  to test\n  there\nwould not run\n"),
        "{}",
        shown.text()
    );
    let yaml = lotse.run(&["ci", "show", file]).await;
    assert!(yaml.stdout.contains("OF: first"), "{}", yaml.text());
    let stranger = lotse.run_bare(&["ci", "lint", file]).await;
    assert_eq!(stranger.code, 0, "{}", stranger.text());
    let unseen = "was not looked at: no server is known";
    assert!(stranger.stdout.contains(unseen), "{}", stranger.stdout);
    let offline = lotse
        .run(&["ci", "show", file, "--jobs", "--offline"])
        .await;
    assert_eq!(offline.code, 1, "{}", offline.text());
    assert!(
        offline.stderr.contains("--offline asks nobody"),
        "{}",
        offline.stderr
    );
}

#[tokio::test]
async fn what_cannot_be_had_is_said_with_its_place() {
    let lotse = serve().await;
    parts(&lotse).await;
    let here = lotse.address();
    let site = lotse.repository("site/web").await;
    for (include, expected) in [
        (
            "{project: parts/lib, file: no.yml}",
            "there is no such file at its default branch",
        ),
        (
            "{project: parts/lib, file: ci/build.yml, ref: v9}",
            "parts/lib has no ref `v9`",
        ),
        (
            "{project: parts/none, file: a.yml}",
            "there is no project `parts/none`, or you may not read it",
        ),
        (
            "{component: $CI_SERVER_FQDN/parts/lib/none@1}",
            "there is neither `templates/none.yml` nor",
        ),
        (
            "{component: $CI_SERVER_FQDN/parts/lib/ship@7}",
            "parts/lib has no ref `7`",
        ),
        (
            "{component: example.org/parts/lib/ship@1}",
            "can be included only",
        ),
        (
            "{component: ship}",
            "write `$CI_SERVER_FQDN/group/project/name@version`",
        ),
        ("{template: Jobs/Build.gitlab-ci.yml}", "--templates FOLDER"),
        (
            "{remote: 'http://127.0.0.1:1/a.yml'}",
            "--allow-local-includes",
        ),
        (
            "{remote: 'http://localhost:1/a.yml'}",
            "its host has no public address",
        ),
        (
            "{remote: 'http://[::ffff:127.0.0.1]/a.yml'}",
            "its host has no public address",
        ),
    ] {
        let ci = format!("include: [{include}]\nbuild: {{script: [make]}}\n");
        site.commit_ci(&ci, include).await;
        let pushed = site.push(&["main"]).await;
        assert!(pushed.ok, "{}", pushed.text);
        for part in [expected, ".gitlab-ci.yml:1:11", "has errors, so pipeline #"] {
            assert!(
                pushed.remote.contains(part),
                "{here}: {include}: {}",
                pushed.remote
            );
        }
    }
}

#[tokio::test]
async fn files_of_other_projects_are_read_with_the_rights_of_whoever_pushes() {
    let lotse = serve().await;
    parts(&lotse).await;
    lotse.repository("site/web").await;
    lotse.pushed("site/web", "first: {script: [make]}\n").await;
    let stranger = lotse
        .post("/users", &json!({ "username": "stranger" }))
        .await;
    let member = |level: i64| json!({ "username": "stranger", "access_level": level });
    lotse.post("/groups/site/members", &member(40)).await;
    let site = lotse
        .repository_as("site/other", stranger["token"].as_str().unwrap())
        .await;
    site.commit_ci(SITE, "with parts").await;
    let refused = site.push(&["main"]).await;
    assert!(refused.ok, "{}", refused.text);
    for part in [
        "there is no project `parts/lib`, or you may not read it",
        "a reporter there",
    ] {
        assert!(refused.remote.contains(part), "{}", refused.remote);
    }
    lotse.post("/groups/parts/members", &member(20)).await;
    site.commit("again").await;
    let id = site.push(&["main"]).await.pipeline().unwrap();
    let now = lotse.pipeline("site/other", id).await;
    assert_eq!(now.status(), "pending", "{}", now.summary());
}

/// A host with files, and with what is wrong with hosts.
async fn host() -> SocketAddr {
    let around = || async { Redirect::temporary("/around") };
    let routes = Router::new()
        .route("/part.yml", get(|| async { "part: {script: [make]}\n" }))
        .route(
            "/nested.yml",
            get(|| async { "include: {remote: '$PART'}\n" }),
        )
        .route(
            "/there.yml",
            get(|| async { Redirect::temporary("/part.yml") }),
        )
        .route("/around", get(around))
        .route("/large.yml", get(|| async { "#".repeat((2 << 20) + 1) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// The checksum of `/part.yml`.
const PART: &str = "sha256-akVbKSAbwcxxUdKSN8yCZWOclQcKbnBqk80fkCX8zMU=";

#[tokio::test]
async fn remote_files_and_templates_within_their_bounds() {
    let templates = tempfile::tempdir().unwrap();
    fs_err::create_dir(templates.path().join("Jobs")).unwrap();
    let template = "templated: {script: [make]}\n";
    fs_err::write(templates.path().join("Jobs/Test.gitlab-ci.yml"), template).unwrap();
    let folder = templates.path().to_str().unwrap().to_owned();
    let lotse = Lotse::start_with(
        env!("CARGO_BIN_EXE_lotse"),
        Setup {
            arguments: vec![
                "--allow-local-includes".into(),
                "--templates".into(),
                folder,
            ],
            ..Setup::default()
        },
    )
    .await;
    let host = host().await;
    let site = lotse.repository("site/web").await;
    let file = site.folder().join(".gitlab-ci.yml");
    let file = file.to_str().unwrap();
    for (include, right, expected) in [
        (format!("http://{host}/part.yml"), true, "part"),
        (format!("http://{host}/there.yml"), true, "part"),
        (
            format!("{{remote: 'http://{host}/part.yml', integrity: '{PART}'}}"),
            true,
            "part",
        ),
        (
            "{template: Jobs/Test.gitlab-ci.yml}".to_owned(),
            true,
            "templated",
        ),
        (
            format!(
                "{{remote: 'http://{host}/part.yml', integrity: 'sha256-YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY='}}"
            ),
            false,
            "its checksum is `sha256-",
        ),
        (
            format!("http://{host}/none.yml"),
            false,
            "the host answers 404",
        ),
        (
            format!("http://{host}/large.yml"),
            false,
            "it has more than 2097152 bytes",
        ),
        (
            format!("http://{host}/around"),
            false,
            "it is sent on more than 5 times",
        ),
        // Nobody listens: the port is privileged.
        (
            "http://127.0.0.1:1/a.yml".to_owned(),
            false,
            "cannot be fetched",
        ),
        // A file from elsewhere sees no variables.
        (format!("http://{host}/nested.yml"), false, "`$PART`"),
        (
            "{template: Jobs/None.gitlab-ci.yml}".to_owned(),
            false,
            "no such template",
        ),
        (
            "{template: ../Jobs/Test.gitlab-ci.yml}".to_owned(),
            false,
            "template",
        ),
    ] {
        let part = "variables: {PART: 'http://127.0.0.1:1/part.yml'}";
        let ci = format!("include: [{include}]\n{part}\nbuild: {{script: [make]}}\n");
        site.commit_ci(&ci, &include).await;
        let pushed = site.push(&["main"]).await;
        let shown = lotse.run(&["ci", "show", file, "--jobs"]).await;
        if right {
            let id = pushed.pipeline().unwrap();
            let now = lotse.pipeline("site/web", id).await;
            assert_eq!(now.job_status(expected), "pending", "{}", pushed.remote);
            assert!(shown.stdout.contains(expected), "{}", shown.text());
        } else {
            assert!(
                pushed.remote.contains(expected),
                "{include}: {}",
                pushed.remote
            );
            assert!(
                shown.stderr.contains(expected),
                "{include}: {}",
                shown.text()
            );
        }
    }
}

#[tokio::test]
async fn a_host_that_never_answers_holds_a_push_up_for_a_while_only() {
    let lotse = Lotse::start_with(
        env!("CARGO_BIN_EXE_lotse"),
        Setup {
            arguments: vec!["--allow-local-includes".into()],
            ..Setup::default()
        },
    )
    .await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let site = lotse.repository("site/web").await;
    let ci = format!("include: [http://{address}/a.yml, http://{address}/b.yml]\n");
    site.commit_ci(&ci, "first").await;
    let pushed = site.push(&["main"]).await;
    let late = "it has not come within 10 seconds";
    assert_eq!(pushed.remote.matches(late).count(), 2, "{}", pushed.remote);
    drop(silent);
}

/// `compare_to` compares with where the ref and the commit parted, on new branches and tags too.
#[tokio::test]
async fn changes_against_another_ref() {
    let lotse = serve().await;
    let site = lotse.repository("site/web").await;
    let ci = |to: &str| {
        let changes =
            |path: &str| format!("rules: [{{changes: {{paths: [{path}], compare_to: {to}}}}}]");
        format!(
            "always: {{script: [make]}}\ndocs: {{script: [make], {}}}\ncode: {{script: [make], {}}}\n",
            changes("docs/*"),
            changes("src/*")
        )
    };
    site.commit_ci(&ci("main"), "first").await;
    site.push(&["main"]).await;
    site.git(&["checkout", "-q", "-b", "topic"]).await;
    site.write("docs/a.md", "new");
    site.commit("docs").await;
    site.git(&["checkout", "-q", "main"]).await;
    site.write("src/a.rs", "new");
    site.commit("main goes on").await;
    site.git(&["checkout", "-q", "topic"]).await;
    site.push(&["main"]).await;
    let shown = |names: &str| format!("pending: {names}");
    let id = site.push(&["topic"]).await.pipeline().unwrap();
    let now = lotse.pipeline("site/web", id).await;
    assert_eq!(now.summary(), shown("always pending, docs pending"));
    let file = site.folder().join(".gitlab-ci.yml");
    let on_disk = lotse
        .run(&["ci", "show", file.to_str().unwrap(), "--jobs"])
        .await;
    assert!(
        on_disk.stdout.starts_with("test\n  always\n  docs\nwould"),
        "{}",
        on_disk.text()
    );

    site.commit_ci(&ci("nowhere"), "no such ref").await;
    let pushed = site.push(&["topic"]).await;
    let wrong = "`compare_to` names `nowhere`, which is no ref here";
    assert!(pushed.remote.contains(wrong), "{}", pushed.remote);
    let on_disk = lotse
        .run(&["ci", "show", file.to_str().unwrap(), "--jobs"])
        .await;
    assert!(on_disk.stderr.contains(wrong), "{}", on_disk.text());
}

#[tokio::test]
async fn files_tags_and_templates_are_there_in_gitlabs_shapes() {
    let lotse = serve().await;
    let parts = parts(&lotse).await;
    let head = parts.git(&["rev-parse", "HEAD"]).await.trim().to_owned();
    let path = "/projects/parts%2Flib/repository/files/ci%2Fbase.yml";
    let raw = |query: &str| lotse.request(Method::GET, &format!("{path}/raw{query}"));
    for (query, expected) in [
        ("", "second"),
        ("?ref=main", "second"),
        ("?ref=HEAD", "second"),
        ("?ref=1.0.0", "first"),
        ("?ref=refs/tags/1.0.0", "first"),
        (format!("?ref={head}").as_str(), "second"),
        (format!("?ref={}", &head[..8]).as_str(), "second"),
    ] {
        let answer = lotse.ask(raw(query)).await;
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        assert!(answer.text.contains(expected), "{query}: {answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(lotse.ask(raw("")).await.header("x-gitlab-commit-id"), head);
    for query in ["?ref=none", "?ref=HEAD~1", "?ref=:/second", "?ref=--all"] {
        assert_eq!(lotse.ask(raw(query)).await.status, 404, "{query}");
    }
    let file = lotse.get(&format!("{path}?ref=main")).await;
    assert_eq!(file["encoding"], "base64");
    assert_eq!(
        file["content"],
        "LmJhc2U6IHt2YXJpYWJsZXM6IHtPRjogc2Vjb25kfX0K"
    );
    let tree = lotse
        .get("/projects/parts%2Flib/repository/tree?ref=1.0.0")
        .await;
    let kinds = tree
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["type"].as_str().unwrap());
    assert_eq!(kinds.collect::<Vec<_>>(), ["tree", "tree"], "{tree}");
    let below = "/projects/parts%2Flib/repository/tree?path=ci&recursive=true";
    let tree = lotse.get(below).await;
    assert_eq!(tree[0]["path"], "ci/base.yml");
    assert_eq!(tree[1]["name"], "build.yml");
    let tags = lotse.get("/projects/parts%2Flib/repository/tags").await;
    assert_eq!(tags[1]["name"], "1.2.0");
    let stranger = lotse
        .post("/users", &json!({ "username": "stranger" }))
        .await;
    let request = lotse
        .bare_request(Method::GET, &format!("/api/v4{path}/raw"))
        .header("private-token", stranger["token"].as_str().unwrap());
    assert_eq!(lotse.ask(request).await.status, 404);
}
