//! Who may ask for what, and what the others are told.

use serde_json::Value;

use crate::server::{Server, expect, header, noise, refused};

#[tokio::test]
async fn without_credentials_the_way_to_a_token_is_shown() {
    let server = Server::start().await;
    for path in ["/v2", "/v2/"] {
        let response = expect(server.anonymous("GET", path), 401).await;
        let realm = format!(
            r#"Bearer realm="http://{}/jwt/auth",service="lotse""#,
            server.address
        );
        assert_eq!(header(&response, "www-authenticate"), realm);
        assert_eq!(
            header(&response, "docker-distribution-api-version"),
            "registry/2.0"
        );
    }
    let named = server
        .anonymous("GET", "/v2/team/app/tags/list")
        .header("host", "registry.example")
        .header("x-forwarded-proto", "https");
    assert_eq!(
        header(&expect(named, 401).await, "www-authenticate"),
        r#"Bearer realm="https://registry.example/jwt/auth",service="lotse",scope="repository:team/app:pull""#
    );
    let evil = server
        .anonymous("GET", "/v2/")
        .header("host", r#"a",realm="http://evil"#);
    let response = expect(evil, 401).await;
    assert!(!header(&response, "www-authenticate").contains("evil"));
}

#[tokio::test]
async fn a_token_opens_the_door() {
    let server = Server::start().await;
    let path = "/jwt/auth?service=lotse&account=maintainer&offline_token=true&scope=repository:team/app:pull,push&scope=repository:public/base:pull";
    let form = [
        ("grant_type", "password"),
        ("username", "maintainer"),
        ("password", "reniatniam"),
        ("scope", "repository:team/app:push"),
    ];
    for asked in [
        server.request("GET", path),
        server.request("POST", "/jwt/auth"),
        server.anonymous("POST", "/jwt/auth").form(&form),
    ] {
        let answer: Value = expect(asked, 200).await.json().await.unwrap();
        assert_eq!(answer["token"], answer["access_token"]);
        assert_eq!(answer["expires_in"], 600);
        assert!(answer["issued_at"].as_str().unwrap().ends_with('Z'));
        let token = answer["token"].as_str().unwrap();
        expect(server.anonymous("GET", "/v2/").bearer_auth(token), 200).await;
        let upload = server.anonymous("POST", "/v2/team/app/blobs/uploads/");
        expect(upload.bearer_auth(token), 202).await;
    }
    expect(server.request("GET", "/v2/"), 200).await;
}

#[tokio::test]
async fn anonymous_tokens_read_what_is_public() {
    let server = Server::start().await;
    let digest = server.push_blob("public/base", b"layer").await;
    let answer = expect(server.anonymous("GET", "/jwt/auth"), 200).await;
    let answer: Value = answer.json().await.unwrap();
    let token = answer["token"].as_str().unwrap();
    let public = format!("/v2/public/base/blobs/{digest}");
    expect(server.anonymous("GET", &public).bearer_auth(token), 200).await;
    expect(server.anonymous("GET", &public), 401).await;
    for (method, path) in [
        ("POST", "/v2/public/base/blobs/uploads/"),
        ("GET", "/v2/team/app/tags/list"),
        ("GET", "/v2/no/such/tags/list"),
    ] {
        let request = server.anonymous(method, path).bearer_auth(token);
        let message = refused(request, 401, "UNAUTHORIZED").await;
        let hint = format!("docker login {}", server.address);
        assert!(message.contains(&hint), "{message}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_refused_everywhere() {
    let server = Server::start().await;
    let form = [("username", "maintainer"), ("password", "guess")];
    for request in [
        server.anonymous("GET", "/jwt/auth"),
        server.anonymous("POST", "/jwt/auth"),
        server.anonymous("GET", "/v2/"),
    ] {
        let request = request.basic_auth("maintainer", Some("guess"));
        let message = refused(request, 401, "UNAUTHORIZED").await;
        assert!(message.contains("docker login"), "{message}");
        assert!(!message.contains("guess"), "{message}");
    }
    let request = server.anonymous("POST", "/jwt/auth").form(&form);
    refused(request, 401, "UNAUTHORIZED").await;
    for header in [
        "Bearer nonsense",
        "Bearer e30.AAAA",
        "Bearer ",
        "Basic !!!",
        "Basic bm9jb2xvbg==",
        "Digest x",
        "nothing",
    ] {
        let request = server.anonymous("GET", "/v2/");
        let request = request.header("authorization", header);
        refused(request, 401, "UNAUTHORIZED").await;
    }
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    let request = server.anonymous("POST", "/jwt/auth").form(&refresh);
    let message = refused(request, 400, "UNSUPPORTED").await;
    assert!(message.contains("grant_type=password"), "{message}");
}

#[tokio::test]
async fn rights_decide() {
    let server = Server::start().await;
    let (_, image) = server.push_image("team/app", "v1", b"layer").await;
    let blob = server.push_blob("team/app", b"layer").await;
    let of_image = format!("/v2/team/app/manifests/{image}");
    let of_blob = format!("/v2/team/app/blobs/{blob}");
    for (user, method, path, status, code, hint) in [
        (
            "reporter",
            "POST",
            "/v2/team/app/blobs/uploads/",
            403,
            "DENIED",
            "you may not push to team/app",
        ),
        (
            "reporter",
            "PUT",
            "/v2/team/app/manifests/v1",
            403,
            "DENIED",
            "you may not push to team/app",
        ),
        (
            "reporter",
            "DELETE",
            of_image.as_str(),
            403,
            "DENIED",
            "you may not delete from team/app",
        ),
        (
            "reporter",
            "DELETE",
            of_blob.as_str(),
            403,
            "DENIED",
            "ask an owner",
        ),
        (
            "stranger",
            "GET",
            of_blob.as_str(),
            403,
            "DENIED",
            "you may not pull from team/app",
        ),
        (
            "stranger",
            "GET",
            "/v2/team/app/manifests/v1",
            403,
            "DENIED",
            "log in with a token that has it",
        ),
        (
            "stranger",
            "GET",
            "/v2/secret/x/tags/list",
            404,
            "NAME_UNKNOWN",
            "no project for the repository secret/x",
        ),
        (
            "maintainer",
            "POST",
            "/v2/no/such/blobs/uploads/",
            404,
            "NAME_UNKNOWN",
            "create the project",
        ),
        (
            "maintainer",
            "GET",
            "/v2/broken/x/tags/list",
            500,
            "UNKNOWN",
            "cannot look up your rights",
        ),
        (
            "maintainer",
            "GET",
            "/v2/team/none/tags/list",
            404,
            "NAME_UNKNOWN",
            "nothing was pushed",
        ),
    ] {
        let request = server.request_as(user, method, path);
        let message = refused(request, status, code).await;
        assert!(message.contains(hint), "{user} {method} {path}: {message}");
        assert!(!message.contains("on fire"), "{message}");
    }
    for path in [
        of_blob.as_str(),
        of_image.as_str(),
        "/v2/team/app/tags/list",
    ] {
        expect(server.request_as("reporter", "GET", path), 200).await;
    }
}

#[tokio::test]
async fn the_catalog_shows_what_the_caller_may_pull() {
    let server = Server::start().await;
    for name in ["team/app", "team/app/sub", "public/base", "secret/x"] {
        server.push_image(name, "v1", &noise(1, 10)).await;
    }
    server.push_blob("team/only-a-blob", b"x").await;
    for (user, expected) in [
        ("maintainer", "public/base secret/x team/app team/app/sub"),
        ("reporter", "public/base team/app team/app/sub"),
        ("stranger", "public/base"),
    ] {
        let request = server.request_as(user, "GET", "/v2/_catalog");
        let list: Value = expect(request, 200).await.json().await.unwrap();
        let names: Vec<_> = list["repositories"].as_array().unwrap().iter().collect();
        let names: Vec<_> = names.iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(names.join(" "), expected, "{user}");
    }
    let mut seen = Vec::new();
    let mut next = Some("/v2/_catalog?n=1".to_owned());
    while let Some(path) = next {
        let response = expect(server.request_as("reporter", "GET", &path), 200).await;
        next = response.headers().get("link").map(|link| {
            let link = link.to_str().unwrap();
            link[1..link.find('>').unwrap()].to_owned()
        });
        let list: Value = response.json().await.unwrap();
        seen.push(list["repositories"][0].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["public/base", "team/app", "team/app/sub"]);
    expect(server.anonymous("GET", "/v2/_catalog"), 401).await;
}

#[tokio::test]
async fn no_address_leaves_its_folder() {
    let server = Server::start().await;
    let secret = server.folder().join("outside");
    fs_err::write(&secret, "secret").unwrap();
    let digest = server.push_blob("team/app", b"x").await;
    let before = server.files("");
    for path in [
        "/v2/../outside",
        "/v2/team/../../../outside/tags/list",
        "/v2/team/app/manifests/../../../../outside",
        "/v2/team/app/manifests/..",
        "/v2/team/app/manifests/%2e%2e%2f%2e%2e%2foutside",
        "/v2/team/%2e%2e/app/manifests/v1",
        "/v2/team/app/blobs/sha256:../../../../outside",
        "/v2/team/app/blobs/uploads/../../../outside",
        "/v2/team/app/blobs/uploads/..%2f..%2foutside",
        &format!("/v2/team/app/_blobs/blobs/{digest}"),
        "/v2//team/app/manifests/v1",
        "/v2/team/app\0/manifests/v1",
        "/v2/team/app%00/manifests/v1",
    ] {
        for method in ["GET", "PUT", "DELETE", "POST", "PATCH"] {
            let answer = server
                .raw(&format!(
                    "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic bWFpbnRhaW5lcjpyZW5pYXRuaWFt\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                ))
                .await;
            let status = answer.split(' ').nth(1).unwrap_or_default();
            assert!(
                ["400", "404", "405"].contains(&status),
                "{method} {path}: {answer}"
            );
            assert!(!answer.contains("secret"), "{method} {path}: {answer}");
        }
    }
    assert_eq!(before, server.files(""));
    for method in ["PUT", "POST", "PATCH", "TRACE"] {
        let path = format!("/v2/team/app/blobs/{digest}");
        let request = server.request(method, &path);
        refused(request, 405, "UNSUPPORTED").await;
    }
}
