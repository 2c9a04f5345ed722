//! Downloads, mounts and deletes of blobs.

use model::Digest;

use crate::server::{Server, expect, header, noise, refused};

#[tokio::test]
async fn what_was_pushed_comes_back() {
    let server = Server::start().await;
    let content = noise(1, 3_000_000);
    let digest = server.push_blob("team/app", &content).await;
    let path = format!("/v2/team/app/blobs/{digest}");
    for method in ["HEAD", "GET"] {
        let response = expect(server.request(method, &path), 200).await;
        assert_eq!(header(&response, "content-length"), "3000000");
        assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
        assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
        let body = response.bytes().await.unwrap();
        assert!(body.is_empty() == (method == "HEAD"));
        assert!(body.is_empty() || body == content);
    }
    let unchanged = server
        .request("GET", &path)
        .header("if-none-match", format!("\"{digest}\""));
    expect(unchanged, 304).await;
    let encoded = path.replace(':', "%3A");
    expect(server.request("GET", &encoded), 200).await;
}

#[tokio::test]
async fn parts_of_a_blob() {
    let server = Server::start().await;
    let content = noise(2, 2_000_000);
    let digest = server.push_blob("team/app", &content).await;
    let path = format!("/v2/team/app/blobs/{digest}");
    for (range, part, content_range) in [
        ("bytes=0-0", 0..1, "bytes 0-0/2000000"),
        (
            "bytes=1000-1500000",
            1000..1_500_001,
            "bytes 1000-1500000/2000000",
        ),
        (
            "bytes=1999990-",
            1_999_990..2_000_000,
            "bytes 1999990-1999999/2000000",
        ),
        (
            "bytes=-5",
            1_999_995..2_000_000,
            "bytes 1999995-1999999/2000000",
        ),
    ] {
        let response = expect(server.request("GET", &path).header("range", range), 206).await;
        assert_eq!(header(&response, "content-range"), content_range);
        assert!(response.bytes().await.unwrap() == content[part], "{range}");
    }
    let outside = server
        .request("GET", &path)
        .header("range", "bytes=2000000-");
    let response = expect(outside, 416).await;
    assert_eq!(header(&response, "content-range"), "bytes */2000000");
    let changed = server
        .request("GET", &path)
        .header("range", "bytes=0-0")
        .header("if-range", "\"other\"");
    expect(changed, 200).await;
}

#[tokio::test]
async fn unknown_and_malformed_digests() {
    let server = Server::start().await;
    let path = format!("/v2/team/app/blobs/{}", Digest::of(b"never pushed"));
    for method in ["GET", "DELETE"] {
        let message = refused(server.request(method, &path), 404, "BLOB_UNKNOWN").await;
        assert!(message.contains("push it there first"), "{message}");
    }
    expect(server.request("HEAD", &path), 404).await;
    for digest in ["sha256:abc", "md5:00", "sha512:00", "x"] {
        let path = format!("/v2/team/app/blobs/{digest}");
        refused(server.request("GET", &path), 400, "DIGEST_INVALID").await;
    }
}

#[tokio::test]
async fn a_blob_is_seen_and_deleted_only_where_it_is_linked() {
    let server = Server::start().await;
    let digest = server.push_blob("team/one", b"shared").await;
    let one = format!("/v2/team/one/blobs/{digest}");
    let two = format!("/v2/team/two/blobs/{digest}");
    refused(server.request("GET", &two), 404, "BLOB_UNKNOWN").await;
    refused(server.request("DELETE", &two), 404, "BLOB_UNKNOWN").await;
    server.push_blob("team/two", b"shared").await;
    assert_eq!(server.files("blobs").len(), 1);
    expect(server.request("DELETE", &one), 202).await;
    refused(server.request("GET", &one), 404, "BLOB_UNKNOWN").await;
    let response = expect(server.request("GET", &two), 200).await;
    assert_eq!(response.text().await.unwrap(), "shared");
}

#[tokio::test]
async fn mounts() {
    let server = Server::start().await;
    let digest = server.push_blob("team/one", b"shared").await;
    let hidden = server.push_blob("secret/x", b"hidden").await;
    let mount = |user: &str, to: &str, digest: &Digest, from: &str| {
        let path = format!("/v2/{to}/blobs/uploads/?mount={digest}&from={from}");
        server.request_as(user, "POST", &path)
    };
    let response = expect(mount("maintainer", "team/two", &digest, "team/one"), 201).await;
    let location = header(&response, "location").to_owned();
    assert_eq!(location, format!("/v2/team/two/blobs/{digest}"));
    expect(server.request("GET", &location), 200).await;
    let unknown = Digest::of(b"unknown");
    for (digest, from) in [
        (&unknown, "team/one"),
        (&digest, "team/three"),
        (&digest, "no/such"),
        (&digest, "../x"),
        (&hidden, "team/one"),
    ] {
        let response = expect(mount("maintainer", "team/four", digest, from), 202).await;
        assert!(header(&response, "location").starts_with("/v2/team/four/blobs/uploads/"));
        let path = format!("/v2/team/four/blobs/{digest}");
        refused(server.request("GET", &path), 404, "BLOB_UNKNOWN").await;
    }
    let path = format!("/v2/team/four/blobs/uploads/?mount={digest}");
    expect(server.request("POST", &path), 202).await;
    let bad = server.request("POST", "/v2/team/four/blobs/uploads/?mount=x&from=team/one");
    refused(bad, 400, "DIGEST_INVALID").await;
}

/// Whoever may push to one repository and knows a digest gets nothing of another by mounting it.
#[tokio::test]
async fn a_mount_reveals_nothing_that_the_caller_may_not_pull() {
    let server = Server::start().await;
    let digest = server.push_blob("secret/x", b"hidden").await;
    let path = format!("/v2/team/app/blobs/uploads/?mount={digest}&from=secret/x");
    expect(server.request_as("developer", "POST", &path), 202).await;
    let path = format!("/v2/team/app/blobs/{digest}");
    refused(
        server.request_as("developer", "GET", &path),
        404,
        "BLOB_UNKNOWN",
    )
    .await;
}
