//! Manifests, tags and referrers.

use model::Digest;
use serde_json::Value;

use crate::server::{
    OCI_IMAGE, OCI_INDEX, Server, descriptor, expect, header, image_of, noise, refused,
};

#[tokio::test]
async fn by_tag_and_by_digest() {
    let server = Server::start().await;
    let (manifest, digest) = server.push_image("team/app", "v1", b"layer").await;
    for reference in ["v1", digest.as_str()] {
        let path = format!("/v2/team/app/manifests/{reference}");
        for method in ["HEAD", "GET"] {
            let response = expect(server.request(method, &path), 200).await;
            assert_eq!(header(&response, "content-type"), OCI_IMAGE);
            assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
            assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
            let length = manifest.len().to_string();
            assert_eq!(header(&response, "content-length"), length);
            let body = response.text().await.unwrap();
            assert_eq!(body, if method == "GET" { &manifest } else { "" });
        }
    }
    let as_blob = format!("/v2/team/app/blobs/{digest}");
    expect(server.request("GET", &as_blob), 200).await;
    let elsewhere = format!("/v2/team/other/manifests/{digest}");
    refused(server.request("GET", &elsewhere), 404, "MANIFEST_UNKNOWN").await;
    let (_, second) = server.push_image("team/app", "v1", b"second").await;
    let moved = expect(server.request("HEAD", "/v2/team/app/manifests/v1"), 200).await;
    assert_eq!(header(&moved, "docker-content-digest"), second.as_str());
}

#[tokio::test]
async fn manifests_that_are_refused() {
    let server = Server::start().await;
    server.push_blob("team/app", b"{}").await;
    server.push_blob("team/app", b"layer").await;
    server.push_blob("team/other", b"elsewhere").await;
    let other_size = image_of(b"layer").replace("\"size\":5", "\"size\":6");
    let large = format!("{}{}", image_of(b"layer"), " ".repeat(4 * 1024 * 1024));
    let of_nothing = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        descriptor(OCI_IMAGE, b"never pushed")
    );
    let digest = Digest::of(b"another").to_string();
    let missing = "MANIFEST_BLOB_UNKNOWN";
    let invalid = "MANIFEST_INVALID";
    for (reference, media_type, body, status, code, hint) in [
        (
            "v1",
            OCI_IMAGE,
            image_of(b"elsewhere"),
            400,
            missing,
            "push it there first",
        ),
        (
            "v1",
            OCI_INDEX,
            of_nothing,
            400,
            missing,
            "which team/app does not hold",
        ),
        (
            "v1",
            OCI_IMAGE,
            other_size,
            400,
            invalid,
            "6 bytes, but it has 5",
        ),
        (
            "v1",
            OCI_IMAGE,
            large,
            413,
            invalid,
            "larger than 4194304 bytes",
        ),
        ("v1", OCI_IMAGE, "{".into(), 400, invalid, "not the JSON"),
        (
            "v1",
            OCI_IMAGE,
            "[".repeat(100_000),
            400,
            invalid,
            "not the JSON",
        ),
        (
            "v1",
            "text/plain",
            "{}".into(),
            400,
            invalid,
            "are not taken",
        ),
        (
            "v1",
            OCI_INDEX,
            image_of(b"layer"),
            400,
            invalid,
            "calls itself",
        ),
        (
            ".v1",
            OCI_IMAGE,
            image_of(b"layer"),
            400,
            invalid,
            "neither a tag",
        ),
        (
            &digest,
            OCI_IMAGE,
            image_of(b"layer"),
            400,
            "DIGEST_INVALID",
            "nothing was stored",
        ),
    ] {
        let put = server
            .request("PUT", &format!("/v2/team/app/manifests/{reference}"))
            .header("content-type", media_type)
            .body(body);
        let message = refused(put, status, code).await;
        assert!(message.contains(hint), "{message}");
    }
    assert_eq!(server.files("repositories").len(), 3);
    for reference in ["v1", &digest] {
        let path = format!("/v2/team/app/manifests/{reference}");
        refused(server.request("GET", &path), 404, "MANIFEST_UNKNOWN").await;
        refused(server.request("DELETE", &path), 404, "MANIFEST_UNKNOWN").await;
    }
}

#[tokio::test]
async fn an_index_of_images() {
    let server = Server::start().await;
    let (image, _) = server.push_image("team/app", "arm", b"layer").await;
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        descriptor(OCI_IMAGE, image.as_bytes())
    );
    let docker_list = "application/vnd.docker.distribution.manifest.list.v2+json";
    for media_type in [OCI_INDEX, docker_list] {
        let path = "/v2/team/app/manifests/all";
        let put = server
            .request("PUT", path)
            .header("content-type", media_type);
        let response = expect(put.body(index.clone()), 201).await;
        let digest = Digest::of(index.as_bytes());
        assert_eq!(
            header(&response, "location"),
            format!("/v2/team/app/manifests/{digest}")
        );
        let response = expect(server.request("GET", path), 200).await;
        assert_eq!(header(&response, "content-type"), media_type);
        assert_eq!(response.text().await.unwrap(), index);
    }
}

