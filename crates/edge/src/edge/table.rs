//! All routes and their pools, as requests see them.
//!
//! One lock holds them all: whoever looks a route up holds it while it counts itself in the pool,
//! and a swap of any number of routes is one write. So no request sees half of a swap, and after
//! it nobody can still come to the old pools.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use crate::acme::Wanted;
use crate::client::tls::Certificate;
use crate::route::{HostPattern, Listen, PathPrefix, RouteKey};
use crate::spec::Protocol;
use crate::target::pool::{Lease, Pool};

/// See the module.
#[derive(Default)]
pub(crate) struct Table(RwLock<Inner>);

#[derive(Default)]
pub(crate) struct Inner {
    listens: HashMap<Listen, Vec<Route>>,
}

/// A route with its current pool.
pub(crate) struct Route {
    pub(crate) key: RouteKey,
    pub(crate) pool: Arc<Pool>,
    /// The pool before, while the current one is on trial.
    pub(crate) standby: Option<Arc<Pool>>,
    pub(crate) mode: Arc<watch::Sender<Mode>>,
    /// The pool that failed on trial, until the next swap.
    pub(crate) fell_back: Option<Arc<Pool>>,
}

/// What becomes of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They go to the pool.
    Serving,
    /// They wait until this instant, at the most.
    Paused(std::time::Instant),
    /// They are answered with this page.
    Maintenance(Arc<str>),
}

/// How clients speak to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Tcp,
    Http,
    Https,
}

/// What a lookup found.
pub(crate) enum Found {
    /// The request is counted in this pool.
    Pool(Lease),
    /// It waits for the mode to change.
    Paused(std::time::Instant, watch::Receiver<Mode>),
    /// It is answered with this page.
    Maintenance(Arc<str>),
    /// Nobody serves it.
    Nothing,
}

impl Table {
    /// The pool of a request; `host` in lower case and without port.
    pub(crate) fn find(&self, listen: Listen, host: &str, path: &str) -> Found {
        let inner = self.read();
        let routes = inner.listens.get(&listen).map_or(&[][..], Vec::as_slice);
        let fits = |route: &&Route| route.key.host.covers(host) && route.key.path.covers(path);
        match routes.iter().find(fits) {
            Some(route) => route.found(),
            None => Found::Nothing,
        }
    }

    /// What a port is spoken to with, if it has routes.
    pub(crate) fn speaks(&self, listen: Listen) -> Option<Speaks> {
        let inner = self.read();
        let routes = inner.listens.get(&listen)?;
        let spec = &routes.first()?.pool.spec;
        Some(match (spec.protocol, &spec.tls) {
            (Protocol::Tcp, _) => Speaks::Tcp,
            (Protocol::Http, None) => Speaks::Http,
            (Protocol::Http, Some(_)) => Speaks::Https,
        })
    }

    /// Whether some port speaks HTTP without TLS.
    pub(crate) fn has_plain_http(&self) -> bool {
        let inner = self.read();
        let mut specs = inner.routes().map(|route| &route.pool.spec);
        specs.any(|spec| spec.protocol == Protocol::Http && spec.tls.is_none())
    }

    /// What the routes want by ACME, each once.
    pub(crate) fn wanted_certificates(&self) -> BTreeSet<Wanted> {
        let inner = self.read();
        let wanted = inner.routes().filter_map(|route| route.pool.spec.wanted());
        wanted.collect()
    }

    /// The certificate for a name: that of the most exact route, or the first there is.
    pub(crate) fn certificate(&self, listen: Listen, name: &str) -> Option<Arc<Certificate>> {
        let inner = self.read();
        let routes = inner.listens.get(&listen)?;
        let fits = routes.iter().filter(|route| route.key.host.covers(name));
        let mut found = fits
            .chain(routes)
            .filter_map(|route| route.pool.certificate.as_ref());
        found.next().map(Arc::clone)
    }

    /// All certificates.
    pub(crate) fn certificates(&self) -> Vec<Arc<Certificate>> {
        let inner = self.read();
        let all = inner
            .routes()
            .filter_map(|route| route.pool.certificate.clone());
        all.collect()
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the pools before back in their place, when the failed one is on trial and the one before
    /// it is well: all those that were swapped together. Returns the pool that serves its route now.
    pub(crate) fn fall_back(&self, failed: &Arc<Pool>) -> Option<Lease> {
        let mut inner = self.write();
        let route = inner.route(&failed.spec.route)?;
        if !Arc::ptr_eq(&route.pool, failed) {
            // Somebody else was faster, or a set has come.
            return Some(route.pool.lease());
        }
        route.standby.as_ref().filter(|old| old.is_available())?;
        for route in inner.routes_mut() {
            route.fall_back(failed.generation);
        }
        tracing::warn!(route = %failed.spec.route, "the new targets fail: the ones before serve again");
        Some(inner.route(&failed.spec.route)?.pool.lease())
    }

    /// Whether others stand by for a pool, well or ill.
    pub(crate) fn is_on_trial(&self, pool: &Arc<Pool>) -> bool {
        let inner = self.read();
        let route = inner.route(&pool.spec.route);
        route.is_some_and(|route| Arc::ptr_eq(&route.pool, pool) && route.standby.is_some())
    }

    /// Ends the trials for which targets at these addresses stand by.
    pub(crate) fn settle(&self, addresses: &[IpAddr]) {
        let mut inner = self.write();
        inner.routes_mut().for_each(|route| route.settle(addresses));
    }
}

impl Route {
    fn fall_back(&mut self, generation: u64) {
        if self.pool.generation != generation {
            return;
        }
        if let Some(old) = self.standby.take() {
            let failed = std::mem::replace(&mut self.pool, old);
            failed.retired.cancel();
            self.fell_back = Some(failed);
        }
    }

