//! One step of one host, tried again while the network keeps it from its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deploy::{Failure, FailureKind, Seen, Step, StepId};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::{Hand, Happened};
use crate::hands::{Releases, Told};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A step that is to be carried out.
pub(super) struct Attempt<H> {
    pub(super) hand: H,
    pub(super) id: StepId,
    pub(super) step: Step,
    pub(super) releases: Arc<Releases>,
    /// How long the host may be away.
    pub(super) patience: Duration,
    /// Whether the lease of the host's lock counts.
    pub(super) lease: watch::Receiver<bool>,
    pub(super) inbox: mpsc::UnboundedSender<Happened>,
}

impl<H: Hand> Attempt<H> {
    /// Carries it out.
    ///
    /// # Errors
    /// As the hand's. A host that is away is one only after it has been so for a while.
    pub(super) async fn make(mut self) -> Result<Seen, Failure> {
        let mut away: Option<Instant> = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let (result, was_there) = self.once().await;
            let failure = match result {
                Err(failure) if failure.kind == FailureKind::Unreachable => failure,
                other => return other,
            };
            if was_there {
                (away, pause) = (None, FIRST_PAUSE);
            }
            let since = *away.get_or_insert_with(Instant::now);
            if since.elapsed() + pause > self.patience {
                return Err(failure);
            }
            self.say(Happened::Retrying {
                id: self.id,
                message: failure.message,
                pause,
            });
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Also says whether the host was there in between.
    async fn once(&mut self) -> (Result<Seen, Failure>, bool) {
        let (told, mut heard) = mpsc::unbounded_channel();
        let mut was_there = false;
        let mut pass_on = |told: Told| {
            was_there |= matches!(told, Told::Look(_));
            // A driver that is gone wants nothing more.
            let _gone = self.inbox.send(Happened::Told(self.id, told));
        };
        let mut doing = pin!(self.hand.carry_out(&self.step, &self.releases, &told));
        let needs_lock = !matches!(self.step, Step::Lock(_) | Step::Unlock { .. });
        let mut expiry = pin!(expired(&mut self.lease, needs_lock));
        let result = loop {
            tokio::select! {
                biased;
                () = &mut expiry => break Err(without_lease()),
                Some(told) = heard.recv() => pass_on(told),
                result = &mut doing => break result,
            }
        };
        while let Ok(told) = heard.try_recv() {
            pass_on(told);
        }
        (result, was_there)
    }

    fn say(&self, happened: Happened) {
        let _gone = self.inbox.send(happened);
    }
}

/// Returns when a lease that is needed does not count, if ever.
async fn expired(lease: &mut watch::Receiver<bool>, is_needed: bool) {
    if !is_needed || lease.wait_for(|counts| !*counts).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn without_lease() -> Failure {
    Failure {
        kind: FailureKind::Unreachable,
        message: "its lock could not be renewed until it expired, so nothing more is done there"
            .to_owned(),
        service: None,
        last_lines: Vec::new(),
    }
}
