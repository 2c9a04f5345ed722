//! Hands that do nothing, but as slowly and badly as they are told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use std::sync::Mutex;

use apply::hands::{Releases, Renewal, Told};
use deploy::host::{ContainerSeen, Health, State};
use deploy::span::Span;
use deploy::{Awaited, Failure, FailureKind, Found, HostName, Lease, Look, Seen, Step};
use model::Digest;
use tokio::sync::{Barrier, mpsc};
use tokio::time::sleep;

/// What a host does with a step.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    /// It never ends.
    Hang,
    /// It takes this time.
    Take(Duration),
    /// It ends when so many have come here.
    Meet(usize),
    /// It ends after so many renewals of any lease.
    Renewals(usize),
    /// It cannot be reached, so many times.
    Away(usize),
    /// The lock is held by this one.
    Locked(&'static str),
    /// The lock was taken by this one.
    LoseLock(&'static str),
}

/// All hosts.
#[derive(Default)]
pub(crate) struct Site {
    does: BTreeMap<(String, &'static str), Does>,
    tried: Mutex<BTreeMap<(String, &'static str), usize>>,
    meetings: Mutex<BTreeMap<usize, Arc<Barrier>>>,
    renewals: AtomicUsize,
    dropped: Mutex<Vec<String>>,
}

/// One host.
#[derive(Clone)]
pub(crate) struct Hand {
    site: Arc<Site>,
    host: String,
}

/// Notes that a step was dropped before its end.
struct Guard<'a> {
    site: &'a Site,
    line: String,
    ended: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let line = self.line.split(" (").next().unwrap().to_owned();
            self.site.dropped.lock().unwrap().push(line);
        }
    }
}

impl Site {
    pub(crate) fn add(&mut self, host: &str, step: &'static str, does: Does) {
        self.does.insert((host.to_owned(), step), does);
    }

    pub(crate) fn renewals(&self) -> usize {
        self.renewals.load(Ordering::Relaxed)
    }

    /// The steps that were dropped before their end.
    pub(crate) fn dropped(&self) -> Vec<String> {
        self.dropped.lock().unwrap().clone()
    }

    fn meeting(&self, count: usize) -> Arc<Barrier> {
        let mut meetings = self.meetings.lock().unwrap();
        let meeting = meetings
            .entry(count)
            .or_insert_with(|| Arc::new(Barrier::new(count)));
        Arc::clone(meeting)
    }
}

impl Hand {
    pub(crate) fn new(site: &Arc<Site>, host: &HostName) -> Self {
        Self {
            site: Arc::clone(site),
            host: host.short().to_owned(),
        }
    }

    async fn misbehave(&self, line: &str) -> Result<Option<&'static str>, Failure> {
        let all = self.site.does.iter();
        let mut own = all.filter(|((host, step), _)| *host == self.host && line.starts_with(step));
        let Some((key, does)) = own.next() else {
            return Ok(None);
        };
        match does {
            Does::Hang => std::future::pending().await,
            Does::Take(time) => sleep(*time).await,
            Does::Meet(count) => {
                self.site.meeting(*count).wait().await;
            }
            Does::Renewals(count) => {
                while self.site.renewals() < *count {
                    sleep(Duration::from_millis(10)).await;
                }
            }
            Does::Away(times) => {
                let mut tried = self.site.tried.lock().unwrap();
                let tried = tried.entry(key.clone()).or_default();
                *tried += 1;
                if *tried <= *times {
                    return Err(failure(FailureKind::Unreachable, "no route to host"));
                }
            }
            Does::Locked(holder) => {
                let kind = FailureKind::Locked {
                    holder: holder.parse().unwrap(),
                    expires_in: Span::seconds(40),
                };
                return Err(failure(kind, "locked"));
            }
            Does::LoseLock(by) => return Ok(Some(by)),
        }
        Ok(None)
    }
}

impl apply::drive::Hand for Hand {
    async fn carry_out(
        &self,
        step: &Step,
        releases: &Releases,
        told: &mpsc::UnboundedSender<Told>,
    ) -> Result<Seen, Failure> {
        let line = step.to_string();
        let looks = matches!(step, Step::Await { .. } | Step::Watch { .. });
        let mut guard = Guard {
            site: &self.site,
            line: format!("{}: {line}", self.host),
            ended: looks,
        };
        let _gone = told.send(Told::Progress(line.clone()));
        let result = self.misbehave(&line).await;
        guard.ended = true;
        result?;
        match step {
            Step::Lock(_) => return Ok(Seen::Host(Box::default())),
            Step::Start { release, .. } => assert!(releases.contains_key(release)),
            Step::Await { waits, .. } | Step::Watch { waits, .. } => loop {
                let _gone = told.send(Told::Look(healthy(waits)));
                sleep(Duration::from_millis(20)).await;
            },
            _ => {}
        }
        Ok(Seen::Nothing)
    }

    async fn renew(&self, _lease: &Lease) -> Result<Renewal, Failure> {
        self.site.renewals.fetch_add(1, Ordering::Relaxed);
        Ok(match self.misbehave("renew").await? {
            None => Renewal::Renewed,
            Some(by) => Renewal::Lost {
                by: Some(by.parse().unwrap()),
            },
        })
    }
}

fn healthy(waits: &[Awaited]) -> Look {
    let containers = waits.iter().map(|wait| Found {
        place: wait.place,
        container: ContainerSeen {
            name: format!("{}-1", wait.service),
            service: wait.service.clone(),
            hash: Digest::of(b"definition"),
            state: State::Running,
            health: Some(Health::Healthy),
            restarts: 0,
            running_for: Some(Span::seconds(1)),
        },
        last_lines: Vec::new(),
    });
    Look {
        containers: containers.collect(),
        ill: Vec::new(),
    }
}

fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure {
        kind,
        message: message.to_owned(),
        service: None,
        last_lines: Vec::new(),
    }
}
