//! A rollout carried out: steps given to the hands of many hosts at once, and what came of them
//! given back, until the end.
//!
//! It decides nothing. It sees to what the rollout takes for granted: that the lease of each lock is
//! renewed, that a step which the network has cut off is tried again for a while, that Ctrl-C is
//! heard, and that whoever watches is told.

mod attempt;
mod lease;
mod progress;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deploy::span::Span;
use deploy::{
    Action, Cause, Event, Failure, FailureKind, HostName, Lease, Look, Moment, Outcome, Policy,
    Request, Rollout, Seen, Step, StepId,
};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

pub use progress::{ContainerLook, Progress, ServiceLook};

use crate::hands::{Hands, Releases, Renewal, Told};
use attempt::Attempt;

/// How long a host may be away before a rollout gives it up, where nothing else is said.
pub const AWAY: Duration = Duration::from_secs(30);

/// What carries out steps on one host.
pub trait Hand: Clone + Send + Sync + 'static {
    /// Carries out a step. Dropping the future stops it.
    ///
    /// # Errors
    /// Why it was not carried out. It can be repeated.
    fn carry_out(
        &self,
        step: &Step,
        releases: &Releases,
        told: &mpsc::UnboundedSender<Told>,
    ) -> impl Future<Output = Result<Seen, Failure>> + Send;

    /// Renews the lease of the lock.
    ///
    /// # Errors
    /// When the host does not answer.
    fn renew(&self, lease: &Lease) -> impl Future<Output = Result<Renewal, Failure>> + Send;
}

impl Hand for Hands {
    async fn carry_out(
        &self,
        step: &Step,
        releases: &Releases,
        told: &mpsc::UnboundedSender<Told>,
    ) -> Result<Seen, Failure> {
        Self::carry_out(self, step, releases, told).await
    }

    async fn renew(&self, lease: &Lease) -> Result<Renewal, Failure> {
        Self::renew(self, lease).await
    }
}

/// Carries a rollout out, with the hands of each of its hosts, and says how it ended.
///
/// Each message of `interrupts` is a wish of the user that it ends: it goes back then, as far as it
/// still can. `away` is how long a host may be away ([`AWAY`]).
pub async fn drive<H: Hand>(
    request: Request,
    hands: BTreeMap<HostName, H>,
    away: Duration,
    interrupts: &mut mpsc::Receiver<()>,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Outcome {
    let (inbox, mut happened) = mpsc::unbounded_channel();
    let mut driver = Driver::new(request, hands, away, inbox, tell);
    driver.start();
    loop {
        if let Some(outcome) = driver.outcome.take() {
            return outcome;
        }
        // What a step told comes before how it ended.
        tokio::select! {
            biased;
            Some(message) = happened.recv() => driver.hear(message),
            Some(ended) = driver.tasks.join_next() => match ended {
                Ok(ended) => driver.end(ended),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_stopped) => {}
            },
            Some(()) = interrupts.recv() => driver.interrupt(),
        }
    }
}

/// What tasks say while they are at work.
enum Happened {
    Told(StepId, Told),
    /// The host is away; the step is tried again after the pause.
    Retrying {
        id: StepId,
        message: String,
        pause: Duration,
    },
    LeaseLate {
        host: HostName,
        message: String,
    },
}

/// How a task ended.
enum Ended {
    Step(StepId, Result<Seen, Failure>),
    Lease {
        host: HostName,
        by: Option<deploy::Holder>,
    },
}

struct Driver<'a, H> {
    rollout: Rollout,
    hosts: BTreeMap<HostName, Host<H>>,
    lease: Lease,
    patience: Duration,
    running: BTreeMap<StepId, Running>,
    releases: Arc<Releases>,
    tasks: JoinSet<Ended>,
    inbox: mpsc::UnboundedSender<Happened>,
    begin: Instant,
    tell: &'a mut (dyn FnMut(Progress) + Send),
    outcome: Option<Outcome>,
}

/// One host of a rollout at work.
struct Host<H> {
    hand: H,
    /// It did not answer last time, and is not given as much time again.
    is_away: bool,
    /// Whether the lease of its lock counts.
    lease: watch::Sender<bool>,
    keeper: Option<AbortHandle>,
}

