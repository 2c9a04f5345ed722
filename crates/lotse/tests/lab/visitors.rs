//! Visitors of the example's site: at each web server's port, and through a balancer. What they ask
//! for is what the site has: pages with style sheets, the API, uploads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use testkit::load::ledger::{Ledger, Order};
use testkit::load::site::{Answer, Site};
use testkit::load::{Closing, Kind, Load, Plan};

/// Requests a second at one address, of all kinds together.
const RATE: f64 = 50.0;
/// How long an upload takes. It keeps one of the API's four threads at work, and its answer waits.
const UPLOAD: Duration = Duration::from_secs(8);

const KINDS: [(Kind, f64); 7] = [
    (Kind::Get, 35.0),
    (Kind::Api, 8.0),
    (Kind::Fresh, 2.0),
    (Kind::Page, 3.0),
    (Kind::Post, 1.0),
    (Kind::Upload, 0.1),
    (Kind::Stream, 0.9),
];

const SITE: Site = Site {
    get: "/ping",
    api: "/api/ping",
    page: &["/", "/api/ping", "/static/site.css"],
    store: "/api/files/load",
    wants_length: true,
    release,
};

/// Where visitors come to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Door {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Whether there is one edge behind it, or several that change one after the other.
    pub(crate) order: Order,
}

/// Those at all doors.
pub(crate) struct Visitors(Vec<(&'static str, Load, Arc<Ledger>)>);

impl Visitors {
    /// The site serves the release of this tag.
    pub(crate) fn come(doors: &[Door], tag: &str) -> Self {
        let loads = doors.iter().map(|door| {
            let ledger = Ledger::new(door.order);
            let plan = Plan {
                rates: KINDS.to_vec(),
                slow: Duration::ZERO,
                long: UPLOAD,
                closing: Closing::Announced,
            };
            let load = Load::start_at(SITE, door.address, plan, &ledger);
            (door.name, load, ledger)
        });
        let visitors = Self(loads.collect());
        visitors.expect(tag);
        visitors
    }

    /// From now on this release may answer as well, in the place of the one before.
    pub(crate) fn expect(&self, tag: &str) {
        let release = number(tag).unwrap();
        self.0
            .iter()
            .for_each(|(.., ledger)| ledger.expect(release));
    }

    /// Nothing has failed so far.
    pub(crate) fn must_be_well(&self, when: &str) {
        for (door, load, _) in &self.0 {
            let failures = load.failures();
            let shown: Vec<_> = failures.iter().take(10).collect();
            let count = failures.len();
            assert!(
                shown.is_empty(),
                "{when}: {door}: {count} failed: {shown:#?}"
            );
        }
    }

    /// Leave; none was turned away, and there were as many as there should be.
    pub(crate) async fn leave_content(self) {
        for (door, load, _) in self.0 {
            print!("{door}: ");
            load.end().await.must_be_whole(RATE);
        }
    }

    /// Leave, whatever has failed. Returns how many requests did, and of how many.
    pub(crate) async fn leave(self) -> (usize, usize) {
        let (mut failed, mut sent) = (0, 0);
        for (_, load, _) in self.0 {
            let report = load.end().await;
            failed += report.failures.len();
            sent += report.total();
        }
        (failed, sent)
    }
}

/// The style sheet names its release in its text, all else in a field.
fn release(answer: &Answer<'_>) -> Result<u64, String> {
    let text = String::from_utf8_lossy(&answer.body);
    let wrong = || format!("{} {}: {text}", answer.path, answer.status);
    let stamp = answer.headers.get("x-release");
    let tag = match stamp {
        Some(stamp) => stamp.to_str().ok(),
        None => text.split(' ').find(|word| word.starts_with('v')),
    };
    let is_right = answer.status.is_success() && says_right(answer, tag.unwrap_or_default());
    let release = tag.and_then(number).filter(|_| is_right);
    release.ok_or_else(wrong)
}

/// A page shows its own release, and what was sent has arrived.
fn says_right(answer: &Answer<'_>, tag: &str) -> bool {
    if answer.sent > 0 {
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        return said["size"] == answer.sent && said["tag"] == tag;
    }
    let text = String::from_utf8_lossy(&answer.body);
    answer.path != "/" || text.contains(&format!("<strong id=\"tag\">{tag}</strong>"))
}

/// Releases in their order: `v1.10.2` is 11002.
fn number(tag: &str) -> Option<u64> {
    let parts = tag.trim().strip_prefix('v')?.split('.');
    parts
        .map(|part| part.parse::<u64>().ok())
        .try_fold(0, |sum, part| Some(sum * 100 + part?))
}
