//! A push.
//!
//! The list of changes is read first and judged; then git gets the whole request. git's answer is
//! passed on as it comes, but for its very last packet: that one waits until the caller has been
//! told, so that the caller's lines still reach the user's terminal. The work is done by a task
//! of its own, which ends its work even when the client does not wait for the answer.

mod answer;
mod commands;
mod report;

use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;

use self::answer::Relay;
pub(crate) use self::commands::Command;
use self::commands::Commands;
use self::report::Report;
use crate::body::Body;
use crate::command::{Pipes, Process, read_tail};
use crate::output::{self, Sender};
use crate::packet::{self, Band};
use crate::rules::RefusalFile;
use crate::upload::serving;
use crate::{DenyRule, GitError, Output, Push, RefUpdate, Repository, Request, TagPolicy};

/// How long the user waits for the caller's lines; the caller itself may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a push may do.
#[derive(Debug, Clone)]
pub struct ReceiveOptions {
    /// The largest pack, in bytes.
    pub max_pack_bytes: u64,
    /// Whether tags may be moved and deleted.
    pub tags: TagPolicy,
    /// Further changes that are refused.
    pub deny: Vec<DenyRule>,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self {
            max_pack_bytes: 2 << 30,
            tags: TagPolicy::Fixed,
            deny: Vec::new(),
        }
    }
}

impl Repository {
    /// Serves `POST git-receive-pack`.
    ///
    /// When refs have changed, `after` is called with what was done; it runs to its end even when
    /// the client has gone. The lines that it returns appear as `remote:` lines before the push
    /// ends. It is not called when nothing changed.
    ///
    /// # Errors
    /// When the request is refused before git reads it; later trouble is told inside the answer.
    pub async fn receive_pack<F, Fut>(
        &self,
        request: Request,
        options: ReceiveOptions,
        after: F,
    ) -> Result<Output, GitError>
    where
        F: FnOnce(Push) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<String>> + Send + 'static,
    {
        // Twice the pack: a client whose pack git has refused is heard to its end, as it reads the
        // reason only then.
        let limit = options
            .max_pack_bytes
            .saturating_mul(2)
            .saturating_add(commands::LIMIT);
        let mut body = Body::new(request.body, request.encoding, limit);
        let commands = Commands::read(&mut body).await?;
        let (sender, output) = output::channel();
        if commands.list.is_empty() {
            // Before a large push, git asks so whether it may push at all.
            return Ok(output);
        }
        let refusals = self.judge(&commands, &options).await?;
        let git = serving(self.git("receive-pack"), &request.protocol);
        let git = git.config("receive.maxInputSize", options.max_pack_bytes.to_string());
        let git = match &refusals {
            Some(file) => git
                .config("core.hooksPath", self.folders().hooks.to_string_lossy())
                .env("LOTSE_REFUSALS", file.path()),
            None => git,
        };
        let (process, pipes) = git.args(["--stateless-rpc", "."]).start()?;
        let receiving = Receiving {
            repository: self.clone(),
            commands,
            sender,
            process,
        };
        tokio::spawn(async move {
            let done = receiving.run(body, pipes, after).await;
            drop(refusals);
            done.maintain_if_changed().await;
        });
        Ok(output)
    }

    async fn judge(
        &self,
        commands: &Commands,
        options: &ReceiveOptions,
    ) -> Result<Option<RefusalFile>, GitError> {
        let path = self.folders().temporary("refusals");
        RefusalFile::write(&commands.list, options.tags, &options.deny, path)
            .await
            .map_err(GitError::files("write down what a push may not change"))
    }
}

/// A push that git is working on.
struct Receiving {
    repository: Repository,
    commands: Commands,
    sender: Sender,
    process: Process,
}

/// A push that is over.
struct Done {
    repository: Repository,
    changed: bool,
}

impl Receiving {
    async fn run<F, Fut>(mut self, body: Body, pipes: Pipes, after: F) -> Done
    where
        F: FnOnce(Push) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<String>> + Send + 'static,
    {
        let request = std::mem::take(&mut self.commands.raw);
        let mut relay = Relay::new(&self.sender, self.commands.side_band);
        let (fed, (), errors) = tokio::join!(
            feed(request, body, pipes.stdin),
            relay.run(pipes.stdout),
            read_tail(pipes.stderr),
        );
        if let Err(error) = fed {
            tracing::info!(%error, "a push's request broke off");
        }
        let report = Report::parse(&relay.report);
        self.end_process(&errors).await;
        let push = self.outcome(&report).await;
        let changed = !push.updates.is_empty();
        if changed {
            let lines = self.tell(push, after).await;
            self.show(Band::Progress, &lines).await;
        }
        self.finish(report.is_complete()).await;
        Done {
            repository: self.repository,
            changed,
        }
    }