/// A step at work.
struct Running {
    host: HostName,
    step: Step,
    since: Instant,
    task: AbortHandle,
    /// What its last look was told as.
    looked: Option<(Vec<ServiceLook>, Vec<deploy::Ill>)>,
}

impl<'a, H: Hand> Driver<'a, H> {
    fn new(
        request: Request,
        hands: BTreeMap<HostName, H>,
        patience: Duration,
        inbox: mpsc::UnboundedSender<Happened>,
        tell: &'a mut (dyn FnMut(Progress) + Send),
    ) -> Self {
        let lease = Lease {
            holder: request.holder.clone(),
            length: Policy::lease(&request.environment),
        };
        let hosts = hands.into_iter().map(|(name, hand)| {
            let host = Host {
                hand,
                is_away: false,
                lease: watch::Sender::new(true),
                keeper: None,
            };
            (name, host)
        });
        Self {
            rollout: Rollout::new(request),
            hosts: hosts.collect(),
            lease,
            patience,
            running: BTreeMap::new(),
            releases: Arc::default(),
            tasks: JoinSet::new(),
            inbox,
            begin: Instant::now(),
            tell,
            outcome: None,
        }
    }

    fn now(&self) -> Moment {
        Moment(self.begin.elapsed())
    }

    fn start(&mut self) {
        let actions = self.rollout.start(self.now());
        self.follow(actions, None);
    }

    /// Tells the rollout, and does what follows from it.
    fn report(&mut self, event: Event) {
        let about = match &event {
            Event::Looked(id, _) => Some(*id),
            _ => None,
        };
        let known = self.rollout.causes().len();
        let actions = self.rollout.on(self.now(), event);
        let new: Vec<Cause> = self.rollout.causes().iter().skip(known).cloned().collect();
        // A look that ends its own step, and shows nothing wrong, shows that all is well.
        let passed = about.filter(|_| new.is_empty());
        for cause in new {
            (self.tell)(Progress::Trouble { cause });
        }
        self.follow(actions, passed);
    }

    fn follow(&mut self, actions: Vec<Action>, passed: Option<StepId>) {
        if let Some(plan) = self.rollout.plan().filter(|_| self.releases.is_empty()) {
            self.releases = Arc::new(plan.releases.clone());
            let plan = Box::new(plan.clone());
            (self.tell)(Progress::Planned { plan });
        }
        for action in actions {
            match action {
                Action::Run {
                    id,
                    host,
                    step,
                    why,
                } => self.run(id, host, step, why),
                Action::Stop { id } => self.stop(id, passed == Some(id)),
                Action::Finish(outcome) => {
                    (self.tell)(Progress::Finished {
                        outcome: outcome.clone(),
                    });
                    self.outcome = Some(outcome);
                }
            }
        }
    }

    fn run(&mut self, id: StepId, host: HostName, step: Step, why: String) {
        (self.tell)(Progress::Begun {
            id,
            host: host.clone(),
            step: step.clone(),
            why,
        });
        let task = match self.hosts.get_mut(&host) {
            Some(found) => {
                if matches!(step, Step::Unlock { .. }) {
                    found.keeper.take().inspect(AbortHandle::abort);
                }
                // Who cannot lock says so at once; nothing depends on it yet.
                let impatient = found.is_away || matches!(step, Step::Lock(_));
                let attempt = Attempt {
                    hand: found.hand.clone(),
                    id,
                    step: step.clone(),
                    releases: Arc::clone(&self.releases),
                    patience: if impatient {
                        Duration::ZERO
                    } else {
                        self.patience
                    },
                    lease: found.lease.subscribe(),
                    inbox: self.inbox.clone(),
                };
                self.tasks
                    .spawn(async move { Ended::Step(id, attempt.make().await) })
            }
            None => self
                .tasks
                .spawn(async move { Ended::Step(id, Err(nobody())) }),
        };
        let running = Running {
            host,
            step,
            since: Instant::now(),
            task,
            looked: None,
        };
        self.running.insert(id, running);
    }

