//! What the server refuses: each with the right status and a clear text, and nothing half done.

use std::path::Path;

use reqwest::{Method, RequestBuilder};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::json;
use tempfile::TempDir;
use testkit::lotse::{Lotse, Setup};

use crate::serve;

const WRONG: &str = "lot-0000000000000000000000000000000000000000";

/// SHA-256 of nothing.
const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn a_wrong_token_everywhere() {
    let lotse = serve().await;
    lotse.pushed("site/web", "build: {script: [make]}").await;
    let wrong = lotse.repository_as("site/web", WRONG).await;
    wrong.commit("mine").await;
    let pushed = wrong.push(&["main"]).await;
    assert!(!pushed.ok);
    assert!(
        pushed.text.contains("token is wrong, expired or revoked"),
        "{}",
        pushed.text
    );
    assert!(
        pushed.text.contains("lotse token create"),
        "{}",
        pushed.text
    );
    let fetched = wrong.try_git(&["fetch", "lotse"]).await;
    assert_ne!(fetched.code, 0);

    let api = |token: Option<&str>| {
        let request = lotse.bare_request(Method::GET, "/api/v4/projects/site%2Fweb");
        match token {
            Some(token) => request.header("private-token", token),
            None => request,
        }
    };
    let images = lotse.bare_request(Method::GET, "/v2/");
    let images = images.basic_auth("root", Some(WRONG));
    let login = lotse.bare_request(Method::GET, "/jwt/auth?service=lotse");
    let login = login.basic_auth("root", Some(WRONG));
    let register = lotse.bare_request(Method::POST, "/api/v4/runners");
    let register = register.json(&json!({ "token": WRONG, "description": "mine" }));
    let ask = lotse.bare_request(Method::POST, "/api/v4/jobs/request");
    let ask = ask.json(&json!({ "token": WRONG }));
    let trace = lotse.bare_request(Method::PATCH, "/api/v4/jobs/1/trace");
    let trace = trace
        .header("job-token", WRONG)
        .header("content-range", "0-3")
        .body("evil");
    for (what, request, status, text) in [
        ("API", api(Some(WRONG)), 401, "wrong, expired or revoked"),
        ("API", api(None), 401, "no token"),
        (
            "registry",
            images,
            401,
            "wrong or expired password or token",
        ),
        (
            "docker login",
            login,
            401,
            "wrong or expired password or token",
        ),
        (
            "register a runner",
            register,
            403,
            "the registration token is wrong",
        ),
        (
            "ask for a job",
            ask,
            403,
            "this runner is not registered here",
        ),
        ("write a log", trace, 403, "not the job's token"),
    ] {
        let answer = lotse.ask(request).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        assert!(answer.text.contains(text), "{what}: {answer:?}");
    }
    assert_eq!(lotse.log("site/web", 1).await, "");

    let cli = lotse
        .run_bare(&["project", "list", "--server", &lotse.url()])
        .await;
    assert_eq!(cli.code, 1, "{}", cli.text());
    assert!(cli.stderr.contains("lotse login"), "{}", cli.stderr);
}

#[tokio::test]
async fn a_runner_with_a_wrong_token_says_so_and_ends() {
    let lotse = serve().await;
    let config = lotse.data().join("../runner.toml");
    let url = lotse.url();
    let register = [
        "runner",
        "register",
        "--url",
        &url,
        "--token",
        WRONG,
        "--config",
        config.to_str().unwrap(),
    ];
    let refused = lotse.run_bare(&register).await;
    assert_eq!(refused.code, 1, "{}", refused.text());
    assert!(
        refused.stderr.contains("token is wrong"),
        "{}",
        refused.stderr
    );
    assert!(!refused.text().contains(WRONG), "{}", refused.text());
}

