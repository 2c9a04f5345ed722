//! The pages, over HTTP as a browser asks for them.

use reqwest::Method;

use crate::serve;

const PAGES: [&str; 6] = [
    "/",
    "/-/runners",
    "/site/web",
    "/site/web/-/pipelines/1",
    "/site/web/-/jobs/1",
    "/site/web/-/jobs/1/raw",
];

#[tokio::test]
async fn only_for_those_who_are_logged_in() {
    let lotse = serve().await;
    let _runner = lotse.runner(&[]).await;
    let (_repository, id) = lotse
        .pushed("site/web", "job: {script: [echo hidden]}")
        .await;
    lotse.finished("site/web", id).await;
    let browser = lotse.browser().await;
    for path in PAGES {
        let refused = lotse.ask(lotse.bare_request(Method::GET, path)).await;
        assert_eq!(refused.status, 303, "{path}: {refused:?}");
        assert_eq!(refused.header("location"), format!("/-/login?next={path}"));
        assert!(!refused.text.contains("hidden"));
        let shown = browser.get(path).await;
        assert_eq!(shown.status, 200, "{path}: {}", shown.text);
    }
    let follow = lotse.bare_request(Method::GET, "/site/web/-/jobs/1/follow");
    assert_eq!(lotse.ask(follow).await.status, 303);
    let retry = lotse.bare_request(Method::POST, "/site/web/-/jobs/1/retry");
    assert_eq!(lotse.ask(retry).await.status, 303);

    let wrong = lotse.bare_request(Method::POST, "/-/login");
    let wrong = lotse.ask(wrong.form(&[("token", "lot-wrong")])).await;
    assert_eq!(wrong.status, 401);
    assert_eq!(wrong.header("set-cookie"), "");
    assert!(
        wrong.text.contains("wrong, expired or revoked"),
        "{}",
        wrong.text
    );

    let right = lotse.bare_request(Method::POST, "/-/login");
    let form = [("token", lotse.token()), ("next", "//evil.example/")];
    let right = lotse.ask(right.form(&form)).await;
    assert_eq!(right.header("location"), "/");
    let cookie = right.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    assert!(!cookie.contains(lotse.token()), "{cookie}");

    assert_eq!(browser.post("/-/logout").await.status, 303);
    assert_eq!(
        browser.get("/site/web").await.status,
        303,
        "the session is over"
    );
    // the token itself is still good
    lotse.get("/projects").await;
}

