//! Fetching: the list of refs, and the objects.

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio_util::io::ReaderStream;

use crate::body::Body;
use crate::command::{Git, Process, read_tail};
use crate::{GitError, Output, Protocol, Repository, Request, Service, packet};

/// What a client may send to say what it wants and has, in bytes.
const REQUEST_LIMIT: u64 = 64 << 20;

/// The largest list of refs, in bytes; some millions of refs.
const ADVERTISEMENT_LIMIT: u64 = 256 << 20;

/// How much is read from git at once, in bytes.
const CHUNK: usize = 64 << 10;

impl Repository {
    /// The answer to `GET info/refs?service=…`.
    ///
    /// # Errors
    /// When git fails.
    pub async fn advertise(
        &self,
        service: Service,
        protocol: &Protocol,
    ) -> Result<Bytes, GitError> {
        let refs = serving(self.git(service.command()), protocol)
            .args(["--stateless-rpc", "--advertise-refs", "."])
            .output(b"", ADVERTISEMENT_LIMIT)
            .await?;
        let mut answer = BytesMut::with_capacity(refs.len() + 64);
        // Version 2 has no such heading (gitprotocol-v2, "HTTP Transport"); it knows no push.
        if service == Service::ReceivePack || !protocol.is_version_2() {
            let heading = format!("# service={}\n", service.name());
            answer.put(packet::data(&[heading.as_bytes()]));
            answer.put_slice(packet::FLUSH);
        }
        answer.put_slice(&refs);
        Ok(answer.freeze())
    }

    /// Serves `POST git-upload-pack`. The processes end when the answer is dropped.
    ///
    /// # Errors
    /// When git cannot be started; later trouble ends the answer.
    pub async fn upload_pack(&self, request: Request) -> Result<Output, GitError> {
        let git = serving(self.git("upload-pack"), &request.protocol);
        let (process, pipes) = git.args(["--stateless-rpc", "--strict", "."]).start()?;
        let body = Body::new(request.body, request.encoding, REQUEST_LIMIT);
        let answer = Answer {
            stdout: ReaderStream::with_capacity(pipes.stdout, CHUNK),
            stderr: pipes.stderr,
            feed: AbortOnDrop(tokio::spawn(feed(body, pipes.stdin))),
            process,
        };
        Ok(stream::unfold(Some(answer), Answer::next).boxed())
    }
}

/// Passes the protocol's version on.
pub(crate) fn serving(git: Git, protocol: &Protocol) -> Git {
    match protocol.as_str() {
        Some(version) => git.env("GIT_PROTOCOL", version),
        None => git,
    }
}

/// Gives the body to git. When it breaks off, git finds its input ended, and says so.
async fn feed(mut body: Body, mut stdin: ChildStdin) {
    loop {
        match body.next().await {
            Ok(Some(chunk)) if stdin.write_all(&chunk).await.is_ok() => {}
            Ok(_) => return,
            Err(error) => {
                tracing::debug!(%error, "a fetch's request broke off");
                return;
            }
        }
    }
}

struct Answer {
    stdout: ReaderStream<ChildStdout>,
    stderr: ChildStderr,
    feed: AbortOnDrop,
    process: Process,
}

impl Answer {
    async fn next(answer: Option<Self>) -> Option<(std::io::Result<Bytes>, Option<Self>)> {
        let mut answer = answer?;
        match answer.stdout.next().await {
            Some(Ok(chunk)) => Some((Ok(chunk), Some(answer))),
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                answer.end().await;
                None
            }
        }
    }

    /// A failure was told to the client inside the protocol, or it sees that the pack is cut.
    async fn end(mut self) {
        drop(self.feed);
        let message = read_tail(self.stderr).await;
        match self.process.wait().await {
            Ok(status) if status.success() => {}
            Ok(status) => tracing::info!(%status, message, "git upload-pack refused a request"),
            Err(error) => tracing::warn!(%error, "git upload-pack"),
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