#[tokio::test]
async fn a_token_does_what_its_scopes_and_its_owners_role_allow_and_no_more() {
    let lotse = serve().await;
    let (repository, id) = lotse.pushed("site/web", "build: {script: [make]}").await;
    let stranger = lotse
        .post("/users", &json!({ "username": "stranger" }))
        .await;
    let stranger = stranger["token"].as_str().unwrap();
    let reporter = lotse
        .post("/users", &json!({ "username": "reporter" }))
        .await;
    let reporter = reporter["token"].as_str().unwrap();
    let member = json!({ "username": "reporter", "access_level": 20 });
    lotse.post("/projects/site%2Fweb/members", &member).await;
    let scoped = json!({ "name": "reads", "scopes": ["read_api"] });
    let scoped = lotse.post("/user/personal_access_tokens", &scoped).await;
    let (scoped, number) = (
        scoped["token"].as_str().unwrap(),
        scoped["id"].as_i64().unwrap(),
    );

    let cancel = format!("/projects/site%2Fweb/pipelines/{id}/cancel");
    let request = |token: &str, method: Method, path: &str| {
        lotse
            .bare_request(method, &format!("/api/v4{path}"))
            .header("private-token", token)
    };
    for (who, token, method, path, status) in [
        (
            "a stranger",
            stranger,
            Method::GET,
            "/projects/site%2Fweb",
            404,
        ),
        ("a stranger", stranger, Method::POST, cancel.as_str(), 404),
        (
            "a stranger",
            stranger,
            Method::GET,
            "/projects/site%2Fweb/jobs/1/trace",
            404,
        ),
        (
            "a reporter",
            reporter,
            Method::GET,
            "/projects/site%2Fweb",
            200,
        ),
        (
            "a reporter",
            reporter,
            Method::GET,
            "/projects/site%2Fweb/jobs/1/trace",
            200,
        ),
        ("a reporter", reporter, Method::POST, cancel.as_str(), 403),
        (
            "a reporter",
            reporter,
            Method::GET,
            "/projects/site%2Fweb/variables",
            403,
        ),
        (
            "a reading token",
            scoped,
            Method::GET,
            "/projects/site%2Fweb",
            200,
        ),
        (
            "a reading token",
            scoped,
            Method::POST,
            cancel.as_str(),
            403,
        ),
        (
            "a reading token",
            scoped,
            Method::POST,
            "/user/runners",
            403,
        ),
    ] {
        let request = request(token, method.clone(), path).json(&json!({}));
        let answer = lotse.ask(request).await;
        assert_eq!(answer.status, status, "{who} {method} {path}: {answer:?}");
    }
    let theirs = lotse.repository_as("site/web", reporter).await;
    assert_eq!(theirs.try_git(&["fetch", "lotse", "main"]).await.code, 0);
    theirs.commit("mine").await;
    let pushed = theirs.push(&["main:theirs"]).await;
    assert!(
        !pushed.ok && pushed.text.contains("ask for the role Developer"),
        "{}",
        pushed.text
    );
    let invisible = lotse.repository_as("site/web", stranger).await;
    let fetched = invisible.try_git(&["fetch", "lotse"]).await;
    assert!(
        fetched.stderr.contains("there is no project site/web"),
        "{}",
        fetched.stderr
    );
    let made = lotse.repository_as("site/new", stranger).await;
    made.commit("mine").await;
    assert!(!made.push(&["main"]).await.ok);
    let listed = repository.git(&["ls-remote", "lotse"]).await;
    assert!(!listed.contains("theirs"), "{listed}");

    let revoke = format!("/personal_access_tokens/{number}");
    let revoked = lotse.ask(lotse.request(Method::DELETE, &revoke)).await;
    assert_eq!(revoked.status, 204);
    let after = lotse
        .ask(request(scoped, Method::GET, "/projects/site%2Fweb"))
        .await;
    assert_eq!(after.status, 401);
}

#[tokio::test]
async fn an_unknown_project_and_names_that_are_none() {
    let lotse = serve().await;
    let browser = lotse.browser().await;
    for path in [
        "site%2Fweb",
        "4711",
        "site%2Fweb/pipelines",
        "site%2Fweb/jobs/1",
    ] {
        let path = format!("/projects/{path}");
        let answer = lotse.ask(lotse.request(Method::GET, &path)).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("there is no project"), "{message}");
    }
    let page = browser.get("/site/web").await;
    assert_eq!(page.status, 404);
    assert!(
        page.text.contains("there is no project site/web"),
        "{}",
        page.text
    );
    let repository = lotse.repository("site/web").await;
    let fetched = repository.try_git(&["fetch", "lotse"]).await;
    assert!(
        fetched.stderr.contains("there is no project site/web"),
        "{}",
        fetched.stderr
    );
    for name in [
        "web",
        "site/..",
        "-site/web",
        "site/web.git",
        "site/we b",
        "site/-",
    ] {
        let body = json!({ "path_with_namespace": name });
        let request = lotse.request(Method::POST, "/projects").json(&body);
        let answer = lotse.ask(request).await;
        assert_eq!(answer.status, 400, "{name}: {answer:?}");
    }
    let shown = lotse
        .run(&["pipeline", "list", "--project", "site/web"])
        .await;
    assert_eq!(shown.code, 1);
    assert!(shown.stderr.contains("site/web"), "{}", shown.stderr);
}