    /// git tells the client what it has refused; other trouble is ours to see.
    async fn end_process(&mut self, errors: &str) {
        match self.process.wait().await {
            Ok(status) if status.success() => {}
            Ok(status) => tracing::warn!(%status, errors, "git receive-pack failed"),
            Err(error) => tracing::warn!(%error, "git receive-pack"),
        }
    }

    /// What the report says was done; without a report, what the refs say.
    async fn outcome(&self, report: &Report) -> Push {
        let accepted: Vec<_> = if report.is_complete() {
            let named = |command: &&Command| report.accepted.contains(&command.name);
            self.commands.list.iter().filter(named).collect()
        } else {
            self.already_done().await
        };
        let mut updates: Vec<_> = accepted.into_iter().map(Command::to_update).collect();
        self.find_commits(&mut updates).await;
        let push = Push {
            updates,
            rejected: report.rejected.clone(),
            options: self.commands.options.clone(),
        };
        if let Err(error) = self.repository.settle_default_branch(&push).await {
            tracing::warn!(%error, "cannot set the default branch");
        }
        push
    }

    /// The changes that the refs show although git has died before it could say so.
    async fn already_done(&self) -> Vec<&Command> {
        let refs = match self.repository.refs().await {
            Ok(refs) => refs,
            Err(error) => {
                tracing::warn!(%error, "cannot tell what a failed push has changed");
                return Vec::new();
            }
        };
        let stands = |command: &&Command| {
            let found = refs.iter().find(|found| found.name == command.name);
            command.new.is_some() && found.map(|found| &found.object) == command.new.as_ref()
        };
        self.commands.list.iter().filter(stands).collect()
    }

    /// A branch points at a commit; a tag may point at an object that leads to one.
    async fn find_commits(&self, updates: &mut [RefUpdate]) {
        let mut tags = Vec::new();
        for update in updates {
            let Some(new) = update.new.clone() else {
                continue;
            };
            if update.name.starts_with("refs/heads/") {
                update.commit = Some(new.into_commit());
            } else {
                tags.push((update, new));
            }
        }
        let found = self.repository.commits_of(tags.iter().map(|(_, new)| new));
        match found.await {
            Ok(commits) => {
                for ((update, _), commit) in tags.into_iter().zip(commits) {
                    update.commit = commit;
                }
            }
            Err(error) => tracing::warn!(%error, "cannot tell which commit a tag leads to"),
        }
    }

    /// Tells the caller, in a task of its own, so that neither its end nor its panic is ours.
    async fn tell<F, Fut>(&self, push: Push, after: F) -> Vec<String>
    where
        F: FnOnce(Push) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<String>> + Send + 'static,
    {
        let told = tokio::spawn(async move { after(push).await });
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(lines)) => lines,
            Ok(Err(error)) => {
                tracing::error!(%error, "what follows a push failed");
                vec![
                    "error: the push is stored, but what should follow it failed".to_owned(),
                    "hint: the server's log says why".to_owned(),
                ]
            }
            Err(_) => vec!["the push is stored; what follows it takes longer".to_owned()],
        }
    }

    async fn show(&self, band: Band, lines: &[String]) {
        if self.commands.side_band {
            for line in lines {
                self.sender.send(packet::line(band, line)).await;
            }
        }
    }

    /// The packet that was held back. A git that died without a report gets last words.
    async fn finish(&self, reported: bool) {
        let words = "the server could not finish this push; its log says why";
        match (reported, self.commands.side_band) {
            (true, _) => {}
            (false, true) => self.show(Band::Fatal, &[words.to_owned()]).await,
            (false, false) => {
                let line = format!("unpack {words}\n");
                self.sender.send(packet::data(&[line.as_bytes()])).await;
            }
        }
        self.sender.send(packet::FLUSH).await;
    }
}

impl Done {
    async fn maintain_if_changed(self) {
        if self.changed {
            self.repository.maintain().await;
        }
    }
}

/// Gives the request to git. When git stops listening, the rest is read all the same: the client
/// listens only when it has sent everything.
async fn feed(request: Bytes, mut body: Body, stdin: ChildStdin) -> Result<(), GitError> {
    let mut stdin = Some(stdin);
    let mut chunk = Some(request);
    while let Some(bytes) = chunk {
        if let Some(pipe) = &mut stdin
            && pipe.write_all(&bytes).await.is_err()
        {
            stdin = None;
        }
        chunk = body.next().await?;
    }
    Ok(())
}
