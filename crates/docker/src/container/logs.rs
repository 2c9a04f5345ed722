//! A container's output, as its log driver has kept it.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;

use crate::archive::Sent;
use crate::engine::Engine;
use crate::error::{DockerError, Operation};
use crate::name::Name;

/// Which output is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogRequest {
    /// Only so many of the last lines [default: all].
    pub tail: Option<usize>,
    /// Whether to go on with what comes, until the container ends.
    pub follow: bool,
    /// Only what is not older (to the second).
    pub since: Option<Timestamp>,
    /// Whether each line begins with its time.
    pub timestamps: bool,
}

/// A piece of output: a line, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// Where it was written to.
    pub stream: OutputStream,
    /// What was written.
    pub bytes: Bytes,
}

/// Where output was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// The standard output, or a terminal.
    Out,
    /// The standard error.
    Error,
}

impl Engine {
    /// A container's output. A stream without `follow` ends; the time of its pieces is not
    /// limited, so whoever follows decides when it is enough.
    ///
    /// The stream's errors: not found: the container. Refused: its log driver cannot be read.
    pub fn logs(
        &self,
        name: &Name,
        request: LogRequest,
    ) -> impl Stream<Item = Result<LogChunk, DockerError>> + Send + Unpin + use<> {
        let options = LogsOptions {
            follow: request.follow,
            stdout: true,
            stderr: true,
            since: request.since.map_or(0, seconds),
            until: 0,
            timestamps: request.timestamps,
            tail: request
                .tail
                .map_or("all".to_owned(), |lines| lines.to_string()),
        };
        let error = self.errors_of(Operation::of("read the logs of the container", name));
        let docker = self.docker.clone();
        let chunks = docker.logs(name.as_str(), Some(options)).boxed();
        chunks.map(move |chunk| chunk.map(LogChunk::from).map_err(&error))
    }

    /// The last lines of a container's output, for messages.
    ///
    /// # Errors
    /// As those of [`Engine::logs`].
    pub async fn last_lines(&self, name: &Name, lines: usize) -> Result<String, DockerError> {
        let operation = Operation::of("read the logs of the container", name);
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            tail: lines.to_string(),
            ..Default::default()
        };
        let mut text = Vec::new();
        let chunks = self.docker.logs(name.as_str(), Some(options)).boxed();
        self.transfer(&operation, &Sent::default(), chunks, |chunk| {
            text.extend(chunk.into_bytes());
        })
        .await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl From<LogOutput> for LogChunk {
    fn from(output: LogOutput) -> Self {
        let stream = match output {
            LogOutput::StdErr { .. } => OutputStream::Error,
            _ => OutputStream::Out,
        };
        Self {
            stream,
            bytes: output.into_bytes(),
        }
    }
}

fn seconds(time: Timestamp) -> i32 {
    time.as_second()
        .clamp(0, i32::MAX.into())
        .try_into()
        .unwrap_or(0)
}