#[tokio::test]
async fn a_tag_in_use_stays_what_it_is() {
    let lotse = serve().await;
    let (repository, _id) = lotse.pushed("site/web", "build: {script: [make]}").await;
    repository.git(&["tag", "v1"]).await;
    let pushed = repository.push(&["v1"]).await;
    assert!(pushed.ok, "{}", pushed.text);
    let before = repository.git(&["ls-remote", "lotse"]).await;
    let pipelines = lotse.get("/projects/site%2Fweb/pipelines").await;
    repository.commit("newer").await;
    repository.git(&["tag", "-f", "v1"]).await;
    for arguments in [
        &["--force", "v1"][..],
        &["--delete", "v1"],
        &["+v1:refs/tags/v1"],
    ] {
        let pushed = repository.push(arguments).await;
        assert!(!pushed.ok, "{arguments:?}: {}", pushed.text);
        for text in [
            "the tag v1 is already in use and stays what it is",
            "hint: give the new state a new version",
        ] {
            assert!(pushed.text.contains(text), "{}", pushed.text);
        }
    }
    assert_eq!(repository.git(&["ls-remote", "lotse"]).await, before);
    assert_eq!(lotse.get("/projects/site%2Fweb/pipelines").await, pipelines);
    repository.git(&["tag", "v2"]).await;
    let pushed = repository.push(&["v2"]).await;
    assert!(pushed.ok && pushed.pipeline().is_some(), "{}", pushed.text);
}

/// A request to the registry as `root`.
fn image(lotse: &Lotse, method: Method, path: &str) -> RequestBuilder {
    lotse
        .bare_request(method, &format!("/v2/site/web{path}"))
        .basic_auth("root", Some(lotse.token()))
}

#[tokio::test]
async fn a_blob_whose_digest_does_not_match() {
    let lotse = serve().await;
    lotse.repository("site/web").await;
    let body = json!({ "path_with_namespace": "site/web" });
    lotse.post("/projects", &body).await;
    let upload = format!("/blobs/uploads/?digest={EMPTY}");
    let refused = lotse
        .ask(image(&lotse, Method::POST, &upload).body("other"))
        .await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.text.contains("DIGEST_INVALID"), "{refused:?}");
    let head = format!("/blobs/{EMPTY}");
    assert_eq!(
        lotse.ask(image(&lotse, Method::HEAD, &head)).await.status,
        404
    );
    let taken = lotse
        .ask(image(&lotse, Method::POST, &upload).body(""))
        .await;
    assert_eq!(taken.status, 201, "{taken:?}");
    assert_eq!(
        lotse.ask(image(&lotse, Method::HEAD, &head)).await.status,
        200
    );
    let elsewhere = lotse
        .bare_request(Method::POST, &format!("/v2/no/project{upload}"))
        .basic_auth("root", Some(lotse.token()));
    let elsewhere = lotse.ask(elsewhere.body("")).await;
    assert_eq!(elsewhere.status, 404, "{elsewhere:?}");
    assert!(elsewhere.text.contains("NAME_UNKNOWN"), "{elsewhere:?}");
}

/// A disk of a few megabytes, for root.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let size = c"size=12m";
        match mount("small", folder.path(), "tmpfs", MountFlags::empty(), size) {
            Ok(()) => Some(Self(folder)),
            Err(error) => {
                testkit::skip(&format!("a small disk needs root ({error})"));
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _stays_until_reboot = unmount(self.path(), UnmountFlags::DETACH);
    }
}

