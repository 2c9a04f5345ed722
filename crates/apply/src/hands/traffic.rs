//! Traffic: targets probed, routes switched, addresses left by the last request. The edge does it;
//! here is said where containers are.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use deploy::release::{LeadsTo, Listen, Speaks};
use deploy::span::Span;
use deploy::{Failure, Probe, Switch};
use edge::control::Request;
use edge::route::RouteKey;
use edge::spec::{HealthSpec, Protocol, RouteSpec, TargetSpec};
use edge::{Event, Set};
use serde_json::Value;

use super::Hands;
use super::containers::Known;
use super::failure::{failed, last_lines, of_docker, of_keep, of_service, with_hint};
use crate::keep::{Ask, KeepError};

/// Between two checks of targets that serve: a release that fails must be noticed while it is
/// watched.
const INTERVAL: edge::Span = edge::Span::seconds(1);

/// Where the edge listens for a port. `0.0.0.0` and no address at all are two things to it.
pub(super) fn listen_at(listen: &Listen) -> Result<edge::route::Listen, String> {
    let text = match &listen.ip {
        None => listen.port.to_string(),
        Some(ip) => {
            let ip: IpAddr = ip
                .trim_matches(['[', ']'])
                .parse()
                .map_err(|_| format!("`{ip}` is no address to listen on"))?;
            SocketAddr::new(ip, listen.port).to_string()
        }
    };
    let parsed: Result<edge::route::Listen, _> = text.parse();
    parsed.map_err(|error| error.to_string())
}

impl Hands {
    /// Whose the routes of this environment are at the edge.
    pub(super) fn route_owner(&self) -> edge::spec::Owner {
        let owner = self.owner.to_string();
        owner.parse().expect(
            "a project's and an environment's name are short and have no control characters",
        )
    }

    pub(super) async fn probe(&self, probes: &[Probe], deadline: Span) -> Result<(), Failure> {
        let known = self.known().await.map_err(of_docker)?;
        // Nobody listens for a probe.
        let listen = Listen { ip: None, port: 1 };
        let checks = probes.iter().map(|probe| async {
            let found = targets(&known, &probe.leads_to)?;
            let health = probe.path.clone();
            let spec = route_spec(&listen, true, health, &found, probe.leads_to.target)?;
            let ask = Ask::Probe(vec![spec], to_edge(deadline));
            let probed = self
                .keeper
                .ask_until::<Value>(&ask, deadline.get(), |_| None)
                .await;
            match probed {
                Ok(_) => Ok(()),
                Err(error) => Err(self.no_answer(&probe.leads_to, &found, error).await),
            }
        });
        let outcomes = futures_util::future::join_all(checks).await;
        outcomes.into_iter().collect()
    }

    async fn no_answer(&self, leads_to: &LeadsTo, found: &[&Known], error: KeepError) -> Failure {
        let failure = match error {
            KeepError::Refused(why) => {
                // The probe's own route says nothing to the user.
                let ill = why
                    .lines()
                    .skip(1)
                    .filter_map(|line| line.split_once(": target "));
                let ill: Vec<&str> = ill.map(|(_, ill)| ill).collect();
                let what = match ill.is_empty() {
                    true => why.clone(),
                    false => ill.join("; "),
                };
                let message = format!(
                    "no good answer from {} at port {}: {what}",
                    leads_to.service, leads_to.target
                );
                with_hint(
                    message,
                    Some("does it listen at that port, and not at 127.0.0.1 only?"),
                )
            }
            error => of_keep(error),
        };
        let mut failure = of_service(failure, &leads_to.service);
        if let Some(known) = found.first() {
            failure.last_lines = last_lines(&self.engine, known.id()).await;
        }
        failure
    }

    pub(super) async fn switch(&self, switch: &Switch) -> Result<(), Failure> {
        let known = self.known().await.map_err(of_docker)?;
        let mut routes = Vec::new();
        for route in &switch.routes {
            let found = targets(&known, &route.leads_to)?;
            let (http, health) = match &route.speaks {
                Speaks::Http { health } => (true, health.clone()),
                Speaks::Tcp => (false, None),
            };
            routes.push(route_spec(
                &route.listen,
                http,
                health,
                &found,
                route.leads_to.target,
            )?);
        }
        let set = Set {
            routes,
            owner: Some(self.route_owner()),
            deadline: to_edge(switch.deadline),
            grace: to_edge(switch.grace),
            watch: to_edge(switch.standby),
        };
        let ask = Ask::Edge(Box::new(Request::Set(set)));
        // What follows goes on in the edge, whether anybody listens or not.
        let swapped = |step: &Event| matches!(step, Event::Swapped { .. }).then_some(Value::Null);
        let set = self
            .keeper
            .ask_until(&ask, switch.deadline.get(), swapped)
            .await;
        match set {
            Ok(_) => Ok(()),
            Err(KeepError::Refused(why)) => Err(not_switched(&why)),
            Err(error) => Err(of_keep(error)),
        }
    }

