//! `lotse compose up` without `--detach`: what the containers write is shown until all have ended, or
//! somebody ends them. The first ctrl-c (or SIGTERM) stops them, the second kills them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use ::compose::project::ServiceName;
use apply::project::{OnEngine, ProjectError, label};
use docker::container::{ContainerSummary, LogRequest, State};
use docker::{DockerError, if_found};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::logs::{lines, prefixes, short_name};
use super::{failure, tell};
use crate::output::{Failure, Screen};

/// Between two looks at a container whose output has ended, and which runs again.
const PAUSE: Duration = Duration::from_millis(200);
/// For the last lines of containers that are stopped.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How containers are watched, and what ends them.
pub(super) struct Attached<'a> {
    pub(super) project: &'a OnEngine<'a>,
    /// Those that were named; all, without one.
    pub(super) services: &'a [ServiceName],
    /// For containers that are stopped, in place of their own time.
    pub(super) grace: Option<Duration>,
    pub(super) ending: Ending,
    pub(super) prefix: bool,
    pub(super) timestamps: bool,
    pub(super) screen: Screen,
}

/// When it is over, and with which exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// When all have ended: 0.
    All,
    /// When the first has ended: with its code.
    First,
    /// When the first has ended: with the code of this service.
    Of(ServiceName),
}

/// What ends us from outside.
struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

/// Exit codes by service, of those that have ended.
type Codes = BTreeMap<String, i64>;

impl Attached<'_> {
    /// Brings the project up with `up`, and stays with it.
    pub(super) async fn run(
        &self,
        up: impl Future<Output = Result<(), ProjectError>>,
    ) -> Result<ExitCode, Failure> {
        let mut stops = Stops::listen()?;
        let upped = tokio::select! {
            upped = up => Some(upped),
            () = stops.next() => None,
        };
        match upped {
            Some(upped) => upped.map_err(|error| failure(&error))?,
            None => {
                self.stop(&mut stops, async {}).await?;
                return Ok(ExitCode::SUCCESS);
            }
        }
        self.watch(&mut stops).await
    }

    async fn watch(&self, stops: &mut Stops) -> Result<ExitCode, Failure> {
        let listed = self.project.listed(self.services).await;
        let containers = listed.map_err(|error| failure(&error))?;
        let prefixes = prefixes(&containers, self.prefix);
        let follow = containers.iter().zip(prefixes);
        let mut following: FuturesUnordered<_> = follow
            .map(|(container, prefix)| self.follow(container, prefix))
            .collect();
        let mut codes = Codes::new();
        let mut first = None;
        let is_stopped = loop {
            tokio::select! {
                ended = following.next() => match ended {
                    None => break false,
                    Some(ended) => {
                        let (service, code) = ended?;
                        first.get_or_insert(code);
                        codes.entry(service).or_insert(code);
                        if self.ending != Ending::All {
                            break true;
                        }
                    }
                },
                () = stops.next() => break true,
            }
        };
        if is_stopped {
            let last_words = async {
                while let Some(Ok((service, code))) = following.next().await {
                    codes.entry(service).or_insert(code);
                }
            };
            self.stop(stops, last_words).await?;
        }
        Ok(self.exit_code(first, &codes))
    }

    /// Shows a container's lines until it has ended for good, and returns its service and exit code.
    async fn follow(
        &self,
        container: &ContainerSummary,
        prefix: String,
    ) -> Result<(String, i64), Failure> {
        let request = LogRequest {
            follow: true,
            timestamps: self.timestamps,
            ..LogRequest::default()
        };
        let mut shown = 0;
        let code = loop {
            // One that is started anew goes on with the same log.
            let mut lines = lines(self.project, container, request, prefix.clone()).skip(shown);
            while let Some(line) = lines.next().await {
                self.screen.line(line.map_err(|error| told(&error))?)?;
                shown += 1;
            }
            match self.end_of(container).await.map_err(|error| told(&error))? {
                Some(code) => break code,
                None => sleep(PAUSE).await,
            }
        };
        tell(format!(
            "{} ended with status {code}",
            short_name(container)
        ));
        let service = container.labels.get(label::SERVICE);
        Ok((service.cloned().unwrap_or_default(), code))
    }

    /// The exit code, unless it runs or is about to.
    async fn end_of(&self, container: &ContainerSummary) -> Result<Option<i64>, DockerError> {
        let seen = self.project.engine.inspect_container(&container.id).await;
        Ok(match if_found(seen)?.map(|seen| seen.state) {
            Some(State::Running { .. } | State::Paused | State::Restarting { .. }) => None,
            Some(State::Exited { exit_code, .. }) => Some(exit_code),
            Some(State::Created | State::Gone) | None => Some(0),
        })
    }

    async fn stop(
        &self,
        stops: &mut Stops,
        last_words: impl Future<Output = ()>,
    ) -> Result<(), Failure> {
        tell("stopping; ctrl-c kills".to_owned());
        let mut last_words = pin!(last_words);
        let mut are_said = false;
        let stopping = async {
            let mut stop = pin!(self.project.stop(self.services, self.grace, &tell));
            loop {
                tokio::select! {
                    stopped = &mut stop => break stopped,
                    () = &mut last_words, if !are_said => are_said = true,
                }
            }
        };
        let ended = tokio::select! {
            stopped = stopping => stopped,
            () = stops.next() => self.project.kill(self.services, &tell).await,
        };
        if !are_said {
            // They have ended, so nothing is lost that is not on its way.
            let _late = timeout(LAST_WORDS, last_words).await;
        }
        ended.map_err(|error| failure(&error))
    }

    fn exit_code(&self, first: Option<i64>, codes: &Codes) -> ExitCode {
        let code = match &self.ending {
            Ending::All => return ExitCode::SUCCESS,
            Ending::First => first,
            Ending::Of(service) => codes.get(service.as_str()).copied(),
        };
        ExitCode::from(u8::try_from(code.unwrap_or(0)).unwrap_or(1))
    }
}

impl Stops {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::internal("cannot listen for signals").because(&error))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn told(error: &DockerError) -> Failure {
    let failure = Failure::user(error.to_string()).because(error.problem());
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