#[tokio::test]
async fn a_full_disk() {
    let Some(disk) = SmallDisk::new() else { return };
    let setup = Setup {
        data: Some(disk.path().join("data")),
        ..Setup::default()
    };
    let lotse = Lotse::start_with(env!("CARGO_BIN_EXE_lotse"), setup).await;
    let (repository, _id) = lotse.pushed("site/web", "build: {script: [make]}").await;
    let before = files(&lotse.data().join("registry"));
    let large = vec![7_u8; 24 << 20];
    let digest = model::Digest::of(&large);
    let upload = format!("/blobs/uploads/?digest={digest}");
    let refused = lotse
        .ask(image(&lotse, Method::POST, &upload).body(large))
        .await;
    assert_eq!(refused.status, 507, "{refused:?}");
    assert!(refused.text.contains("disk is full"), "{refused:?}");
    assert_eq!(files(&lotse.data().join("registry")), before);

    // the rest of the server has no room either, and says so
    let filler = disk.path().join("filler");
    let _full = fs_err::write(&filler, vec![7_u8; 24 << 20]).unwrap_err();
    repository.write("large", &"x".repeat(100_000));
    repository.commit("no room").await;
    let pushed = repository.push(&["main"]).await;
    assert!(!pushed.ok, "{}", pushed.text);
    let body = json!({ "key": "LARGE", "value": "x".repeat(200_000) });
    let variables = "/projects/site%2Fweb/variables";
    let refused = lotse
        .ask(lotse.request(Method::POST, variables).json(&body))
        .await;
    assert_eq!(refused.status, 507, "{refused:?}");
    assert!(refused.text.contains("disk is full"), "{refused:?}");

    fs_err::remove_file(&filler).unwrap();
    let pushed = repository.push(&["main"]).await;
    assert!(pushed.ok && pushed.pipeline().is_some(), "{}", pushed.text);
    lotse.post(variables, &body).await;
    let small = lotse.ask(image(
        &lotse,
        Method::POST,
        &format!("/blobs/uploads/?digest={EMPTY}"),
    ));
    assert_eq!(small.await.status, 201);
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn whatever_the_api_refuses_it_says_why_in_json() {
    let lotse = serve().await;
    lotse.pushed("site/web", "build: {script: [make]}").await;
    for (method, path, body, status, said) in [
        (
            Method::GET,
            "/nothing/here",
            "",
            404,
            "there is no call GET /api/v4/nothing/here",
        ),
        (Method::PATCH, "/users", "", 405, "405 Method Not Allowed"),
        (
            Method::GET,
            "/projects?page=many",
            "",
            400,
            "page: invalid digit",
        ),
        (
            Method::GET,
            "/projects/site%2Fweb/pipelines/first",
            "",
            400,
            "`first`",
        ),
        (Method::GET, "/projects/%FF", "", 400, "UTF-8"),
        (Method::POST, "/users", "{", 400, "EOF"),
        (
            Method::POST,
            "/users",
            "{\"username\": 1}",
            422,
            "username: invalid type",
        ),
        (
            Method::POST,
            "/projects",
            "{\"path_with_namespace\": \"v2/web\"}",
            400,
            "something else there",
        ),
        (
            Method::POST,
            "/groups",
            "{\"path\": \"api\"}",
            400,
            "something else there",
        ),
        (
            Method::POST,
            "/projects/site%2Fweb/variables",
            "{\"key\": \"KEY\", \"value\": \"a\\u0000b\"}",
            400,
            "NUL",
        ),
        (
            Method::POST,
            "/projects/site%2Fweb/pipeline",
            "{\"ref\": \"main\", \"variables\": [{\"key\": \"A B\", \"value\": \"x\"}]}",
            400,
            "`A B` is no name",
        ),
        (
            Method::POST,
            "/user/personal_access_tokens",
            "{\"name\": \"\", \"scopes\": [\"api\"]}",
            400,
            "1 to 255 characters",
        ),
    ] {
        let request = lotse
            .request(method.clone(), path)
            .header("content-type", "application/json")
            .body(body.to_owned());
        let answer = lotse.ask(request).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(said), "{method} {path}: {message}");
    }
    let tags: Vec<_> = (0..51).map(|number| format!("tag-{number}")).collect();
    for runner in [
        json!({ "runner_type": "instance_type", "tag_list": tags }),
        json!({ "runner_type": "instance_type", "tag_list": ["x".repeat(256)] }),
        json!({ "runner_type": "instance_type", "description": "x".repeat(1025) }),
    ] {
        let request = lotse.request(Method::POST, "/user/runners").json(&runner);
        let answer = lotse.ask(request).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    // a push makes no project where nobody could reach it either
    let repository = lotse.repository("jwt/auth").await;
    repository.commit("first").await;
    let pushed = repository.push(&["main"]).await;
    assert!(
        !pushed.ok && pushed.text.contains("something else there"),
        "{}",
        pushed.text
    );
}
