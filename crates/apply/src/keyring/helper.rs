//! `docker-credential-…`: programs that keep passwords for the Docker client.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use docker::image::Credentials;
use model::Secret;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

/// A helper may ask its user to unlock something.
const LIMIT: Duration = Duration::from_secs(60);
/// No answer is larger, in bytes.
const LARGEST: u64 = 64 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Secret,
}

/// Asks a helper who comes to a registry. An error is the program and what is wrong.
pub(super) async fn ask(
    helper: &str,
    address: &str,
    search_path: Option<&OsStr>,
) -> Result<Option<Credentials>, (String, String)> {
    let program = format!("docker-credential-{helper}");
    let is_name = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    if !helper.chars().all(is_name) {
        return Err((program, "that is no name of a helper".to_owned()));
    }
    match timeout(LIMIT, run(&program, address, search_path)).await {
        Ok(outcome) => outcome.map_err(|why| (program, why)),
        Err(_) => Err((program, format!("it took more than {} s", LIMIT.as_secs()))),
    }
}

async fn run(
    program: &str,
    address: &str,
    search_path: Option<&OsStr>,
) -> Result<Option<Credentials>, String> {
    let mut command = Command::new(program);
    command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(path) = search_path {
        command.env("PATH", path);
    }
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not listen says why by its exit.
        let _deaf = input.write_all(format!("{address}\n").as_bytes()).await;
    }
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading = async {
        if let Some(stdout) = stdout {
            stdout.take(LARGEST).read_to_end(&mut out).await?;
        }
        if let Some(stderr) = stderr {
            stderr.take(LARGEST).read_to_end(&mut err).await?;
        }
        child.wait().await
    };
    let status = reading.await.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&out);
    if !status.success() {
        // The words that all helpers share.
        return match said.contains("credentials not found") {
            true => Ok(None),
            false => Err(complaint(&said, &String::from_utf8_lossy(&err))),
        };
    }
    let answer = serde_json::from_slice(&out);
    let answer: Answer = answer.map_err(|_| "its answer is not understood".to_owned())?;
    Ok(Some(Credentials {
        user: answer.username,
        password: answer.secret,
    }))
}

fn complaint(out: &str, err: &str) -> String {
    let words = format!("{} {}", out.trim(), err.trim());
    words.trim().chars().take(300).collect()
}
