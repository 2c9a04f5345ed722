//! The lease of one host's lock, renewed from the lock to the unlock.

use std::time::Duration;

use deploy::{Holder, HostName, Lease};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Hand, Happened};
use crate::hands::Renewal;

/// Renews a lease.
pub(super) struct Keeper<H> {
    pub(super) host: HostName,
    pub(super) hand: H,
    pub(super) lease: Lease,
    /// Whether the lease counts.
    pub(super) counts: watch::Sender<bool>,
    pub(super) inbox: mpsc::UnboundedSender<Happened>,
}

impl<H: Hand> Keeper<H> {
    /// Renews it at a third of its length, since it was asked for; where the host does not answer,
    /// again and again. Returns when it is lost, with the one who has it.
    pub(super) async fn keep(self, asked_for: Instant) -> Option<Holder> {
        let length = self.lease.length.get();
        let third = length / 3;
        let again = (third / 5).max(Duration::from_millis(10));
        let mut ends = asked_for + length;
        let mut next = asked_for + third;
        loop {
            sleep_until(next).await;
            let asked = Instant::now();
            // Time to notice that it has expired, just when it does.
            let limit = match ends > asked {
                true => ends.min(asked + third),
                false => asked + third,
            };
            let message = match timeout_at(limit, self.hand.renew(&self.lease)).await {
                Ok(Ok(Renewal::Renewed)) => {
                    ends = asked + length;
                    next = asked + third;
                    self.counts.send_replace(true);
                    continue;
                }
                Ok(Ok(Renewal::Lost { by })) => return by,
                Ok(Err(failure)) => failure.message,
                Err(_) => "it gives no answer".to_owned(),
            };
            let now = Instant::now();
            next = match ends > now {
                true => ends.min(now + again),
                false => now + again,
            };
            if ends <= now && self.counts.send_replace(false) {
                let host = self.host.clone();
                let _gone = self.inbox.send(Happened::LeaseLate { host, message });
            }
        }
    }
}