#[tokio::test]
async fn show_what_there_is() {
    let lotse = serve().await;
    let browser = lotse.browser().await;
    assert!(
        browser
            .page("/")
            .await
            .contains("There is none yet. A push makes one")
    );
    assert!(
        browser
            .page("/-/runners")
            .await
            .contains("lotse runner register")
    );

    let ci = "
stages: [build, deploy]
compile: {stage: build, script: [echo compiled]}
go-live: {stage: deploy, tags: [prod01], script: [echo live]}
";
    let (repository, id) = lotse.pushed("site/web", ci).await;
    let _runner = lotse.runner(&[]).await;
    let _other = lotse.runner(&["prod02"]).await;
    let now = lotse
        .pipeline_when("site/web", id, |now| now.job_status("go-live") == "pending")
        .await;
    let sha = now.pipeline["sha"].as_str().unwrap();
    let compile = now.job_id("compile");
    let pipeline = format!("/site/web/-/pipelines/{id}");
    let job = format!("/site/web/-/jobs/{compile}");
    for (path, texts) in [
        ("/", &["site/web", "running", "main"][..]),
        (
            "/site/web",
            &[
                &format!("{}/site/web.git", lotse.url()),
                &sha[..8],
                "first",
                "running",
            ],
        ),
        (
            &pipeline,
            &[
                "compile",
                "go-live",
                "build",
                "deploy",
                "success",
                "Some Developer",
                "Cancel",
            ],
        ),
        (
            &job,
            &["compile", "success", "runner #1", "Retry", "data-follow"],
        ),
        ("/-/runners", &["a test&#39;s runner", "prod02", "online"]),
    ] {
        let html = browser.page(path).await;
        for text in texts {
            assert!(html.contains(text), "{path}: no {text} in\n{html}");
        }
    }
    let raw = browser.get(&format!("{job}/raw")).await;
    assert!(raw.text.contains("\ncompiled\n"), "{}", raw.text);
    assert_eq!(raw.header("content-type"), "text/plain; charset=utf-8");

    let cancelled = browser.post(&format!("{pipeline}/cancel")).await;
    assert_eq!(
        (cancelled.status, cancelled.header("location")),
        (303, pipeline.as_str())
    );
    let end = lotse.finished("site/web", id).await;
    assert_eq!(end.summary(), "canceled: compile success, go-live canceled");
    assert!(browser.page(&pipeline).await.contains("Retry what failed"));
    browser.post(&format!("{job}/retry")).await;
    let again = lotse
        .pipeline_when("site/web", id, |now| {
            now.job_id("compile") != compile && now.job_status("compile") == "success"
        })
        .await;
    assert!(
        browser.page(&pipeline).await.contains("earlier attempt"),
        "{}",
        again.summary()
    );

    for path in [
        "/site/web/-/pipelines/99",
        "/site/web/-/jobs/99",
        "/site/web/-/nonsense",
        "/site/other/-/pipelines/1",
    ] {
        let missing = browser.get(path).await;
        assert_eq!(missing.status, 404, "{path}: {}", missing.text);
    }
    // another project's address does not show this one's jobs
    let other = lotse.repository("site/other").await;
    other.commit("no file").await;
    other.push(&["main"]).await;
    assert_eq!(
        browser
            .get(&format!("/site/other/-/jobs/{compile}"))
            .await
            .status,
        404
    );
    drop(repository);
}

#[tokio::test]
async fn nothing_that_is_pushed_becomes_html() {
    let lotse = serve().await;
    let hostile = "<script>alert('x')</script>";
    let branch = "<img/src=x>\"&'";
    let repository = lotse.repository("site/web").await;
    let ci = format!(
        "\"{hostile}\": {{stage: build, script: [\"echo {hostile}\"], tags: [\"{hostile}\"]}}\n\"<b>broken\": {{stage: build}}\n"
    );
    repository
        .git(&["config", "user.name", "<i>Developer"])
        .await;
    repository
        .commit_ci(&ci, &format!("{hostile} \"& more"))
        .await;
    let broken = repository
        .push(&[&format!("HEAD:refs/heads/{branch}")])
        .await;
    assert!(broken.ok, "{}", broken.text);
    let ci = format!("\"{hostile}\": {{script: [\"echo {hostile}\"], tags: [\"{hostile}\"]}}\n");
    repository
        .commit_ci(&ci, &format!("{hostile} \"& more"))
        .await;
    let pushed = repository
        .push(&[&format!("HEAD:refs/heads/{branch}")])
        .await;
    let id = pushed
        .pipeline()
        .unwrap_or_else(|| panic!("{}", pushed.text));
    let job = lotse.pipeline("site/web", id).await.job_id(hostile);
    let browser = lotse.browser().await;
    for path in [
        "/".to_owned(),
        "/site/web".to_owned(),
        "/site/web/-/pipelines/1".to_owned(),
        format!("/site/web/-/pipelines/{id}"),
        format!("/site/web/-/jobs/{job}"),
    ] {
        let answer = browser.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        for tag in ["<script>alert", "<img", "<i>Developer", "<b>broken"] {
            assert!(
                !answer.text.contains(tag),
                "{path}: {tag} in\n{}",
                answer.text
            );
        }
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let html = browser.page(&format!("/site/web/-/jobs/{job}")).await;
    assert!(
        html.contains("&#60;script&#62;alert") || html.contains("&lt;script&gt;alert"),
        "{html}"
    );
    let missing = browser.get("/site/web/-/%3Cscript%3Ealert(1)").await;
    assert!(!missing.text.contains("<script>alert"), "{}", missing.text);
}
