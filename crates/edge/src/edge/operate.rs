//! What an operator asks of routes that are there: remove, drain, pause, maintenance.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Edge;
use super::table::Mode;
use crate::error::EdgeError;
use crate::route::RouteKey;
use crate::span::Span;

impl Edge {
    /// Takes routes away. Returns how many requests and connections were cut at the end of the
    /// grace period.
    ///
    /// # Errors
    /// When there is no such route, or the state cannot be written.
    pub async fn remove(&self, key: &RouteKey, grace: Span) -> Result<usize, EdgeError> {
        let (gone, followed) = {
            let _changing = self.change().await?;
            if self.0.shared.table.read().route(key).is_none() {
                return Err(EdgeError::NoRoute(key.clone()));
            }
            self.save(&[], std::slice::from_ref(key))?;
            let gone = self.0.shared.table.write().remove(key);
            self.0.listeners.close_unused().await;
            (gone, self.tell_follower(grace))
        };
        let pools = gone
            .into_iter()
            .flat_map(|route| [Some(route.pool), route.standby]);
        let cut = self.drain_all(pools.flatten().collect(), grace.get()).await;
        Ok(cut + followed.await)
    }

    /// Takes one address out of every route, or puts it back in. Returns how many of its requests
    /// are left at the end of the grace period; they are not cut.
    ///
    /// # Errors
    /// When no route has the address, or the state cannot be written.
    pub async fn drain(
        &self,
        target: SocketAddr,
        drained: bool,
        grace: Span,
    ) -> Result<usize, EdgeError> {
        let targets: Vec<_> = {
            let _changing = self.change().await?;
            let targets: Vec<_> = {
                let table = self.0.shared.table.read();
                table
                    .routes()
                    .filter_map(|route| route.pool.target(target).cloned())
                    .collect()
            };
            if targets.is_empty() {
                return Err(EdgeError::NoTarget(target));
            }
            targets
                .iter()
                .for_each(|target| target.set_drained(drained));
            self.save(&[], &[])?;
            drop(self.tell_follower(grace));
            targets
        };
        if !drained {
            return Ok(0);
        }
        let emptied = targets.iter().map(|target| target.emptied(grace.get()));
        futures_util::future::join_all(emptied).await;
        Ok(targets.iter().map(|target| target.in_flight()).sum())
    }

    /// Holds requests of a route, or of all, until [`Edge::resume`], at most so long; then they
    /// are answered 503.
    ///
    /// # Errors
    /// When there is no such route.
    pub async fn pause(&self, key: Option<&RouteKey>, limit: Span) -> Result<usize, EdgeError> {
        let until = std::time::Instant::now() + limit.get();
        self.change_mode(key, || Mode::Paused(until)).await
    }

    /// Answers requests of a route, or of all, with a page.
    ///
    /// # Errors
    /// When there is no such route, or the state cannot be written.
    pub async fn maintenance(
        &self,
        key: Option<&RouteKey>,
        page: &str,
    ) -> Result<usize, EdgeError> {
        let page: Arc<str> = page.into();
        self.change_mode(key, || Mode::Maintenance(Arc::clone(&page)))
            .await
    }

    /// Ends a pause or a maintenance.
    ///
    /// # Errors
    /// When there is no such route, or the state cannot be written.
    pub async fn resume(&self, key: Option<&RouteKey>) -> Result<usize, EdgeError> {
        self.change_mode(key, || Mode::Serving).await
    }

    async fn change_mode(
        &self,
        key: Option<&RouteKey>,
        mode: impl Fn() -> Mode,
    ) -> Result<usize, EdgeError> {
        let _changing = self.change().await?;
        let changed = {
            let table = self.0.shared.table.read();
            let chosen = table
                .routes()
                .filter(|route| key.is_none_or(|key| route.key == *key));
            let changed = chosen.map(|route| drop(route.mode.send_replace(mode())));
            changed.fold(0, |count, ()| count + 1)
        };
        match (changed, key) {
            (0, Some(key)) => Err(EdgeError::NoRoute(key.clone())),
            (changed, _) => {
                self.save(&[], &[])?;
                drop(self.tell_follower(Span::seconds(0)));
                Ok(changed)
            }
        }
    }
}
