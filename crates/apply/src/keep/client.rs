//! The end of the deployer: questions through `exec` in the edge's container.
//!
//! A program that has answered stays for the next question, as starting one takes longer than an
//! answer. An edge that is being replaced, or comes back, is waited for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use docker::container::{OutputStream, State};
use docker::exec::{Exec, ExecSpec};
use docker::{DockerError, Engine, Name, if_found};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::message::{Ask, LONGEST, Line};
use crate::edge::next_name;

/// How long an edge that does not run at the moment is waited for.
const COMES_BACK: Duration = Duration::from_secs(30);
/// How long an answer may take, beyond what the question asks for.
const ANSWER: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
const MOST_ERRORS: usize = 4096;
/// What a program says that has no such command.
const UNKNOWN: &str = "unrecognized subcommand";

/// Asks what is kept on one host. Clones share their programs.
#[derive(Clone)]
pub(crate) struct Keeper {
    engine: Engine,
    edge: Name,
    idle: Arc<Mutex<Vec<Session>>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// There is no edge, so nothing is kept.
    #[error("there is no edge on {0}")]
    NoEdge(String),
    /// It does not run, and does not come back.
    #[error("the edge `{0}` does not run")]
    Stopped(Name),
    /// The engine did not do something.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The program in the container ended, or closed its output.
    #[error("the program in the edge's container ended early{}", said(.0))]
    Ended(String),
    /// The answer took too long.
    #[error("the edge's container gave no answer within {0:?}")]
    TimedOut(Duration),
    /// It is of another version.
    #[error("its answer makes no sense: is the edge of another version?")]
    Answer(#[source] serde_json::Error),
    /// The reason why not, in its words.
    #[error("{0}")]
    Refused(String),
}

/// A program that waits for questions.
struct Session {
    exec: Exec,
    /// What it has said and nobody has read.
    read: Vec<u8>,
    errors: Vec<u8>,
}

impl Keeper {
    pub(crate) fn new(engine: Engine, edge: Name) -> Self {
        Self {
            engine,
            edge,
            idle: Arc::default(),
        }
    }

    /// Asks a question.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T, KeepError> {
        self.ask_until(ask, Duration::ZERO, |_| None).await
    }

    /// Asks a question that may take so long by itself, until the answer or until `enough` makes a
    /// step the answer.
    pub(crate) async fn ask_until<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        long: Duration,
        enough: impl Fn(&edge::Event) -> Option<T>,
    ) -> Result<T, KeepError> {
        let limit = ANSWER.saturating_add(long);
        let asking = async {
            if let Some(session) = self.waiting() {
                match self.ask_in(session, ask, &enough).await {
                    Err(KeepError::Ended(_) | KeepError::Docker(_)) => {}
                    outcome => return outcome,
                }
            }
            let deadline = Instant::now() + COMES_BACK;
            loop {
                let session = self.start(deadline).await?;
                match self.ask_in(session, ask, &enough).await {
                    // The edge was killed just now: it comes back, and questions can be repeated.
                    Err(KeepError::Ended(said))
                        if Instant::now() < deadline && !said.contains(UNKNOWN) => {}
                    outcome => return outcome,
                }
                sleep(PAUSE).await;
            }
        };
        let answered = timeout(limit, asking).await;
        answered.unwrap_or(Err(KeepError::TimedOut(limit)))
    }

    async fn ask_in<T: DeserializeOwned>(
        &self,
        mut session: Session,
        ask: &Ask,
        enough: &impl Fn(&edge::Event) -> Option<T>,
    ) -> Result<T, KeepError> {
        session.send(ask).await?;
        loop {
            match session.line().await? {
                Line::Step(step) => {
                    if let Some(answer) = enough(&step) {
                        // It has more to say about this, so it is of no use for another question.
                        return Ok(answer);
                    }
                }
                Line::Done(value) => {
                    self.put_back(session);
                    return serde_json::from_value(value).map_err(KeepError::Answer);
                }
                Line::Failed(reason) => {
                    self.put_back(session);
                    return Err(KeepError::Refused(reason));
                }
            }
        }
    }

    fn waiting(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    fn put_back(&self, session: Session) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(session);
    }

    async fn start(&self, deadline: Instant) -> Result<Session, KeepError> {
        let spec = ExecSpec::new([crate::edge::PROGRAM, "keep"]);
        loop {
            let name = self.running(deadline).await?;
            match self.engine.start_exec(&name, &spec).await {
                Ok(exec) => {
                    return Ok(Session {
                        exec,
                        read: Vec::new(),
                        errors: Vec::new(),
                    });
                }
                // It was replaced, or ended, since it was looked at.
                Err(error)
                    if (error.is_conflict() || error.is_not_found())
                        && Instant::now() < deadline => {}
                Err(error) => return Err(error.into()),
            }
            sleep(PAUSE).await;
        }
    }

    /// The container of the edge that runs.
    async fn running(&self, deadline: Instant) -> Result<Name, KeepError> {
        loop {
            let mut found = false;
            let mut comes_back = false;
            for name in [Some(self.edge.clone()), next_name(&self.edge)] {
                let Some(name) = name else { continue };
                let seen = if_found(self.engine.inspect_container(&name).await)?;
                let Some(container) = seen else { continue };
                found = true;
                match container.state {
                    State::Running { .. } => return Ok(container.id),
                    State::Restarting { .. } | State::Gone | State::Created => comes_back = true,
                    State::Paused => {}
                    // The engine brings it back in a moment, unless it was stopped on purpose.
                    State::Exited { .. } => comes_back |= container.restarts > 0,
                }
            }
            if !found {
                return Err(KeepError::NoEdge(self.engine.address().to_owned()));
            }
            if !comes_back || Instant::now() >= deadline {
                return Err(KeepError::Stopped(self.edge.clone()));
            }
            sleep(PAUSE).await;
        }
    }
}

