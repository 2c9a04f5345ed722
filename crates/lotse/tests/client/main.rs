//! The client commands against a server with prepared answers.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by a panic")]

mod follow;
mod mock;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::json;

use self::mock::{Answer, Mock, User};

fn project() -> serde_json::Value {
    json!({"id": 7, "path_with_namespace": "site/web", "default_branch": "main",
        "http_url_to_repo": "http://x/site/web.git", "web_url": "http://x/site/web"})
}

fn pipeline(status: &str) -> serde_json::Value {
    json!({"id": 12, "iid": 3, "status": status, "ref": "v1.0.0", "sha": "0123456789abcdef",
        "source": "push", "created_at": "2026-11-22T10:00:00Z", "duration": 63,
        "web_url": "http://x/site/web/-/pipelines/12"})
}

fn job(id: i64, name: &str, status: &str) -> serde_json::Value {
    json!({"id": id, "name": name, "stage": "build", "status": status, "ref": "v1.0.0",
        "created_at": "2026-11-22T10:00:00Z", "web_url": format!("http://x/jobs/{id}")})
}

#[tokio::test]
async fn login_stores_the_token_for_the_user_alone() {
    let mock = Mock::start().await;
    mock.on(
        "GET /user",
        [Answer::json(json!({"id": 1, "username": "root"}))],
    );
    mock.on("GET /projects", [Answer::json(json!([]))]);
    let user = User::new();
    let login = user
        .run_with(&["login", &mock.url, "--token", "-"], "lot-secret\n")
        .await;
    assert_eq!(login.code, 0, "{}", login.stderr);
    assert_eq!(login.stdout, format!("logged in to {} as root\n", mock.url));
    let mode = fs_err::metadata(user.configuration())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    user.ok(&["project", "list"]).await;
    let tokens: Vec<_> = mock.asked().into_iter().map(|asked| asked.token).collect();
    assert_eq!(
        tokens,
        [Some("lot-secret".to_owned()), Some("lot-secret".to_owned())]
    );
}

#[tokio::test]
async fn login_with_a_wrong_token_stores_nothing() {
    let mock = Mock::start().await;
    mock.on(
        "GET /user",
        [Answer::json(json!({"message": "401 Unauthorized"})).status(401)],
    );
    let user = User::new();
    let login = user.run_with(&["login", &mock.url], "lot-wrong").await;
    assert_eq!(login.code, 1);
    assert!(
        login.stderr.contains("hint: the token is wrong"),
        "{}",
        login.stderr
    );
    assert!(!login.stderr.contains("lot-wrong"));
    assert!(!user.configuration().exists());

    let visible = user
        .run(&["login", &mock.url, "--token", "lot-visible"])
        .await;
    assert_eq!(visible.code, 2);
    assert!(
        !visible.stderr.contains("lot-visible"),
        "{}",
        visible.stderr
    );
    let empty = user.run(&["login", &mock.url]).await;
    assert!(
        empty.stderr.contains("error: the token is empty"),
        "{}",
        empty.stderr
    );
}

