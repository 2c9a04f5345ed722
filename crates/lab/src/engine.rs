//! A host's Docker engine: its settings, and whether it answers.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::cgroup;
use crate::link;
use crate::name::HostName;
use crate::record::Record;

/// The engine's sockets: the usual one, and one that this machine sees too.
pub(crate) const COMMAND: &[&str] = &[
    "dockerd",
    "--host=unix:///run/docker.sock",
    "--host=unix:///run/lab/docker.sock",
];

/// The content of the host's `/etc/docker/daemon.json`.
pub(crate) fn settings(record: &Record, host: &HostName) -> String {
    let settings = json!({
        "insecure-registries": record.insecure_registries,
        "mtu": link::mtu(),
        "storage-driver": "overlay2",
        // No systemd runs in a host.
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "cgroup-parent": cgroup::of_host(&record.name, host),
    });
    format!("{settings:#}\n")
}

/// The engine's version, if it answers on this socket.
pub(crate) fn version(socket: &Path) -> Option<String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    const ENOUGH: u64 = 64 * 1024;
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream
        .write_all(b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.take(ENOUGH).read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    Some(body.get("Version")?.as_str()?.to_owned())
}
