//! The load on the whole site: at each web server's port, and through the balancer.

use std::sync::Arc;
use std::time::Duration;

use testkit::load::ledger::{Ledger, Order};
use testkit::load::{Closing, Kind, Load, Plan, Report};

use super::stage::{DESK, Stage, WEB};

/// One load for each address.
pub(crate) struct Crowd(Vec<(&'static str, Load, Arc<Ledger>)>);

/// Requests a second at one address, of all kinds together; the four have 500.
pub(crate) const RATE: f64 = 125.0;

/// The share of kinds other than a small GET on a kept connection.
const OTHERS: [(Kind, f64); 8] = [
    (Kind::Api, 10.0),
    (Kind::Fresh, 5.0),
    (Kind::Page, 5.0),
    (Kind::Post, 1.0),
    (Kind::Slow, 1.0),
    (Kind::Upload, 1.0),
    (Kind::Socket, 1.0),
    (Kind::Stream, 5.0),
];

/// Everything that a site is asked for, at this rate.
pub(crate) fn mix(rate: f64) -> Vec<(Kind, f64)> {
    let others: f64 = OTHERS.iter().map(|(_, rate)| rate).sum();
    let mut rates = vec![(Kind::Get, rate - others)];
    rates.extend(OTHERS);
    rates
}

/// What is safe to repeat, and short.
pub(crate) fn small(rate: f64) -> Vec<(Kind, f64)> {
    vec![
        (Kind::Get, rate - 10.0),
        (Kind::Api, 5.0),
        (Kind::Page, 5.0),
    ]
}

impl Crowd {
    /// Asks at all addresses; the site serves this release.
    pub(crate) fn come(stage: &Stage, rates: &[(Kind, f64)], release: u64) -> Self {
        let hosts = [WEB[0], WEB[1], WEB[2], DESK];
        Self::come_to(stage, &hosts, rates, release)
    }

    /// Asks at these hosts' ports; the desk's is the balancer's.
    pub(crate) fn come_to(
        stage: &Stage,
        hosts: &[&'static str],
        rates: &[(Kind, f64)],
        release: u64,
    ) -> Self {
        let loads = hosts.iter().map(|host| {
            // Through the balancer, clients of different web servers see different releases.
            let order = match *host {
                DESK => Order::PerConnection,
                _ => Order::Everywhere,
            };
            let ledger = Ledger::new(order);
            ledger.expect(release);
            let plan = Plan {
                rates: rates.to_vec(),
                slow: Duration::from_secs(8),
                long: Duration::from_secs(6),
                closing: Closing::Announced,
            };
            let load = Load::start(stage.port(host), plan, &ledger);
            (*host, load, ledger)
        });
        Self(loads.collect())
    }

    /// From now on this release may answer as well, in the place of the one before.
    pub(crate) fn expect(&self, release: u64) {
        self.0
            .iter()
            .for_each(|(.., ledger)| ledger.expect(release));
    }

    /// Nothing has failed so far.
    pub(crate) fn must_be_well(&self, when: &str) {
        for (host, load, _) in &self.0 {
            let failures = load.failures();
            let shown: Vec<_> = failures.iter().take(10).collect();
            assert!(
                shown.is_empty(),
                "{when}: {host}: {} failed: {shown:#?}",
                failures.len()
            );
        }
    }

    /// Ends with no request failed, of as many as there should be.
    pub(crate) async fn leave_content(self, rate: f64) -> usize {
        let mut sent = 0;
        for (host, report) in self.leave().await {
            print!("{host}: ");
            report.must_be_whole(rate);
            sent += report.total();
        }
        sent
    }

    /// Ends, whatever has failed.
    pub(crate) async fn leave(self) -> Vec<(&'static str, Report)> {
        let ending = self.0.into_iter().map(|(host, load, _)| async move {
            let report = load.end().await;
            (host, report)
        });
        futures_util::future::join_all(ending).await
    }
}