#[tokio::test]
async fn deletes() {
    let server = Server::start().await;
    let (_, one) = server.push_image("team/app", "v1", b"one").await;
    server.push_image("team/app", "latest", b"one").await;
    server.push_image("team/app", "also", b"one").await;
    server.push_image("team/app", "v2", b"two").await;
    server.push_image("team/other", "v1", b"one").await;
    let path = |reference: &str| format!("/v2/team/app/manifests/{reference}");
    expect(server.request("DELETE", &path("also")), 202).await;
    refused(
        server.request("GET", &path("also")),
        404,
        "MANIFEST_UNKNOWN",
    )
    .await;
    expect(server.request("GET", &path(one.as_str())), 200).await;
    expect(server.request("DELETE", &path(one.as_str())), 202).await;
    for reference in ["v1", "latest", one.as_str()] {
        refused(
            server.request("GET", &path(reference)),
            404,
            "MANIFEST_UNKNOWN",
        )
        .await;
    }
    assert_eq!(tags(&server, "").await.0, ["v2"]);
    expect(server.request("GET", "/v2/team/other/manifests/v1"), 200).await;
}

/// The tags on a page, and the address of the next.
async fn tags(server: &Server, query: &str) -> (Vec<String>, Option<String>) {
    let path = format!("/v2/team/app/tags/list{query}");
    let response = expect(server.request("GET", &path), 200).await;
    let next = response.headers().get("link").map(|link| {
        let link = link.to_str().unwrap();
        assert!(link.ends_with(r#">; rel="next""#), "{link}");
        let start = link.find('?').unwrap();
        link[start..link.find('>').unwrap()].to_owned()
    });
    let list: Value = response.json().await.unwrap();
    assert_eq!(list["name"], "team/app");
    (serde_json::from_value(list["tags"].clone()).unwrap(), next)
}

#[tokio::test]
async fn tags_by_pages() {
    let server = Server::start().await;
    for tag in ["b", "a", "d", "c", "e"] {
        server.push_image("team/app", tag, b"layer").await;
    }
    assert_eq!(
        tags(&server, "").await,
        (texts(&["a", "b", "c", "d", "e"]), None)
    );
    let (first, next) = tags(&server, "?n=2").await;
    assert_eq!(first, ["a", "b"]);
    let (second, next) = tags(&server, &next.unwrap()).await;
    assert_eq!(second, ["c", "d"]);
    assert_eq!(tags(&server, &next.unwrap()).await, (texts(&["e"]), None));
    assert_eq!(tags(&server, "?n=5").await.1, None);
    assert_eq!(tags(&server, "?n=0").await, (Vec::new(), None));
    assert_eq!(tags(&server, "?last=bb&n=9").await.0, ["c", "d", "e"]);
    for n in ["x", "-1"] {
        let path = format!("/v2/team/app/tags/list?n={n}");
        refused(
            server.request("GET", &path),
            400,
            "PAGINATION_NUMBER_INVALID",
        )
        .await;
    }
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn referrers() {
    let server = Server::start().await;
    let (image, subject) = server.push_image("team/app", "v1", b"layer").await;
    let subject_descriptor = descriptor(OCI_IMAGE, image.as_bytes());
    let mut digests = Vec::new();
    for artifact_type in ["a/signature", "a/sbom"] {
        let body = image_of(b"layer").replace(
            "\"config\"",
            &format!(
                r#""artifactType":"{artifact_type}","annotations":{{"k":"v"}},"subject":{subject_descriptor},"config""#
            ),
        );
        let digest = Digest::of(body.as_bytes());
        let put = server
            .request("PUT", &format!("/v2/team/app/manifests/{digest}"))
            .header("content-type", OCI_IMAGE)
            .body(body);
        let response = expect(put, 201).await;
        assert_eq!(header(&response, "oci-subject"), subject.as_str());
        digests.push(digest);
    }
    let path = format!("/v2/team/app/referrers/{subject}");
    let response = expect(server.request("GET", &path), 200).await;
    assert_eq!(header(&response, "content-type"), OCI_INDEX);
    let list: Value = response.json().await.unwrap();
    assert_eq!(list["manifests"].as_array().unwrap().len(), 2);
    let filtered = format!("{path}?artifactType=a/sbom");
    let response = expect(server.request("GET", &filtered), 200).await;
    assert_eq!(header(&response, "oci-filters-applied"), "artifactType");
    let list: Value = response.json().await.unwrap();
    let found = list["manifests"].as_array().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["digest"], digests[1].as_str());
    assert_eq!(found[0]["artifactType"], "a/sbom");
    assert_eq!(found[0]["annotations"]["k"], "v");
    let delete = format!("/v2/team/app/manifests/{}", digests[1]);
    expect(server.request("DELETE", &delete), 202).await;
    let none = Digest::of(b"none");
    for path in [filtered, format!("/v2/team/app/referrers/{none}")] {
        let response = expect(server.request("GET", &path), 200).await;
        let list: Value = response.json().await.unwrap();
        assert_eq!(list["manifests"], serde_json::json!([]), "{path}");
    }
}

/// An artifact may be pushed before what it is about.
#[tokio::test]
async fn a_subject_need_not_exist() {
    let server = Server::start().await;
    let layer = noise(6, 100);
    server.push_blob("team/app", &layer).await;
    server.push_blob("team/app", b"{}").await;
    let subject = descriptor(OCI_IMAGE, b"later");
    let body = image_of(&layer).replace("\"config\"", &format!(r#""subject":{subject},"config""#));
    let put = server
        .request("PUT", "/v2/team/app/manifests/artifact")
        .header("content-type", OCI_IMAGE)
        .body(body);
    expect(put, 201).await;
}
