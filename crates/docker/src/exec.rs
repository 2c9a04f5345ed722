//! Programs in running containers.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt as _};
use model::Secret;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::container::{LogChunk, OutputStream};
use crate::engine::Engine;
use crate::error::{DockerError, Operation, Problem};
use crate::name::Name;

/// A program to be run in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecSpec {
    /// The program and its arguments. Everybody on the host can see them: no place for secrets.
    pub command: Vec<String>,
    /// Variables beside the container's.
    pub environment: BTreeMap<String, Secret>,
    /// `user`, `uid`, `user:group` or `uid:gid` [default: the container's].
    pub user: Option<String>,
    /// The folder to start in [default: the container's].
    pub working_dir: Option<String>,
    /// Whether it may do everything on the machine.
    pub privileged: bool,
    /// Whether it gets a terminal; both outputs are one then.
    pub terminal: bool,
}

impl ExecSpec {
    /// This program with these arguments.
    pub fn new(command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

/// A program that runs in a container. Dropping it leaves the program running, without input.
pub struct Exec {
    /// What it writes. Ends when it has ended, or has closed its outputs.
    pub output: Pin<Box<dyn Stream<Item = Result<LogChunk, DockerError>> + Send>>,
    /// What it reads. Shutting it down is the end of its input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    id: Name,
    engine: Engine,
    operation: Operation,
}

/// The terminal of a program.
pub struct ExecTerminal {
    id: Name,
    engine: Engine,
    operation: Operation,
}

/// What became of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutcome {
    /// Its exit code.
    pub exit_code: i64,
    /// What it wrote to its standard output.
    pub output: Vec<u8>,
    /// What it wrote to its standard error.
    pub errors: Vec<u8>,
}

impl ExecOutcome {
    /// Both outputs as text, without space at the ends, for messages.
    pub fn text(&self) -> String {
        let output = String::from_utf8_lossy(&self.output);
        let errors = String::from_utf8_lossy(&self.errors);
        format!("{output}{errors}").trim().to_owned()
    }
}

/// The limits of a program that is run to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecLimits {
    /// The time until its end.
    pub time: Duration,
    /// The bytes of each output.
    pub output: usize,
}

impl Default for ExecLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(60),
            output: 1 << 20,
        }
    }
}

impl Engine {
    /// Starts a program in a running container.
    ///
    /// # Errors
    /// Not found: the container. Conflict: it does not run. Refused: the program does not exist.
    pub async fn start_exec(&self, name: &Name, spec: &ExecSpec) -> Result<Exec, DockerError> {
        let operation = Operation::of("run a program in the container", name);
        let create = self.docker.create_exec(name.as_str(), options(spec));
        let id = self.call(&operation, create).await?.id;
        let id: Name = id
            .parse()
            .map_err(|_| self.error(&operation, Problem::Strange(format!("id `{id}`"))))?;
        let start = StartExecOptions {
            tty: spec.terminal,
            ..Default::default()
        };
        let start = self.docker.start_exec(id.as_str(), Some(start));
        let StartExecResults::Attached { output, input } = self.call(&operation, start).await?
        else {
            let detached = "it runs, but without a connection to it".to_owned();
            return Err(self.error(&operation, Problem::Strange(detached)));
        };
        let error = self.errors_of(operation.clone());
        let output = output.map(move |chunk| chunk.map(LogChunk::from).map_err(&error));
        Ok(Exec {
            output: Box::pin(output),
            input,
            id,
            engine: self.clone(),
            operation,
        })
    }

    /// Runs a program in a running container to its end. When it takes too long, or writes too
    /// much, the call fails and the program runs on.
    ///
    /// # Errors
    /// As [`Engine::start_exec`], and when a limit is reached. An exit code is no error.
    pub async fn run_exec(
        &self,
        name: &Name,
        spec: &ExecSpec,
        input: &[u8],
        limits: ExecLimits,
    ) -> Result<ExecOutcome, DockerError> {
        let mut exec = self.start_exec(name, spec).await?;
        let operation = exec.operation.clone();
        let running = exec.run(input, limits.output);
        let (output, errors) = timeout(limits.time, running)
            .await
            .map_err(|_| self.error(&operation, Problem::TimedOut(limits.time)))??;
        Ok(ExecOutcome {
            exit_code: exec.exit_code().await?,
            output,
            errors,
        })
    }
}

impl Exec {
    /// Its terminal, to give it a size.
    pub fn terminal(&self) -> ExecTerminal {
        ExecTerminal {
            id: self.id.clone(),
            engine: self.engine.clone(),
            operation: self.operation.clone(),
        }
    }

    /// The exit code, after the output has ended.
    ///
    /// # Errors
    /// When the program still runs, or the engine does not answer.
    pub fn exit_code(&self) -> impl Future<Output = Result<i64, DockerError>> + Send + use<> {
        let (engine, id) = (self.engine.clone(), self.id.clone());
        let operation = self.operation.clone();
        async move {
            let inspect = engine.docker.inspect_exec(id.as_str());
            let seen = engine.call(&operation, inspect).await?;
            seen.exit_code.ok_or_else(|| {
                let message = "it closed its outputs and still runs".to_owned();
                engine.error(&operation, Problem::Conflict(message))
            })
        }
    }

    /// Feeds it and reads it, both at once, so that neither waits for the other.
    async fn run(&mut self, input: &[u8], most: usize) -> Result<(Vec<u8>, Vec<u8>), DockerError> {
        let feeding = async {
            // A program that does not read its input to the end is no error.
            let _unread = self.input.write_all(input).await;
            let _closed = self.input.shutdown().await;
        };
        let too_long = || self.engine.error(&self.operation, Problem::TooLong(most));
        let reading = async {
            let (mut output, mut errors) = (Vec::new(), Vec::new());
            while let Some(chunk) = self.output.next().await {
                let chunk = chunk?;
                let to = match chunk.stream {
                    OutputStream::Out => &mut output,
                    OutputStream::Error => &mut errors,
                };
                if to.len() + chunk.bytes.len() > most {
                    return Err(too_long());
                }
                to.extend_from_slice(&chunk.bytes);
            }
            Ok((output, errors))
        };
        tokio::join!(feeding, reading).1
    }
}

impl ExecTerminal {
    /// Gives the terminal its size, in characters.
    ///
    /// # Errors
    /// When the program has ended, or has no terminal.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), DockerError> {
        let size = ResizeExecOptions {
            height: rows,
            width: columns,
        };
        let resizing = self.engine.docker.resize_exec(self.id.as_str(), size);
        self.engine.call(&self.operation, resizing).await
    }
}

fn options(spec: &ExecSpec) -> CreateExecOptions<String> {
    let variables = spec.environment.iter();
    CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(spec.terminal),
        env: Some(
            variables
                .map(|(name, value)| format!("{name}={}", value.expose()))
                .collect(),
        ),
        cmd: Some(spec.command.clone()),
        privileged: Some(spec.privileged),
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        ..Default::default()
    }
}