impl Session {
    async fn send(&mut self, ask: &Ask) -> Result<(), KeepError> {
        let mut line = serde_json::to_vec(ask).map_err(KeepError::Answer)?;
        line.push(b'\n');
        let broken = |error: std::io::Error| KeepError::Ended(error.to_string());
        self.exec.input.write_all(&line).await.map_err(broken)?;
        self.exec.input.flush().await.map_err(broken)
    }

    async fn line(&mut self) -> Result<Line, KeepError> {
        let mut looked = 0;
        loop {
            if let Some(end) = self.read[looked..].iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(looked + end + 1);
                let line = std::mem::replace(&mut self.read, rest);
                return match line.first() {
                    Some(b'{') => serde_json::from_slice(&line).map_err(KeepError::Answer),
                    // What the engine says in place of a program that it could not start.
                    _ => Err(KeepError::Ended(
                        String::from_utf8_lossy(&line).trim().to_owned(),
                    )),
                };
            }
            looked = self.read.len();
            let Some(chunk) = self.exec.output.next().await else {
                return Err(self.ended());
            };
            let chunk = chunk?;
            match chunk.stream {
                OutputStream::Out => self.read.extend_from_slice(&chunk.bytes),
                OutputStream::Error if self.errors.len() < MOST_ERRORS => {
                    self.errors.extend_from_slice(&chunk.bytes);
                }
                OutputStream::Error => {}
            }
            if self.read.len() > LONGEST {
                return Err(KeepError::Ended("it says too much".to_owned()));
            }
        }
    }

    fn ended(&self) -> KeepError {
        let said = String::from_utf8_lossy(&self.errors).trim().to_owned();
        KeepError::Ended(said)
    }
}

impl KeepError {
    /// How to mend it, where that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Docker(error) => error.hint(),
            Self::NoEdge(_) | Self::Stopped(_) => Some("`lotse edge up` puts one there"),
            Self::Ended(_) | Self::Answer(_) => {
                Some("`lotse edge up` puts the edge of this version there")
            }
            Self::TimedOut(_) | Self::Refused(_) => None,
        }
    }

    /// Whether the host is away.
    pub(crate) fn is_unreachable(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_unreachable(),
            Self::TimedOut(_) => true,
            _ => false,
        }
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keeper({} at {:?})", self.edge, self.engine)
    }
}

fn said(lines: &str) -> String {
    match lines {
        "" => String::new(),
        lines => format!(": {lines}"),
    }
}
