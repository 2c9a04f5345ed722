//! The process is killed while it takes pushes: whatever is there afterwards is whole.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use model::Digest;
use tempfile::TempDir;

use crate::server::{Server, noise};

const FOLDER: &str = "REGISTRY_TO_BE_KILLED";

#[tokio::test]
async fn nothing_is_corrupt_after_a_kill() {
    let folder = TempDir::new().unwrap();
    // Only for its client; the registry that takes the pushes is the one that gets killed.
    let mut client = Server::start_in(folder.path()).await;
    for round in 0..6 {
        let mut process = start(folder.path());
        client.address = address(&mut process);
        let mut pushes: FuturesUnordered<_> = (0..40)
            .map(|number| {
                let content = noise(round * 100 + number, 300_000);
                let digest = Digest::of(&content);
                let path = format!("/v2/team/app/blobs/uploads/?digest={digest}");
                client.request("POST", &path).body(content).send()
            })
            .collect();
        // The others are anywhere between their first byte and their last sync.
        for _ in 0..=round * 5 {
            let pushed = pushes.next().await.unwrap().unwrap();
            assert_eq!(pushed.status(), 201);
        }
        process.kill().unwrap();
        drop(pushes);
        process.wait().unwrap();
        let whole = check_all(folder.path());
        assert!(whole as u64 > round * 5, "{whole}");
    }
    let after = Server::start_in(folder.path()).await;
    after.push_image("team/app", "v1", b"layer").await;
}

/// Every blob is what its name says, and every link leads to one. Returns how many links there are.
fn check_all(folder: &Path) -> usize {
    let files = |name: &str| -> Vec<_> {
        let all = fs_err::read_dir(folder.join(name)).into_iter().flatten();
        all.map(|entry| entry.unwrap().path()).collect()
    };
    for shard in files("blobs/sha256") {
        for blob in fs_err::read_dir(shard).unwrap() {
            let blob = blob.unwrap().path();
            let content = fs_err::read(&blob).unwrap();
            let name = blob.file_name().unwrap().to_str().unwrap();
            assert_eq!(Digest::of(&content).hex(), name);
        }
    }
    let links = files("repositories/team/app/_blobs");
    for link in &links {
        let name = link.file_name().unwrap().to_str().unwrap();
        let blob = folder.join("blobs/sha256").join(&name[..2]).join(name);
        assert!(blob.is_file(), "{name} is linked but not there");
    }
    links.len()
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "killed::serve_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn address(process: &mut Child) -> std::net::SocketAddr {
    let output = BufReader::new(process.stdout.take().unwrap());
    let mut lines = output.lines().map_while(Result::ok);
    let line = lines.find_map(|line| Some(line.split_once("listening on ")?.1.to_owned()));
    line.expect("the registry started").parse().unwrap()
}

/// No test of its own: what the test above starts and kills.
#[tokio::test]
#[ignore = "serves until it is killed; another test starts it"]
async fn serve_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let server = Server::start_in(Path::new(&folder)).await;
    println!("listening on {}", server.address);
    std::future::pending::<()>().await;
}
