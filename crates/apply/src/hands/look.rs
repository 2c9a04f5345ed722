//! Looks at containers, again and again, until whoever listens has seen enough.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use deploy::host::{Health, State};
use deploy::span::Span;
use deploy::{Awaited, Failure, Found, Ill, Look, Reason, Until};
use docker::event::Event;
use docker::{DockerError, Engine};
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::containers::Known;
use super::failure::{last_lines, lines_of, of_docker};
use super::{Hands, Told};
use crate::health::{Life, turns_healthy};

/// The longest time between two looks.
const SECOND: Duration = Duration::from_secs(1);
/// Events come in bursts: one look answers those of so long.
const BURST: Duration = Duration::from_millis(50);

/// Behind the moment at which time alone decides: the clocks of two machines are read.
const MARGIN: Duration = Duration::from_millis(20);

/// What is looked for.
#[derive(Clone, Copy)]
pub(super) enum Phase {
    /// They have no traffic. Without a health check they count when they have run so long.
    Settling(Span),
    /// They have traffic, so that the edge is asked as well. What follows may begin after so long.
    Watched(Span),
}

impl Hands {
    /// Tells what the containers do: at each change, when time alone may decide, and at least
    /// every second.
    ///
    /// # Errors
    /// When the host does not answer. It does not end otherwise.
    pub(super) async fn look(
        &self,
        waits: &[Awaited],
        phase: Phase,
        told: &mpsc::UnboundedSender<Told>,
    ) -> Result<Infallible, Failure> {
        let begun = Instant::now();
        let mut events = self.events();
        let mut tests = Tests::default();
        loop {
            let mut known = self.known_of(waits).await.map_err(of_docker)?;
            tests.see(&self.engine, &mut known);
            let next = next_look(phase, begun, &known);
            let look = self.one_look(&known, waits, phase).await;
            if told.send(Told::Look(look)).is_err() {
                std::future::pending::<()>().await;
            }
            tokio::select! {
                () = sleep_until(next) => {}
                () = tests.success() => {}
                event = events.next() => match event {
                    Some(Ok(_)) => sleep_until(Instant::now() + BURST).await,
                    // The looks of each second go on; a host that is away they notice themselves.
                    Some(Err(_)) | None => {
                        sleep_until(next).await;
                        events = self.events();
                    }
                },
            }
        }
    }

    /// What happens to containers, but for programs that begin and end in them, as every test of
    /// health does.
    fn events(&self) -> impl Stream<Item = Result<Event, DockerError>> + Send + Unpin + use<> {
        let events = self.engine.events(self.filter().with("type", "container"));
        events.filter(|event| {
            let is_exec = matches!(event, Ok(event) if event.action.starts_with("exec_"));
            std::future::ready(!is_exec)
        })
    }

    async fn one_look(&self, known: &[Known], waits: &[Awaited], phase: Phase) -> Look {
        let found = known.iter().map(|known| async {
            Found {
                place: known.place,
                container: known.seen.clone(),
                last_lines: self.words_of(known, waits).await,
            }
        });
        let containers = join_all(found).await;
        let ill = match phase {
            Phase::Watched(_) => self.ill(known).await,
            Phase::Settling(_) => Vec::new(),
        };
        Look { containers, ill }
    }

    async fn known_of(&self, waits: &[Awaited]) -> Result<Vec<Known>, DockerError> {
        let mut known = self.known().await?;
        known.retain(|known| {
            let mut waits = waits.iter();
            waits.any(|wait| known.is_of(wait.place, &wait.service))
        });
        Ok(known)
    }

    /// The last lines of a container that is not well; also what its health check said.
    async fn words_of(&self, known: &Known, waits: &[Awaited]) -> Vec<String> {
        let ends = waits
            .iter()
            .any(|wait| known.is_of(wait.place, &wait.service) && wait.until == Until::Completed);
        let well = match known.seen.state {
            State::Running => {
                known.seen.health != Some(Health::Unhealthy) && known.seen.restarts == 0
            }
            State::Exited(0) => ends,
            State::Created => true,
            _ => false,
        };
        if well {
            return Vec::new();
        }
        let mut lines = last_lines(&self.engine, known.id()).await;
        let check = known.container.health.as_ref().map(|health| &health.output);
        if known.seen.health == Some(Health::Unhealthy)
            && let Some(last) = check.and_then(|output| lines_of(output).pop())
        {
            lines.push(format!("health check: {last}"));
        }
        lines
    }

    /// Services whose targets the edge finds ill, or from which it fell back.
    async fn ill(&self, known: &[Known]) -> Vec<Ill> {
        // An edge that does not answer says nothing against a release; Docker brings it back.
        let routes = self.edge_status().await.unwrap_or_default();
        let mut ill: Vec<Ill> = Vec::new();
        for route in routes {
            let down = route.targets.iter().all(|target| !target.healthy);
            let now = route.targets.iter().filter(|_| down);
            for target in route.fell_back.iter().chain(now) {
                let Some(known) = at(known, target.address.ip()) else {
                    continue;
                };
                let why = target.illness.clone();
                let why = why.unwrap_or_else(|| "requests to it failed".to_owned());
                if !ill.iter().any(|ill| ill.service == known.seen.service) {
                    ill.push(Ill {
                        service: known.seen.service.clone(),
                        reason: Reason::NoAnswer(why),
                        last_lines: last_lines(&self.engine, known.id()).await,
                    });
                }
            }
        }
        ill
    }
}

fn next_look(phase: Phase, begun: Instant, known: &[Known]) -> Instant {
    let now = Instant::now();
    let due = match phase {
        Phase::Watched(time) => Some(begun + time.get()).filter(|due| *due > now),
        Phase::Settling(time) => {
            let settling = known.iter().filter(|known| known.seen.health.is_none());
            let left = settling.filter_map(|known| {
                let left = time.get().checked_sub(known.seen.running_for?.get())?;
                (left > Duration::ZERO).then_some(left)
            });
            left.min().map(|left| now + left)
        }
    };
    let second = now + SECOND;
    due.map_or(second, |due| second.min(due + MARGIN))
}

/// Tests of health that the engine has not made yet.
#[derive(Default)]
struct Tests {
    begun: BTreeSet<Life>,
    succeeded: BTreeSet<Life>,
    running: FuturesUnordered<BoxFuture<'static, Option<Life>>>,
}

impl Tests {
    /// Begins those that are missing, and lets the containers have what was found.
    fn see(&mut self, engine: &Engine, known: &mut [Known]) {
        for known in known {
            let Some(life) = Life::untested(&known.container) else {
                continue;
            };
            if self.succeeded.contains(&life) {
                known.seen.health = Some(Health::Healthy);
            } else if self.begun.insert(life.clone()) {
                let (engine, container) = (engine.clone(), known.container.clone());
                let test = async move { turns_healthy(&engine, &container).await.then_some(life) };
                self.running.push(test.boxed());
            }
        }
    }

    /// Waits until one succeeds.
    async fn success(&mut self) {
        while let Some(ended) = self.running.next().await {
            if let Some(life) = ended {
                self.succeeded.insert(life);
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

fn at(known: &[Known], address: IpAddr) -> Option<&Known> {
    let mut known = known.iter();
    known.find(|known| known.addresses().any(|own| own == address))
}
