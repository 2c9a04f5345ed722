//! Uploads: whole, streamed, in chunks, broken and resumed.

use std::time::Duration;

use model::Digest;
use tokio::io::AsyncWriteExt as _;

use crate::server::{Server, expect, header, noise, refused};

const BLOB: &str = "/v2/team/app/blobs";

#[tokio::test]
async fn streamed_and_ended() {
    let server = Server::start().await;
    let content = noise(3, 5_000_000);
    let digest = Digest::of(&content);
    let upload = server.start_upload("team/app").await;
    let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
        content.chunks(70_000).map(|c| Ok(c.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let response = expect(server.request("PATCH", &upload).body(body), 202).await;
    assert_eq!(header(&response, "range"), "0-4999999");
    assert_eq!(header(&response, "location"), upload);
    assert!(upload.ends_with(header(&response, "docker-upload-uuid")));
    let end = format!("{upload}?digest={digest}");
    let response = expect(server.request("PUT", &end), 201).await;
    assert_eq!(header(&response, "location"), format!("{BLOB}/{digest}"));
    assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
    let path = format!("{BLOB}/{digest}");
    let pulled = expect(server.request("GET", &path), 200).await;
    assert!(pulled.bytes().await.unwrap() == content);
    assert!(server.files("uploads").is_empty());
    refused(server.request("PUT", &end), 404, "BLOB_UPLOAD_UNKNOWN").await;
}

#[tokio::test]
async fn chunks_must_be_in_order_and_as_long_as_they_say() {
    let server = Server::start().await;
    let upload = server.start_upload("team/app").await;
    let chunk = |range: &str, body: &'static str| {
        server
            .request("PATCH", &upload)
            .header("content-range", range)
            .body(body)
    };
    expect(chunk("0-4", "hello"), 202).await;
    for range in ["0-4", "4-8", "6-10"] {
        let response = expect(chunk(range, "again"), 416).await;
        assert_eq!(header(&response, "range"), "0-4");
        assert_eq!(header(&response, "location"), upload);
    }
    refused(chunk("5-20", "short"), 400, "SIZE_INVALID").await;
    refused(chunk("nonsense", "x"), 400, "BLOB_UPLOAD_INVALID").await;
    let streamed = futures_util::stream::iter([Ok::<_, std::io::Error>("much too long")]);
    let too_long = server
        .request("PATCH", &upload)
        .header("content-range", "5-6")
        .body(reqwest::Body::wrap_stream(streamed));
    refused(too_long, 400, "SIZE_INVALID").await;
    let response = expect(server.request("GET", &upload), 204).await;
    assert_eq!(header(&response, "range"), "0-4");
    expect(chunk("bytes 5-10/*", " world"), 202).await;
    let digest = Digest::of(b"hello world!");
    let last = server
        .request("PUT", &format!("{upload}?digest={digest}"))
        .header("content-range", "11-11")
        .body("!");
    expect(last, 201).await;
    let pulled = expect(server.request("GET", &format!("{BLOB}/{digest}")), 200).await;
    assert_eq!(pulled.text().await.unwrap(), "hello world!");
}

#[tokio::test]
async fn a_wrong_digest_stores_nothing() {
    let server = Server::start().await;
    let (announced, actual) = (Digest::of(b"announced"), Digest::of(b"sent"));
    let upload = server.start_upload("team/app").await;
    let two_steps = server
        .request("PUT", &format!("{upload}?digest={announced}"))
        .body("sent");
    let path = format!("{BLOB}/uploads/?digest={announced}");
    let one_step = server.request("POST", &path).body("sent");
    for request in [two_steps, one_step] {
        let message = refused(request, 400, "DIGEST_INVALID").await;
        assert!(message.contains(actual.as_str()), "{message}");
        assert!(message.contains(announced.as_str()), "{message}");
    }
    for digest in [announced, actual] {
        expect(server.request("HEAD", &format!("{BLOB}/{digest}")), 404).await;
    }
    for folder in ["blobs", "uploads", "tmp", "repositories"] {
        assert!(server.files(folder).is_empty(), "{folder}");
    }
    let upload = server.start_upload("team/app").await;
    refused(server.request("PUT", &upload), 400, "DIGEST_INVALID").await;
    let bad = format!("{upload}?digest=sha256:abc");
    refused(server.request("PUT", &bad), 400, "DIGEST_INVALID").await;
    let bad = format!("{BLOB}/uploads/?digest=abc");
    refused(server.request("POST", &bad), 400, "DIGEST_INVALID").await;
    assert_eq!(server.files("uploads").len(), 1);
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let server = Server::start().await;
    let upload = server.start_upload("team/app").await;
    let elsewhere = upload.replace("team/app", "team/other");
    let never = format!("{BLOB}/uploads/{}", "0".repeat(32));
    for path in [elsewhere.as_str(), &never] {
        let end = format!("{path}?digest={}", Digest::of(b""));
        for (method, path) in [
            ("GET", path),
            ("PATCH", path),
            ("PUT", &end),
            ("DELETE", path),
        ] {
            refused(server.request(method, path), 404, "BLOB_UPLOAD_UNKNOWN").await;
        }
    }
    expect(server.request("DELETE", &upload), 204).await;
    refused(server.request("GET", &upload), 404, "BLOB_UPLOAD_UNKNOWN").await;
    assert!(server.files("uploads").is_empty());
}

/// Sends the first bytes of a body that was announced as longer, and hangs up.
async fn broken_patch(server: &Server, upload: &str, sent: &[u8], announced: usize) {
    let mut stream = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let head = format!(
        "PATCH {upload} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic bWFpbnRhaW5lcjpyZW5pYXRuaWFt\r\nContent-Length: {announced}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream.flush().await.unwrap();
}

/// The next byte that an upload wants.
async fn resume_at(server: &Server, upload: &str) -> usize {
    let response = expect(server.request("GET", upload), 204).await;
    let last: usize = header(&response, "range")[2..].parse().unwrap();
    if last == 0 { 0 } else { last + 1 }
}

#[tokio::test]
async fn a_broken_upload_is_invisible_and_can_be_resumed() {
    let server = Server::start().await;
    let content = noise(4, 8_000_000);
    let digest = Digest::of(&content);
    let upload = server.start_upload("team/app").await;
    broken_patch(&server, &upload, &content[..6_000_000], content.len()).await;
    expect(server.request("HEAD", &format!("{BLOB}/{digest}")), 404).await;
    let resume = resume_at(&server, &upload).await;
    assert!(resume <= 6_000_000, "{resume}");
    assert!(server.files("blobs").is_empty());
    let rest = server
        .request("PATCH", &upload)
        .header("content-range", format!("{resume}-{}", content.len() - 1))
        .body(content[resume..].to_vec());
    expect(rest, 202).await;
    expect(
        server.request("PUT", &format!("{upload}?digest={digest}")),
        201,
    )
    .await;
    let pulled = expect(server.request("GET", &format!("{BLOB}/{digest}")), 200).await;
    assert!(pulled.bytes().await.unwrap() == content);
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let first = Server::start().await;
    let upload = first.start_upload("team/app").await;
    expect(first.request("PATCH", &upload).body("before, "), 202).await;
    let second = Server::start_in(first.folder()).await;
    assert_eq!(resume_at(&second, &upload).await, 8);
    expect(second.request("PATCH", &upload).body("after"), 202).await;
    let end = format!("{upload}?digest={}", Digest::of(b"before, after"));
    expect(second.request("PUT", &end), 201).await;
}

/// The second is told so; what the first holds neither expires nor is lost.
#[tokio::test]
async fn two_requests_cannot_write_one_upload() {
    let server = Server::start().await;
    let upload = server.start_upload("team/app").await;
    let (frames, body) = tokio::sync::mpsc::channel::<Result<&str, std::io::Error>>(1);
    let body = futures_util::stream::unfold(body, async |mut body| {
        body.recv().await.map(|frame| (frame, body))
    });
    let body = reqwest::Body::wrap_stream(body);
    let first = tokio::spawn(server.request("PATCH", &upload).body(body).send());
    frames.send(Ok("first")).await.unwrap();
    while server.files("uploads")[0].metadata().unwrap().len() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = server.request("PATCH", &upload).body("second");
    let message = refused(second, 409, "BLOB_UPLOAD_INVALID").await;
    assert!(message.contains("another request"), "{message}");
    assert_eq!(
        server
            .registry
            .expire_uploads(Duration::ZERO)
            .await
            .unwrap(),
        0
    );
    drop(frames);
    assert_eq!(first.await.unwrap().unwrap().status(), 202);
    let end = format!("{upload}?digest={}", Digest::of(b"first"));
    expect(server.request("PUT", &end), 201).await;
}

#[tokio::test]
async fn many_push_the_same_blob_at_once() {
    let server = Server::start().await;
    let content = noise(5, 2_000_000);
    let digest = Digest::of(&content);
    let pushes = (0..8).map(|number| {
        let path = format!("/v2/team/app{}/blobs/uploads/?digest={digest}", number % 3);
        expect(server.request("POST", &path).body(content.clone()), 201)
    });
    futures_util::future::join_all(pushes).await;
    assert_eq!(server.files("blobs").len(), 1);
    assert!(server.files("uploads").is_empty());
    for number in 0..3 {
        let path = format!("/v2/team/app{number}/blobs/{digest}");
        let pulled = expect(server.request("GET", &path), 200).await;
        assert!(pulled.bytes().await.unwrap() == content);
    }
}

#[tokio::test]
async fn uploads_that_were_given_up_expire() {
    let server = Server::start().await;
    let upload = server.start_upload("team/app").await;
    expect(server.request("PATCH", &upload).body("some"), 202).await;
    fs_err::write(server.folder().join("tmp/.tmpleft"), "half a manifest").unwrap();
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(server.registry.expire_uploads(day).await.unwrap(), 0);
    expect(server.request("GET", &upload), 204).await;
    assert_eq!(
        server
            .registry
            .expire_uploads(Duration::ZERO)
            .await
            .unwrap(),
        2
    );
    refused(server.request("GET", &upload), 404, "BLOB_UPLOAD_UNKNOWN").await;
    assert!(server.files("uploads").is_empty());
    assert!(server.files("tmp").is_empty());
}
