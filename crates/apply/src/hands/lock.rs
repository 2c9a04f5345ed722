//! The lock of the environment and its record, kept where the edge is: so the edge comes first.

use std::sync::PoisonError;

use deploy::host::LockSeen;
use deploy::{Entry, Failure, FailureKind, Holder, Lease, Seen};
use tokio::sync::mpsc;

use super::failure::{failed, of_edge, of_keep};
use super::{Hands, Releases, Renewal, Told};
use crate::edge::{self, EdgeContainer};
use crate::keep::{Ask, Entering, KeepError, Locked};

impl Hands {
    /// Takes the lock, and looks at the host under it. A host without an edge that runs gets one,
    /// as nothing can be kept there otherwise.
    pub(super) async fn lock(
        &self,
        lease: &Lease,
        told: &mpsc::UnboundedSender<Told>,
    ) -> Result<Seen, Failure> {
        let ask = Ask::Lock(self.owner.clone(), lease.clone());
        let answer = match self.keeper.ask(&ask).await {
            Err(KeepError::NoEdge(_) | KeepError::Stopped(_)) => {
                self.place_edge(told).await?;
                self.keeper.ask(&ask).await
            }
            answer => answer,
        };
        match answer.map_err(of_keep)? {
            Locked::Yours => {}
            Locked::Theirs(Some(lock)) => return Err(locked(lock)),
            Locked::Theirs(None) => return Err(failed("the lock was not given")),
        }
        *self.holder.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease.holder.clone());
        let seen = self.observe().await;
        let seen = seen.map_err(|error| Failure {
            kind: FailureKind::Unreachable,
            ..failed(error.to_string())
        });
        Ok(Seen::Host(Box::new(seen?)))
    }

    pub(super) async fn unlock(&self, holder: &Holder) -> Result<(), Failure> {
        let ask = Ask::Unlock(self.owner.clone(), holder.clone());
        match self.keeper.ask::<()>(&ask).await {
            Err(KeepError::NoEdge(_)) => Ok(()),
            outcome => outcome.map_err(of_keep),
        }
    }

    /// Renews the lease of the lock.
    ///
    /// # Errors
    /// When the host does not answer.
    pub async fn renew(&self, lease: &Lease) -> Result<Renewal, Failure> {
        let ask = Ask::Renew(self.owner.clone(), lease.clone());
        match self.keeper.ask(&ask).await.map_err(of_keep)? {
            Locked::Yours => Ok(Renewal::Renewed),
            Locked::Theirs(lock) => Ok(Renewal::Lost {
                by: lock.map(|lock| lock.holder),
            }),
        }
    }

    /// Takes the lock away from whoever has it, and says who had it.
    ///
    /// # Errors
    /// When the host does not answer.
    pub async fn break_lock(&self) -> Result<Option<LockSeen>, Failure> {
        match self.keeper.ask(&Ask::Break(self.owner.clone())).await {
            Err(KeepError::NoEdge(_)) => Ok(None),
            outcome => outcome.map_err(of_keep),
        }
    }

    pub(super) async fn record(&self, entry: &Entry, releases: &Releases) -> Result<(), Failure> {
        let definition = match entry {
            Entry::Begin(intent) => releases.get(&intent.to).cloned(),
            _ => None,
        };
        let holder = self
            .holder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let entering = Entering {
            owner: self.owner.clone(),
            holder,
            entry: entry.clone(),
            definition,
        };
        let ask = Ask::Enter(Box::new(entering));
        self.keeper.ask::<()>(&ask).await.map_err(of_keep)
    }

    /// Sees to an edge of this program's version that runs.
    pub(super) async fn place_edge(
        &self,
        told: &mpsc::UnboundedSender<Told>,
    ) -> Result<(), Failure> {
        let wanted = EdgeContainer {
            name: self.options.edge.clone(),
            options: None,
            program: self.options.program.clone(),
        };
        let told = told.clone();
        let mut tell = move |step: edge::Step| {
            let _nobody_listens = told.send(Told::Progress(step.to_string()));
        };
        edge::put(&self.engine, &wanted, &mut tell)
            .await
            .map_err(of_edge)?;
        Ok(())
    }
}

fn locked(lock: LockSeen) -> Failure {
    let message = format!(
        "{} has the lock, for {} more\nhint: wait for it, or take it away with `lotse unlock --force` \
         when nobody is at work",
        lock.holder, lock.expires_in
    );
    Failure {
        kind: FailureKind::Locked {
            holder: lock.holder,
            expires_in: lock.expires_in,
        },
        ..failed(message)
    }
}