    /// Waits until the edge has nothing left to do at these containers.
    pub(super) async fn wait_until_empty(
        &self,
        containers: &[Known],
        limit: Span,
    ) -> Result<(), Failure> {
        let addresses: BTreeSet<IpAddr> = containers.iter().flat_map(Known::addresses).collect();
        if addresses.is_empty() {
            return Ok(());
        }
        let request = Request::Emptied {
            addresses: addresses.into_iter().collect(),
            limit: to_edge(limit),
        };
        let ask = Ask::Edge(Box::new(request));
        let emptied = self
            .keeper
            .ask_until::<Value>(&ask, limit.get(), |_| None)
            .await;
        match emptied {
            // Without an edge there are no requests either.
            Ok(_) | Err(KeepError::NoEdge(_)) => Ok(()),
            Err(error) => Err(of_keep(error)),
        }
    }

    /// The routes of this environment as the edge has them.
    pub(super) async fn edge_status(&self) -> Result<Vec<edge::RouteStatus>, KeepError> {
        let ask = Ask::Edge(Box::new(Request::Status));
        let status: edge::Status = self.keeper.ask(&ask).await?;
        let owner = Some(self.route_owner());
        let routes = status.routes.into_iter();
        Ok(routes.filter(|route| route.owner == owner).collect())
    }
}

/// The running containers that a route leads to.
fn targets<'a>(known: &'a [Known], leads_to: &LeadsTo) -> Result<Vec<&'a Known>, Failure> {
    let found = known
        .iter()
        .filter(|known| known.is_of(leads_to.place, &leads_to.service) && known.is_running());
    let found: Vec<&Known> = found.collect();
    if found.is_empty() {
        let message = format!(
            "no container of {} of {} runs",
            leads_to.service, leads_to.place
        );
        return Err(of_service(failed(message), &leads_to.service));
    }
    Ok(found)
}

fn route_spec(
    listen: &Listen,
    http: bool,
    health: Option<String>,
    found: &[&Known],
    port: u16,
) -> Result<RouteSpec, Failure> {
    let key = RouteKey {
        listen: listen_at(listen).map_err(failed)?,
        host: Default::default(),
        path: Default::default(),
    };
    let mut targets = Vec::new();
    for known in found {
        let address = known.address.ok_or_else(|| {
            let message = format!(
                "the container `{}` has no address that the host can reach: is it on a bridge network?",
                known.seen.name
            );
            of_service(failed(message), &known.seen.service)
        })?;
        targets.push(TargetSpec {
            address: SocketAddr::new(address, port),
            weight: 1,
        });
    }
    let mut spec = RouteSpec::new(key, targets);
    spec.protocol = match http {
        true => Protocol::Http,
        false => Protocol::Tcp,
    };
    spec.health = HealthSpec {
        path: health,
        interval: INTERVAL,
        ..HealthSpec::default()
    };
    Ok(spec)
}

fn not_switched(why: &str) -> Failure {
    let hint = match why {
        why if why.contains("cannot listen on") => {
            Some("somebody else has the port: `ss -ltnp` on the host tells who")
        }
        why if why.contains("left alone") => Some("`lotse edge list` shows whose routes there are"),
        _ => None,
    };
    with_hint(why, hint)
}

fn to_edge(span: Span) -> edge::Span {
    let millis = u64::try_from(
        span.get()
            .min(Duration::from_secs(365 * 24 * 3600))
            .as_millis(),
    );
    edge::Span::millis(millis.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_edge_listens() {
        for (ip, expected) in [
            (None, Ok("[::]:80")),
            (Some("0.0.0.0"), Ok("0.0.0.0:80")),
            (Some("127.0.0.1"), Ok("127.0.0.1:80")),
            (Some("::1"), Ok("[::1]:80")),
            (Some("[::1]"), Ok("[::1]:80")),
            (Some("web"), Err("`web` is no address to listen on")),
        ] {
            let listen = Listen {
                ip: ip.map(str::to_owned),
                port: 80,
            };
            let found = listen_at(&listen).map(|listen| listen.0.to_string());
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(found, expected);
        }
    }
}
