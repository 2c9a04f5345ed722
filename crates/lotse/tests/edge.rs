//! `lotse edge`, as a process.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An edge that ends with the test.
struct Edge(Child);

impl Edge {
    fn start(folder: &Path) -> Self {
        let mut command = lotse(folder, "run");
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while !folder.join("edge.sock").exists() {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "it does not come up"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self(child)
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lotse(folder: &Path, command: &str) -> Command {
    let mut lotse = Command::new(env!("CARGO_BIN_EXE_lotse"));
    lotse.args(["edge", command, "--folder"]).arg(folder);
    lotse
}

fn free_address() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().to_string()
}

#[test]
fn a_set_goes_on_when_nobody_reads_its_progress_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let _edge = Edge::start(folder.path());
    let serving = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = serving.local_addr().unwrap().to_string();
    let listen = free_address();
    let mut set = lotse(folder.path(), "set");
    set.args([&listen, &target, "--watch", "0s", "--json"]);
    let mut set = set
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(set.stdout.take());
    let ended = set.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    let list = lotse(folder.path(), "list").arg("--json").output().unwrap();
    assert!(String::from_utf8_lossy(&list.stdout).contains(&target));
}
