//! How fast a large layer goes in and out, beside what hash and disk alone need.

use std::io::Write as _;
use std::time::Instant;

use model::Digest;

use crate::server::{Server, expect, noise};

const SIZE: usize = 200 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures: cargo test -p registry --release -- --ignored speed --nocapture"]
async fn speed() {
    let server = Server::start().await;
    let content = noise(1, SIZE);

    let start = Instant::now();
    let digest = Digest::of(&content);
    figure("hash alone", start);

    let start = Instant::now();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content).unwrap();
    file.sync_all().unwrap();
    figure("write and sync alone", start);

    let body = bytes::Bytes::from(content);
    let upload = server.start_upload("team/app").await;
    let start = Instant::now();
    expect(server.request("PATCH", &upload).body(body), 202).await;
    let end = format!("{upload}?digest={digest}");
    figure("push, before the sync", start);
    expect(server.request("PUT", &end), 201).await;
    figure("push", start);

    let start = Instant::now();
    let path = format!("/v2/team/app/blobs/{digest}");
    let mut pull = expect(server.request("GET", &path), 200).await;
    let mut size = 0;
    while let Some(chunk) = pull.chunk().await.unwrap() {
        size += chunk.len();
    }
    assert_eq!(size, SIZE);
    figure("pull", start);
}

fn figure(what: &str, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let rate = SIZE as f64 / 1e6 / seconds;
    println!("{what:24} {seconds:6.3} s {rate:7.0} MB/s");
}