    /// Ends the trial when the pool before has one of these addresses.
    fn settle(&mut self, addresses: &[IpAddr]) {
        if self.standby.take_if(|old| old.is_at(addresses)).is_some() {
            self.pool.settled.cancel();
        }
    }

    fn found(&self) -> Found {
        match &*self.mode.borrow() {
            Mode::Serving => Found::Pool(self.pool.lease()),
            Mode::Paused(until) => Found::Paused(*until, self.mode.subscribe()),
            Mode::Maintenance(page) => Found::Maintenance(Arc::clone(page)),
        }
    }
}

impl Inner {
    pub(crate) fn routes_mut(&mut self) -> impl Iterator<Item = &mut Route> {
        self.listens.values_mut().flatten()
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &Route> {
        self.listens.values().flatten()
    }

    pub(crate) fn route(&self, key: &RouteKey) -> Option<&Route> {
        self.listens
            .get(&key.listen)?
            .iter()
            .find(|route| route.key == *key)
    }

    pub(crate) fn route_mut(&mut self, key: &RouteKey) -> Option<&mut Route> {
        self.listens
            .get_mut(&key.listen)?
            .iter_mut()
            .find(|route| route.key == *key)
    }

    /// Adds a route that is not there yet. The most exact come first.
    pub(crate) fn add(&mut self, route: Route) {
        let routes = self.listens.entry(route.key.listen).or_default();
        routes.push(route);
        routes.sort_by_key(|route| std::cmp::Reverse(rank(&route.key.host, &route.key.path)));
    }

    pub(crate) fn remove(&mut self, key: &RouteKey) -> Option<Route> {
        let routes = self.listens.get_mut(&key.listen)?;
        let place = routes.iter().position(|route| route.key == *key)?;
        let gone = routes.remove(place);
        if routes.is_empty() {
            self.listens.remove(&key.listen);
        }
        Some(gone)
    }

    /// The addresses that some route wants listened on.
    pub(crate) fn listens(&self) -> impl Iterator<Item = Listen> {
        self.listens.keys().copied()
    }
}

fn rank(host: &HostPattern, path: &PathPrefix) -> ((u8, usize), usize) {
    (host.rank(), path.rank())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RouteSpec;

    fn table(routes: &[(&str, &str)]) -> Table {
        let table = Table::default();
        for (place, (host, path)) in routes.iter().enumerate() {
            let key = RouteKey {
                listen: "127.0.0.1:80".parse().unwrap(),
                host: host.parse().unwrap(),
                path: path.parse().unwrap(),
            };
            let target = format!("10.0.0.{}:80", place + 1).parse().unwrap();
            let spec = Arc::new(RouteSpec::new(key.clone(), vec![target]));
            table.write().add(Route {
                key,
                pool: Pool::new(spec, 1, Arc::default()).unwrap(),
                standby: None,
                fell_back: None,
                mode: Arc::new(watch::Sender::new(Mode::Serving)),
            });
        }
        table
    }

    #[test]
    fn the_most_exact_route_wins() {
        let routes = [
            ("*", "/"),
            ("*", "/api"),
            ("*.example.org", "/"),
            ("*.sub.example.org", "/"),
            ("www.example.org", "/"),
            ("www.example.org", "/api"),
            ("www.example.org", "/api/v2"),
        ];
        let table = table(&routes);
        let cases = [
            ("other.org", "/", 1),
            ("other.org", "/api/x", 2),
            ("", "/apix", 1),
            ("a.example.org", "/api", 3),
            ("a.sub.example.org", "/", 4),
            ("www.example.org", "/", 5),
            ("www.example.org", "/api/v1", 6),
            ("www.example.org", "/api/v2/x", 7),
        ];
        let listen = "127.0.0.1:80".parse().unwrap();
        for (host, path, expected) in cases {
            let Found::Pool(lease) = table.find(listen, host, path) else {
                panic!("no route for {host}{path}");
            };
            let expected = format!("10.0.0.{expected}:80");
            assert_eq!(
                lease.targets[0].address.to_string(),
                expected,
                "{host}{path}"
            );
        }
    }

    #[test]
    fn a_route_without_its_port_or_host_is_not_found() {
        let table = table(&[("www.example.org", "/")]);
        let nothing = |listen: &str, host| {
            matches!(
                table.find(listen.parse().unwrap(), host, "/"),
                Found::Nothing
            )
        };
        assert!(nothing("127.0.0.1:80", "example.org"));
        assert!(nothing("127.0.0.1:81", "www.example.org"));
        assert!(!nothing("127.0.0.1:80", "www.example.org"));
    }

    #[test]
    fn only_the_pool_on_trial_falls_back() {
        let table = table(&[("*", "/")]);
        let key = table.read().routes().next().unwrap().key.clone();
        let old = Arc::clone(&table.read().route(&key).unwrap().pool);
        assert!(
            table.fall_back(&old).is_none(),
            "there is nothing to fall back to"
        );
        let new = Pool::new(Arc::clone(&old.spec), 2, Arc::default()).unwrap();
        {
            let mut inner = table.write();
            let route = inner.route_mut(&key).unwrap();
            route.standby = Some(std::mem::replace(&mut route.pool, Arc::clone(&new)));
        }
        old.targets[0].set_healthy(false);
        assert!(table.fall_back(&new).is_none(), "that would mend nothing");
        old.targets[0].set_healthy(true);
        assert_eq!(table.fall_back(&new).unwrap().generation, 1);
        assert_eq!(
            table.fall_back(&new).unwrap().generation,
            1,
            "the second is told who serves now"
        );
    }
}
