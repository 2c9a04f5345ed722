//! Hosts of the demo that lose their power: what the site answers meanwhile, and that it comes back
//! without a hand. What is measured stands in docs/benchmarks.md.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::laptop::{HOSTS, Laptop};
use crate::services::{Record, SERVICES, found};

const PATIENCE: Duration = Duration::from_secs(180);
/// So long a balancer may need to see that a web server is gone or back.
const SETTLED: Duration = Duration::from_secs(12);
/// A visitor who waits longer has had no answer.
const LONGEST: Duration = Duration::from_secs(30);

pub(crate) async fn tell(laptop: &Laptop, tag: &str) {
    a_web_server_is_away(laptop, tag).await;
    the_services_are_away(laptop, tag).await;
}

/// The balancer's visitors go on with the other web server. A task that the queue gives to the worker
/// that is gone is done by another when the queue has noticed, which takes a minute at most, or when
/// the server is back.
async fn a_web_server_is_away(laptop: &Laptop, tag: &str) {
    let off = HOSTS[0];
    let watch = Watch::begin(laptop);
    laptop.power_off(off).await;
    tokio::time::sleep(SETTLED).await;
    watch.end(&format!("{off} is switched off"), 0.02).await;

    let watch = Watch::begin(laptop);
    let posted = Instant::now();
    let record = Record::post(laptop, "buoy", 0).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    watch.end(&format!("{off} stays off"), 0.0).await;

    let watch = Watch::begin(laptop);
    let begin = Instant::now();
    laptop.power_on().await;
    laptop.await_release(off, tag).await;
    println!(
        "{off} serves {:.1?} after it is switched on",
        begin.elapsed()
    );
    tokio::time::sleep(SETTLED).await;
    watch.end(&format!("{off} comes back"), 0.0).await;
    record.await_done(laptop).await;
    println!(
        "what was posted meanwhile was done within {:.1?}",
        posted.elapsed()
    );
    laptop.lotse(&["status", "prod"]).await;
}

/// Pages and style sheets are served; what needs a service says which, and that it is not the caller's
/// fault.
async fn the_services_are_away(laptop: &Laptop, tag: &str) {
    let kept = Record::post(laptop, "anchor", 0).await;
    kept.await_done(laptop).await;
    laptop.power_off(SERVICES).await;
    for (path, status) in [
        ("/ping", 200),
        ("/api/ping", 200),
        ("/static/site.css", 200),
        ("/", 200),
        ("/api/records", 503),
        ("/api/search?q=anchor", 503),
    ] {
        let begin = Instant::now();
        let asked = laptop.http.get(laptop.front(path)).timeout(LONGEST);
        let answer = asked.send().await.unwrap();
        println!(
            "services off: {path}: {} after {:.1?}",
            answer.status(),
            begin.elapsed()
        );
        assert_eq!(answer.status(), status, "{path}");
    }
    let begin = Instant::now();
    laptop.power_on().await;
    await_posts(laptop).await;
    println!(
        "the site takes records {:.1?} after its services are switched on",
        begin.elapsed()
    );
    let record = Record::post(laptop, "rudder", 0).await;
    record.await_done(laptop).await;
    println!("a worker has done the next {:.1?} after", begin.elapsed());
    assert_eq!(
        kept.read(laptop).await["announced"],
        true,
        "the cache has kept it"
    );
    assert_eq!(found(laptop, &kept.word).await, [kept.id.as_str()]);
    for host in HOSTS {
        laptop.await_release(host, tag).await;
    }
}

/// Each process of each web server has connections of its own, so one that works says little.
async fn await_posts(laptop: &Laptop) {
    let deadline = Instant::now() + PATIENCE;
    let mut in_a_row = 0;
    while in_a_row < 10 {
        let record = serde_json::json!({ "title": "A record of somebody who tries again" });
        let post = laptop.http.post(laptop.front("/api/records")).json(&record);
        let answer = post.timeout(LONGEST).send().await;
        let is_taken = matches!(&answer, Ok(answer) if answer.status() == 201);
        in_a_row = if is_taken { in_a_row + 1 } else { 0 };
        assert!(Instant::now() < deadline, "no record is taken: {answer:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Visitors who come anew, ten a second, and what they got.
struct Watch {
    stop: oneshot::Sender<()>,
    visitors: JoinHandle<Vec<Seen>>,
}

type Seen = (Duration, Result<u16, String>);

impl Watch {
    fn begin(laptop: &Laptop) -> Self {
        let url = laptop.front("/ping");
        let (stop, mut stopped) = oneshot::channel();
        let visitors = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(100));
            let mut under_way = JoinSet::new();
            loop {
                tokio::select! {
                    _ = tick.tick() => under_way.spawn(visit(url.clone())),
                    _ = &mut stopped => return under_way.join_all().await,
                };
            }
        });
        Self { stop, visitors }
    }

    /// Tells what was seen; at most this part of the visitors had no good answer.
    async fn end(self, what: &str, may_fail: f64) {
        self.stop.send(()).unwrap();
        let seen = self.visitors.await.unwrap();
        let mut counts = BTreeMap::<String, usize>::new();
        for (_, answer) in &seen {
            let answer = answer.as_ref().map_or_else(Clone::clone, u16::to_string);
            *counts.entry(answer).or_default() += 1;
        }
        let longest = seen.iter().map(|(took, _)| *took).max().unwrap_or_default();
        println!("{what}: {counts:?}, the longest answer after {longest:.1?}");
        let good = counts.get("200").copied().unwrap_or_default();
        let failed = (seen.len() - good) as f64 / seen.len().max(1) as f64;
        assert!(good > 10 && failed <= may_fail, "{what}: {counts:?}");
    }
}

async fn visit(url: String) -> Seen {
    let begin = Instant::now();
    let client = testkit::lotse::client();
    let answer = client.get(&url).timeout(LONGEST).send().await;
    let answer = answer.map(|answer| answer.status().as_u16());
    (
        begin.elapsed(),
        answer.map_err(|error| format!("{error:?}")),
    )
}