    fn stop(&mut self, id: StepId, passed: bool) {
        let Some(running) = self.running.remove(&id) else {
            return;
        };
        running.task.abort();
        let took = running.took();
        let (host, step) = (running.host, running.step);
        (self.tell)(match passed {
            true => Progress::Done {
                id,
                host,
                step,
                took,
            },
            false => Progress::Stopped {
                id,
                host,
                step,
                took,
            },
        });
    }

    fn hear(&mut self, happened: Happened) {
        match happened {
            Happened::Told(id, told) => self.told(id, told),
            Happened::Retrying { id, message, pause } => {
                if let Some(running) = self.running.get(&id) {
                    (self.tell)(Progress::Retrying {
                        id,
                        host: running.host.clone(),
                        message,
                        pause: Span::new(pause),
                    });
                }
            }
            Happened::LeaseLate { host, message } => {
                (self.tell)(Progress::LeaseLate { host, message });
            }
        }
    }

    fn told(&mut self, id: StepId, told: Told) {
        let Some(running) = self.running.get_mut(&id) else {
            return;
        };
        match told {
            Told::Progress(text) => (self.tell)(Progress::Said {
                id,
                host: running.host.clone(),
                text,
            }),
            Told::Look(look) => {
                running.looked(id, &look, self.tell);
                self.report(Event::Looked(id, look));
            }
        }
    }

    fn end(&mut self, ended: Ended) {
        match ended {
            Ended::Step(id, result) => self.end_step(id, result),
            Ended::Lease { host, by } => self.report(Event::LockLost { host, by }),
        }
    }

    fn end_step(&mut self, id: StepId, result: Result<Seen, Failure>) {
        let Some(running) = self.running.remove(&id) else {
            return;
        };
        let took = running.took();
        let (host, step) = (running.host, running.step);
        if let Some(found) = self.hosts.get_mut(&host) {
            let unreachable = |failure: &Failure| failure.kind == FailureKind::Unreachable;
            found.is_away = result.as_ref().is_err_and(unreachable);
        }
        if result.is_ok() && matches!(step, Step::Lock(_)) {
            self.keep_lease(&host, running.since);
        }
        match result {
            Ok(seen) => {
                (self.tell)(Progress::Done {
                    id,
                    host,
                    step,
                    took,
                });
                self.report(Event::Done(id, seen));
            }
            Err(failure) => {
                (self.tell)(Progress::Failed {
                    id,
                    host,
                    step,
                    failure: failure.clone(),
                    took,
                });
                self.report(Event::Failed(id, failure));
            }
        }
    }

    fn keep_lease(&mut self, name: &HostName, since: Instant) {
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let keeper = lease::Keeper {
            host: name.clone(),
            hand: host.hand.clone(),
            lease: self.lease.clone(),
            counts: host.lease.clone(),
            inbox: self.inbox.clone(),
        };
        let name = name.clone();
        let keeping = async move {
            let by = keeper.keep(since).await;
            Ended::Lease { host: name, by }
        };
        host.keeper = Some(self.tasks.spawn(keeping));
    }

    fn interrupt(&mut self) {
        let known = self.rollout.causes().len();
        let actions = self.rollout.on(self.now(), Event::Interrupted);
        let goes_back = self.rollout.causes().len() > known;
        (self.tell)(Progress::Interrupted { goes_back });
        self.follow(actions, None);
    }
}

impl Running {
    fn took(&self) -> Span {
        Span::new(self.since.elapsed())
    }

    /// Tells a look that is not as the one before.
    fn looked(&mut self, id: StepId, look: &Look, tell: &mut (dyn FnMut(Progress) + Send)) {
        let now = (progress::services(&self.step, look), look.ill.clone());
        if self.looked.as_ref() != Some(&now) {
            self.looked = Some(now.clone());
            tell(Progress::Looked {
                id,
                host: self.host.clone(),
                services: now.0,
                ill: now.1,
            });
        }
    }
}

fn nobody() -> Failure {
    Failure {
        kind: FailureKind::Unreachable,
        message: "nobody has connected to it".to_owned(),
        service: None,
        last_lines: Vec::new(),
    }
}
