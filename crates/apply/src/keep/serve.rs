//! The end inside the edge's container: `lotse keep` answers line by line until its input ends.

use std::io;
use std::path::Path;
use std::time::Duration;

use edge::control::{self, ControlError, Request};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::files::{FileError, Files};
use super::listening;
use super::message::{Ask, Kept, LONGEST, Line};
use crate::owner::Owner;

/// How long an edge that does not answer is waited for: it may have been started a moment ago, or
/// be about to hand over.
const PATIENCE: Duration = Duration::from_secs(20);
/// A look does not wait so long: it tells that there is no answer.
const GLANCE: Duration = Duration::from_secs(3);

/// Answers questions from standard input on standard output, until the input ends. `folder` is the
/// edge's; what is kept lies in `keep` below it.
///
/// # Errors
/// When standard input or output break.
pub async fn serve(folder: &Path) -> io::Result<()> {
    let desk = Desk {
        files: Files::new(&folder.join("keep")),
        socket: edge::Settings::new(folder).socket(),
    };
    let mut input = BufReader::new(tokio::io::stdin());
    let mut output = tokio::io::stdout();
    while let Some(line) = read_line(&mut input).await? {
        let (steps, mut told) = mpsc::unbounded_channel();
        let answering = async {
            let answer = match serde_json::from_slice::<Ask>(&line) {
                Ok(ask) => desk.answer(ask, steps).await,
                Err(error) => Err(format!("the question makes no sense: {error}")),
            };
            answer.map_or_else(Line::Failed, Line::Done)
        };
        let mut answering = std::pin::pin!(answering);
        let last = loop {
            tokio::select! {
                biased;
                Some(step) = told.recv() => write(&mut output, &Line::Step(step)).await?,
                last = &mut answering => break last,
            }
        };
        while let Ok(step) = told.try_recv() {
            write(&mut output, &Line::Step(step)).await?;
        }
        write(&mut output, &last).await?;
    }
    Ok(())
}

struct Desk {
    files: Files,
    socket: std::path::PathBuf,
}

type Steps = mpsc::UnboundedSender<edge::Event>;

impl Desk {
    async fn answer(&self, ask: Ask, steps: Steps) -> Result<Value, String> {
        match ask {
            Ask::Edge(request) => self.edge(&request, PATIENCE, &steps).await,
            Ask::Probe(routes, deadline) => {
                let probed = edge::probe(&routes, deadline).await;
                probed.map(|()| Value::Null).map_err(|ill| ill.to_string())
            }
            Ask::Look(owner) => {
                let status = self.edge(&Request::Status, GLANCE, &steps).await.ok();
                let kept = self.look(&owner, status);
                kept.map(|kept| json!(kept))
                    .map_err(|error| error.to_string())
            }
            other => self.kept(other).map_err(|error| error.to_string()),
        }
    }

    fn look(&self, owner: &Owner, edge: Option<Value>) -> Result<Kept, FileError> {
        let owned = self.files.open(owner)?;
        Ok(Kept {
            lock: owned.lock_seen()?,
            record: owned.record()?,
            fills: owned.fills()?,
            edge,
            listening: listening::all(),
        })
    }

    fn kept(&self, ask: Ask) -> Result<Value, FileError> {
        let open = |owner: &Owner| self.files.open(owner);
        Ok(match ask {
            Ask::Lock(owner, lease) => json!(open(&owner)?.lock(&lease)?),
            Ask::Renew(owner, lease) => json!(open(&owner)?.renew(&lease)?),
            Ask::Unlock(owner, holder) => json!(open(&owner)?.unlock(&holder)?),
            Ask::Break(owner) => json!(open(&owner)?.break_lock()?),
            Ask::Enter(entering) => json!(open(&entering.owner)?.enter(&entering)?),
            Ask::Mark(owner, volume, fill) => json!(open(&owner)?.mark(&volume, &fill)?),
            Ask::Look(_) | Ask::Edge(_) | Ask::Probe(..) => Value::Null,
        })
    }

    /// Asks the edge, again and again while nobody answers.
    async fn edge(
        &self,
        request: &Request,
        patience: Duration,
        steps: &Steps,
    ) -> Result<Value, String> {
        let deadline = Instant::now() + patience;
        loop {
            let tell = |step| drop(steps.send(step));
            let error = match control::ask(&self.socket, request, tell).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let may_come = match &error {
                ControlError::Connect { .. } | ControlError::Broken(_) => true,
                ControlError::Refused(why) => why.contains(HANDED_OVER),
                ControlError::Answer(_) => false,
            };
            if !may_come || Instant::now() >= deadline {
                return Err(error.to_string());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What an edge says that has handed over a moment ago.
const HANDED_OVER: &str = "another edge has taken over";

/// A line without its end; nothing at the end of the input.
pub(super) async fn read_line(
    input: &mut (impl AsyncBufRead + Unpin),
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    input.take(most).read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a line has no end",
        )),
    }
}

async fn write(output: &mut (impl AsyncWrite + Unpin), line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    output.write_all(&text).await?;
    output.flush().await
}
