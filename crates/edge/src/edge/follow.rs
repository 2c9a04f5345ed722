//! Has the edge before this one, as long as it still has connections, do what this one does.

use super::Edge;
use super::keep;
use super::state::State;
use super::takeover::Follower;
use crate::span::Span;

impl Edge {
    pub(crate) fn add_follower(&self, follower: Follower) {
        *self.follower() = Some(follower);
    }

    fn follower(&self) -> std::sync::MutexGuard<'_, Option<Follower>> {
        let follower = self.0.follower.lock();
        follower.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Has the edge before this one, if there is one, do the same. The future says how many
    /// requests it cut.
    pub(super) fn tell_follower(&self, grace: Span) -> impl Future<Output = usize> + use<> {
        let mut follower = self.follower();
        let state = self.state(&[], &[]);
        let told = follower
            .as_ref()
            .and_then(|follower| follower.tell(state, grace));
        if told.is_none() {
            *follower = None;
        }
        async move {
            match told {
                Some(drained) => drained.await.unwrap_or(0),
                None => 0,
            }
        }
    }

    /// Makes the routes what they are elsewhere. Returns how many requests were cut.
    pub(crate) async fn apply(&self, state: State, grace: Span) -> usize {
        let old = {
            let mut table = self.0.shared.table.write();
            keep::apply(&mut table, &state)
        };
        let followed = self.tell_follower(grace);
        self.drain_all(old, grace.get()).await + followed.await
    }
}