#[tokio::test]
async fn errors_say_what_and_the_mend() {
    let mock = Mock::start().await;
    let user = User::of(&mock);
    let no_token = json!({"message": "401 Unauthorized"});
    let own_hint = json!({"message": "403 Forbidden: not yours", "hint": "ask its owner"});
    for (answer, code, error) in [
        (
            Answer::json(no_token).status(401),
            1,
            "hint: the token is wrong",
        ),
        (
            Answer::json(own_hint).status(403),
            1,
            "error: not yours\nhint: ask its owner\n",
        ),
        (
            Answer::text("<html>").status(200),
            1,
            "does not answer like a Lotse server",
        ),
        (
            Answer::json(json!({"a": 1})),
            1,
            "does not answer like a Lotse server",
        ),
        (
            Answer::text("gone").status(502),
            70,
            "answers 502 Bad Gateway",
        ),
        (
            Answer::text("").status(302).header("location", "http://y/"),
            1,
            "sends us on to http://y/",
        ),
        (Answer::text("[").breaks(), 1, "broke"),
    ] {
        mock.on("GET /projects", [answer]);
        let ran = user.run(&["project", "list"]).await;
        assert!(ran.stderr.contains(error), "{error}: {}", ran.stderr);
        assert_eq!(ran.code, code, "{}", ran.stderr);
        assert!(ran.stderr.starts_with("error: ") && ran.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let user = User::new();
    let ran = user.run(&["project", "list", "--server", &url]).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr
            .starts_with(&format!("error: cannot reach {url}: ")),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);

    let unknown = user.run(&["project", "list"]).await;
    assert!(
        unknown.stderr.contains("error: no server is known"),
        "{}",
        unknown.stderr
    );
    let odd = user.run(&["project", "list", "--server", "host:80"]).await;
    assert_eq!(odd.code, 2);
    assert!(odd.stderr.contains("http://host:port"), "{}", odd.stderr);
}

#[tokio::test]
async fn a_broken_configuration_is_named_without_its_secrets() {
    let user = User::new();
    fs_err::create_dir_all(user.configuration().parent().unwrap()).unwrap();
    let text = "server = \"http://x\"\n[servers.\"http://x\"]\ntoken = lot-secret\n";
    fs_err::write(user.configuration(), text).unwrap();
    let ran = user.run(&["project", "list"]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("config.toml:3: "), "{}", ran.stderr);
    assert!(!ran.stderr.contains("lot-secret"), "{}", ran.stderr);
}

#[tokio::test]
async fn lists_go_over_pages() {
    let mock = Mock::start().await;
    let next = |answer: Answer, page: &str| answer.header("x-next-page", page);
    mock.on(
        "GET /projects",
        [
            next(Answer::json(json!([project()])), "2"),
            next(Answer::json(json!([project()])), ""),
        ],
    );
    let user = User::of(&mock);
    let list = user.ok(&["project", "list"]).await;
    assert_eq!(list.stdout.lines().count(), 3, "{}", list.stdout);
    assert!(mock.asked()[1].query.contains("page=2"));
}

#[tokio::test]
async fn the_project_is_found_by_the_git_remote() {
    let mock = Mock::start().await;
    let user = User::of(&mock);
    mock.on("GET /projects/site%2Fweb", [Answer::json(project())]);
    let none = user.run(&["project", "show"]).await;
    assert_eq!(none.code, 2);
    assert!(
        none.stderr.contains("this folder has no git remote"),
        "{}",
        none.stderr
    );

    let git = async |args: &[&str]| {
        let mut command = tokio::process::Command::new("git");
        command
            .args(args)
            .current_dir(user.home())
            .env("HOME", user.home());
        assert!(command.status().await.unwrap().success());
    };
    git(&["init", "-q"]).await;
    git(&[
        "remote",
        "add",
        "origin",
        "https://elsewhere.example/a/b.git",
    ])
    .await;
    let other = user.run(&["project", "show"]).await;
    assert!(
        other
            .stderr
            .contains("no git remote of this folder belongs to"),
        "{}",
        other.stderr
    );
    git(&[
        "remote",
        "add",
        "lotse",
        &format!("{}/site/web.git", mock.url),
    ])
    .await;
    let shown = user.ok(&["project", "show"]).await;
    assert!(shown.stdout.contains("site/web"), "{}", shown.stdout);
}

#[tokio::test]
async fn projects_are_made_and_deleted() {
    let mock = Mock::start().await;
    mock.on("POST /projects", [Answer::json(project()).status(201)]);
    mock.on(
        "DELETE /projects/site%2Fweb",
        [Answer::text("").status(204)],
    );
    let user = User::of(&mock);
    let made = user.ok(&["project", "create", "site/web"]).await;
    assert!(
        made.stdout
            .contains("git remote add lotse http://x/site/web.git"),
        "{}",
        made.stdout
    );
    let unsure = user.run(&["project", "delete", "site/web"]).await;
    assert_eq!(unsure.code, 2);
    user.ok(&["project", "delete", "site/web", "--yes"]).await;
    let asked: Vec<_> = mock.asked().into_iter().map(|asked| asked.what).collect();
    assert_eq!(
        asked,
        [
            "POST /api/v4/projects",
            "DELETE /api/v4/projects/site%2Fweb"
        ]
    );
    let odd = user.run(&["project", "create", "Web"]).await;
    assert_eq!(odd.code, 2);
}

#[tokio::test]
async fn variables_are_set_without_showing_them() {
    let mock = Mock::start().await;
    let all = "POST /projects/site%2Fweb/variables";
    let one = "PUT /projects/site%2Fweb/variables/KEY";
    mock.on(all, [Answer::json(json!({"key": "KEY"})).status(201)]);
    let user = User::of(&mock);
    let set = ["-p", "site/web", "variable", "set", "KEY"];
    let set = |more: &[&'static str]| -> Vec<&'static str> {
        let mut args = vec!["variable", "-p", "site/web"];
        args.extend(&set[3..]);
        args.extend(more);
        args
    };
    let new = user.run_with(&set(&["-", "--masked"]), "value\n").await;
    assert_eq!(new.stdout, "KEY was set for site/web\n", "{}", new.stderr);
    let body = mock.asked().pop().unwrap().body;
    assert_eq!(
        body,
        json!({"key": "KEY", "value": "value", "masked": true})
    );

    mock.on(one, [Answer::json(json!({"key": "KEY"}))]);
    let changed = user
        .run_with(&set(&["--masked=false", "--file"]), "two\n")
        .await;
    assert_eq!(
        changed.stdout, "KEY was changed for site/web\n",
        "{}",
        changed.stderr
    );
    let body = mock.asked().pop().unwrap().body;
    let expected =
        json!({"key": "KEY", "value": "two\n", "masked": false, "variable_type": "file"});
    assert_eq!(body, expected);

    for (input, value) in [("one\n", "one"), ("a\nb\n", "a\nb\n"), ("", "")] {
        user.run_with(&set(&["-"]), input).await;
        assert_eq!(
            mock.asked().pop().unwrap().body["value"],
            value,
            "{input:?}"
        );
    }
    user.ok(&set(&["$CI_COMMIT_TAG"])).await;
    assert_eq!(mock.asked().pop().unwrap().body["value"], "$CI_COMMIT_TAG");
}

/// The list is as GitLab prints it, with fields that Lotse does not know.
#[tokio::test]
async fn variables_of_another_server_are_taken_over() {
    let mock = Mock::start().await;
    let (all, of) = ("/groups/site/variables", "/groups/site/variables/");
    mock.on(&format!("GET {all}"), [Answer::json(json!([]))]);
    mock.on(
        &format!("POST {all}"),
        [Answer::json(json!({})).status(201)],
    );
    mock.on(&format!("PUT {of}OLD"), [Answer::json(json!({}))]);
    let refused = Answer::json(json!({"message": "SHORT cannot be masked"})).status(400);
    mock.on(&format!("PUT {of}SHORT"), [refused]);
    let user = User::of(&mock);
    let import = ["variable", "import", "--group", "site"];
    let list = json!([
        {"key": "NEW", "value": "a\nb", "variable_type": "file", "protected": true, "masked": false,
            "hidden": false, "raw": true, "environment_scope": "prod", "description": "what for"},
        {"key": "OLD", "value": "1"},
        {"key": "SHORT", "value": "secret", "masked": true},
        {"key": "HIDDEN", "value": null, "hidden": true},
    ]);

    let dry = user
        .run_with(&[&import[..], &["--dry-run"]].concat(), &list.to_string())
        .await;
    assert!(dry.stdout.contains("NEW (environment prod) would be set"));
    assert!(
        mock.asked()
            .iter()
            .all(|asked| asked.what.starts_with("GET"))
    );

    let said = user.run_with(&import, &list.to_string()).await;
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert_eq!(said.stdout, "site: 1 variables were set, 1 were changed\n");
    for part in ["SHORT cannot be masked", "HIDDEN: its value is hidden"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
    assert!(!said.stderr.contains("secret"), "{}", said.stderr);
    let asked = mock.asked();
    let new = asked.iter().find(|asked| asked.what.starts_with("POST"));
    let mut expected = list[0].clone();
    expected.as_object_mut().unwrap().remove("hidden");
    assert_eq!(new.unwrap().body, expected);

    for broken in ["", "{}", "[{\"value\": \"secret\"}]"] {
        let said = user.run_with(&import, broken).await;
        assert_eq!(said.code, 1, "{broken}");
        assert!(
            said.stderr.contains("no list of variables"),
            "{}",
            said.stderr
        );
        assert!(!said.stderr.contains("secret"), "{}", said.stderr);
    }
}

#[tokio::test]
async fn variables_of_a_group() {
    let mock = Mock::start().await;
    let variable = json!({"key": "KEY", "value": "secret", "variable_type": "file",
        "masked": true, "environment_scope": "*"});
    mock.on(
        "GET /groups/site%2Finner/variables",
        [Answer::json(json!([variable]))],
    );
    mock.on(
        "GET /groups/site%2Finner/variables/KEY",
        [Answer::json(variable)],
    );
    mock.on(
        "DELETE /groups/site%2Finner/variables/KEY",
        [Answer::text("").status(204)],
    );
    let user = User::of(&mock);
    let group = ["--group", "site/inner"];
    let list = user.ok(&["variable", "list", group[0], group[1]]).await;
    assert!(
        list.stdout.contains("KEY  file,masked  *"),
        "{}",
        list.stdout
    );
    assert!(!list.stdout.contains("secret"));
    let value = user
        .ok(&["variable", "get", "KEY", group[0], group[1]])
        .await;
    assert_eq!(value.stdout, "secret\n");
    user.ok(&["variable", "remove", "KEY", group[0], group[1]])
        .await;
    let both = user
        .run(&["variable", "list", "-g", "a", "-p", "a/b"])
        .await;
    assert_eq!(both.code, 2);
}

#[tokio::test]
async fn a_pipeline_is_shown_with_what_is_wrong() {
    let mock = Mock::start().await;
    let mut broken = pipeline("failed");
    broken["yaml_errors"] = json!("error: unknown stage\n  --> .gitlab-ci.yml:3:5");
    mock.on(
        "GET /projects/site%2Fweb/pipelines",
        [Answer::json(json!([broken.clone()]))],
    );
    mock.on(
        "GET /projects/site%2Fweb/pipelines/12",
        [Answer::json(broken)],
    );
    let mut waiting = job(31, "deploy", "pending");
    waiting["pending_reason"] = json!("no runner has the tag prod01");
    mock.on(
        "GET /projects/site%2Fweb/pipelines/12/jobs",
        [Answer::json(json!([waiting]))],
    );
    let user = User::of(&mock);
    let shown = user.ok(&["pipeline", "show", "-p", "site/web"]).await;
    for part in [
        "pipeline 12  failed  v1.0.0 at 01234567, push ",
        "took 1 min 3 s",
        "--> .gitlab-ci.yml:3:5",
        "pending    deploy  job 31\n             no runner has the tag prod01",
    ] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    assert!(!shown.stdout.contains('\u{1b}'), "no colour in a pipe");
    let json = user
        .ok(&["pipeline", "show", "12", "-p", "site/web", "--json"])
        .await;
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["jobs"][0]["name"], "deploy");
}

#[tokio::test]
async fn pipelines_are_started_canceled_and_retried() {
    let mock = Mock::start().await;
    mock.on("GET /projects/site%2Fweb", [Answer::json(project())]);
    mock.on(
        "POST /projects/site%2Fweb/pipeline",
        [Answer::json(pipeline("running")).status(201)],
    );
    for verb in ["cancel", "retry"] {
        let what = format!("POST /projects/site%2Fweb/pipelines/12/{verb}");
        mock.on(&what, [Answer::json(pipeline("canceled"))]);
    }
    let user = User::of(&mock);
    let made = user
        .ok(&["pipeline", "run", "-p", "site/web", "-v", "A=b=c"])
        .await;
    assert!(
        made.stdout.starts_with("pipeline 12 is running\nhttp://x/"),
        "{}",
        made.stdout
    );
    let body = mock.asked().pop().unwrap().body;
    assert_eq!(
        body,
        json!({"ref": "main", "variables": [{"key": "A", "value": "b=c"}]})
    );
    user.ok(&["pipeline", "cancel", "12", "-p", "site/web"])
        .await;
    user.ok(&["pipeline", "retry", "12", "-p", "site/web"])
        .await;
    mock.on(
        "GET /projects/site%2Fweb/pipelines",
        [Answer::json(json!([]))],
    );
    let none = user.run(&["pipeline", "show", "-p", "site/web"]).await;
    assert!(
        none.stderr.contains("hint: push a branch or tag"),
        "{}",
        none.stderr
    );
}

#[tokio::test]
async fn jobs_are_named_by_number_or_name() {
    let mock = Mock::start().await;
    let mut failed = job(31, "build", "failed");
    failed["exit_code"] = json!(3);
    failed["failure_reason"] = json!("runner_system_failure");
    mock.on(
        "GET /projects/site%2Fweb/pipelines",
        [Answer::json(json!([pipeline("running")]))],
    );
    mock.on(
        "GET /projects/site%2Fweb/pipelines/12/jobs",
        [Answer::json(json!([failed.clone()]))],
    );
    mock.on(
        "GET /projects/site%2Fweb/jobs",
        [Answer::json(json!([failed.clone()]))],
    );
    mock.on("GET /projects/site%2Fweb/jobs/31", [Answer::json(failed)]);
    mock.on(
        "POST /projects/site%2Fweb/jobs/31/retry",
        [Answer::json(job(32, "build", "pending")).status(201)],
    );
    let user = User::of(&mock);
    for name in ["31", "build"] {
        let shown = user.ok(&["job", "show", name, "-p", "site/web"]).await;
        assert!(
            shown.stdout.contains("runner system failure, exit code 3"),
            "{}",
            shown.stdout
        );
    }
    let list = user.ok(&["job", "list", "-p", "site/web"]).await;
    assert!(list.stdout.contains("31  failed  build"), "{}", list.stdout);
    let retried = user.ok(&["job", "retry", "build", "-p", "site/web"]).await;
    assert!(
        retried.stdout.starts_with("job 32 (build) is pending\n"),
        "{}",
        retried.stdout
    );
    let unknown = user.run(&["job", "show", "nope", "-p", "site/web"]).await;
    assert!(
        unknown.stderr.contains("hint: its jobs: build"),
        "{}",
        unknown.stderr
    );
}

#[tokio::test]
async fn tokens() {
    let mock = Mock::start().await;
    let made = json!({"id": 5, "name": "ci", "scopes": ["api"], "token": "lot-new"});
    mock.on(
        "POST /user/personal_access_tokens",
        [Answer::json(made).status(201)],
    );
    let listed = json!([{"id": 5, "name": "ci", "scopes": ["api"], "active": true}]);
    mock.on("GET /personal_access_tokens", [Answer::json(listed)]);
    mock.on(
        "DELETE /personal_access_tokens/5",
        [Answer::text("").status(204)],
    );
    let user = User::of(&mock);
    let made = user
        .ok(&["token", "create", "ci", "--expires", "2027-01-31"])
        .await;
    assert_eq!(made.stdout, "lot-new\n");
    let body = mock.asked().pop().unwrap().body;
    assert_eq!(
        body,
        json!({"name": "ci", "scopes": ["api"], "expires_at": "2027-01-31"})
    );
    let list = user.ok(&["token", "list"]).await;
    assert!(list.stdout.contains("5   ci    api"), "{}", list.stdout);
    user.ok(&["token", "revoke", "5"]).await;
}

#[tokio::test]
async fn nobody_is_removed_by_mistake() {
    let mock = Mock::start().await;
    // a server that does not know the question answers with everybody
    let everybody = json!([{"id": 1, "username": "root"}, {"id": 2, "username": "editor"}]);
    mock.on("GET /users", [Answer::json(everybody)]);
    mock.on("DELETE /users/1", [Answer::text("").status(204)]);
    let user = User::of(&mock);
    let unknown = user.run(&["user", "remove", "editor", "--yes"]).await;
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("there is no user editor"),
        "{}",
        unknown.stderr
    );
    let unsure = user.run(&["user", "remove", "root"]).await;
    assert_eq!(unsure.code, 2, "{}", unsure.stderr);
    let deleted = |mock: &Mock| {
        mock.asked()
            .iter()
            .any(|asked| asked.what.starts_with("DELETE"))
    };
    assert!(!deleted(&mock));
    let removed = user.ok(&["user", "remove", "root", "--yes"]).await;
    assert_eq!(removed.stdout, "root was removed\n");
    assert!(deleted(&mock));
}

#[tokio::test]
async fn whoever_stops_reading_has_seen_enough() {
    let mock = Mock::start().await;
    mock.on("GET /projects", [Answer::json(json!([project()]))]);
    let user = User::of(&mock);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = user.command(&["project", "list"]);
    let output = command
        .stdin(Stdio::null())
        .stdout(writer)
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
