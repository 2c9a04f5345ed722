//! A `set` has its certificates before it swaps.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::challenges::Ahead;
use super::error::AcmeError;
use super::{Acme, Need, Wanted};
use crate::edge::Edge;
use crate::edge::set::{Event, Set};
use crate::error::EdgeError;
use crate::route::HostPattern;
use crate::spec::{Protocol, RouteSpec, TlsSpec};

/// Ports that listen for the CA's sake, as long as somebody orders. Then they close again, unless a
/// route has come.
pub(crate) struct PortsAhead {
    edge: Edge,
    ports: Vec<Ahead>,
}

impl Edge {
    /// Waits for the certificates of a set, until its deadline.
    pub(crate) async fn certify(
        &self,
        set: &Set,
        deadline: Instant,
        tell: &impl Fn(Event),
    ) -> Result<(), EdgeError> {
        let acme = &self.running().shared.acme;
        let wanted = set.routes.iter().filter_map(|spec| spec.wanted());
        let wanted: BTreeSet<Wanted> = wanted
            .filter(|wanted| !acme.kept(&wanted.name).suffices(Need::Good))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let ports = Arc::new(self.listen_ahead(set).await?);
        tell(Event::Certifying {
            names: wanted.iter().map(|wanted| wanted.name.clone()).collect(),
        });
        for wanted in wanted {
            let name = wanted.name.clone();
            let held = Some(Arc::clone(&ports));
            let obtaining = Acme::obtain(&self.running().shared, wanted, Need::Good, held);
            let obtained = tokio::time::timeout_at(deadline, obtaining).await;
            let obtained = obtained.unwrap_or_else(|_| {
                Err(AcmeError::Late {
                    name: name.clone(),
                    deadline: set.deadline,
                })
            });
            obtained.map_err(|source| EdgeError::Acme { name, source })?;
        }
        Ok(())
    }

    /// The set's ports that do not listen yet do so from now on, for challenges only.
    async fn listen_ahead(&self, set: &Set) -> Result<PortsAhead, EdgeError> {
        let _changing = self.change().await?;
        let running = self.running();
        let http = set
            .routes
            .iter()
            .filter(|spec| spec.protocol == Protocol::Http);
        let ports: Vec<Ahead> = http
            .map(|spec| Ahead {
                listen: spec.route.listen,
                tls: spec.tls.is_some(),
            })
            .filter(|port| running.shared.table.speaks(port.listen).is_none())
            .collect();
        running.shared.acme.challenges.begin_ahead(&ports);
        let held = PortsAhead {
            edge: self.clone(),
            ports,
        };
        for port in &held.ports {
            let listen = port.listen;
            let opened = running.listeners.open(listen);
            opened.map_err(|source| EdgeError::Listen { listen, source })?;
        }
        Ok(held)
    }
}

impl Drop for PortsAhead {
    fn drop(&mut self) {
        let (edge, ports) = (self.edge.clone(), std::mem::take(&mut self.ports));
        // A port must not be closed between another set's opening and its swap.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let changing = edge.change().await;
            let running = edge.running();
            running.shared.acme.challenges.end_ahead(&ports);
            if changing.is_ok() {
                running.listeners.close_unused().await;
            }
        });
    }
}

impl RouteSpec {
    /// The certificate that the route wants by ACME.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        match (&self.tls, &self.route.host) {
            (Some(TlsSpec::Acme(spec)), HostPattern::Exact(name)) => Some(Wanted {
                name: name.clone(),
                spec: *spec,
            }),
            _ => None,
        }
    }
}
