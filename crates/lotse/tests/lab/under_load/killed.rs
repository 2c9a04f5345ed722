//! Deploys, rollbacks, bad releases and killed deployers in a random order: no request fails, and no
//! volume loses anything.

use super::crowd::{self, Crowd};
use super::data;
use super::events::{Deployer, is_boundary};
use super::project::{self, Settings};
use super::stage::{Ran, Stage, WEB};

/// Requests a second at each address, small ones.
pub(crate) const RATE: f64 = 40.0;
/// Steps of a deploy to three hosts begin and end at no fewer moments than these.
const STEPS: usize = 75;
/// More than the lease.
const WAIT: [&str; 2] = ["--wait", "60s"];

pub(crate) fn settings(hosts: &'static [&'static str]) -> Settings {
    Settings {
        monitor: "500ms",
        lease: "4s",
        parallelism: 0,
        hosts,
        ..Settings::default()
    }
}

/// Releases 1 and 2, of which one serves.
struct Site<'a> {
    stage: &'a Stage,
    crowd: Crowd,
    hosts: &'static [&'static str],
    past: Past,
    /// Whether a deployer was killed, and nobody has mended that yet.
    cut_off: bool,
}

/// What has been in force: the releases took turns, so how many there were before says which.
#[derive(Debug, Clone, Copy)]
struct Past {
    /// The release in force.
    serves: u64,
    /// How many were in force before it, as rollbacks go.
    before: usize,
}

impl Past {
    fn comes(&mut self, release: u64) {
        self.before += usize::from(self.serves != release);
        self.serves = release;
    }
}

/// With the images of releases 1 and 2.
async fn stage(name: &str, hosts: &[&str]) -> Option<Stage> {
    let stage = Stage::of(name, hosts).await?;
    for release in 1..=2 {
        stage.push(release);
    }
    Some(stage)
}

/// What happens in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    Deploy,
    Rollback,
    Bad,
    Kill,
}

/// Each five rounds are these, so that no run goes without one of them.
const DECK: [Round; 5] = [
    Round::Deploy,
    Round::Deploy,
    Round::Rollback,
    Round::Bad,
    Round::Kill,
];

/// Deploys, rollbacks, bad releases and kills on three hosts, in a random order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_at_random_no_request_fails_and_no_volume_loses_anything() {
    let _beside = crate::beside_others().await;
    let Some(stage) = stage("random", &WEB).await else {
        return;
    };
    let mut random = Random::new();
    println!("{SEED}={} repeats these rounds", random.0);
    let mut site = Site::open(&stage, &WEB).await;
    site.deploys().await;
    let decks = if crate::is_long() { 10 } else { 1 };
    let rounds = (0..decks).flat_map(|_| random.shuffled(DECK));
    let rounds: Vec<Round> = rounds.collect();
    for (index, round) in rounds.into_iter().enumerate() {
        let what = match round {
            Round::Deploy => site.deploys().await,
            Round::Rollback => site.rolls_back().await,
            Round::Bad => site.refuses("ui:exits").await,
            Round::Kill => match site.kill_at(1 + random.below(STEPS)).await {
                true => "was killed",
                false => "deployed before it was to be killed",
            },
        };
        let when = format!("round {}", index + 1);
        println!("{when}: {what}");
        site.must_serve(&when).await;
        data::must_be_there(&stage, site.hosts, &when);
    }
    site.deploys().await;
    data::must_be_there(&stage, site.hosts, "at the end");
    site.close().await;
}

impl<'a> Site<'a> {
    /// Release 1 serves at these hosts.
    async fn open(stage: &'a Stage, hosts: &'static [&'static str]) -> Self {
        project::write(&stage.project(), &settings(hosts));
        let first = run(stage, "deploy", 1, "").await.succeeds();
        println!("the first deploy took {:?}", first.took);
        for host in hosts {
            data::mark(stage, host);
        }
        let crowd = Crowd::come_to(stage, hosts, &crowd::small(RATE), 1);
        Self {
            stage,
            crowd,
            hosts,
            past: Past {
                serves: 1,
                before: 0,
            },
            cut_off: false,
        }
    }

    fn other(&self) -> u64 {
        3 - self.past.serves
    }

    /// Either may answer from now on.
    fn expect_both(&self) {
        self.crowd.expect(self.other());
        self.crowd.expect(self.past.serves);
    }

    /// Deploys the other release and kills the deployer at so many beginnings and ends of steps.
    /// Returns whether it had not come to its end before.
    async fn kill_at(&mut self, boundary: usize) -> bool {
        let other = self.other();
        // Hosts may have either after it.
        self.expect_both();
        let killed = kill_at(self.stage, other, boundary).await;
        self.cut_off = killed;
        if !killed {
            self.must_all_serve(&[other]).await;
        }
        killed
    }

    async fn deploys(&mut self) -> &'static str {
        let other = self.other();
        self.crowd.expect(other);
        run(self.stage, "deploy", other, "").await.succeeds();
        self.must_all_serve(&[other]).await;
        "deployed"
    }

    /// To the release before. After a kill that is what was in force, or the one before it where the
    /// kill came before anything was written down.
    async fn rolls_back(&mut self) -> &'static str {
        let (other, same) = (self.other(), self.past.serves);
        self.expect_both();
        let ran = run(self.stage, "rollback", 0, "").await;
        if self.past.before == 0 && (!self.cut_off || ran.is_refused()) {
            ran.refuses(&[&format!("no release was in force before {same}")]);
            self.must_all_serve(&[same]).await;
            return "had nothing to go back to";
        }
        ran.succeeds();
        let before = self.past.before;
        match self.cut_off {
            true => self.must_all_serve(&[other, same]).await,
            false => self.must_all_serve(&[other]).await,
        }
        let gone = usize::from(self.past.serves == other);
        self.past.before = before.checked_sub(gone).unwrap();
        "went back"
    }

    async fn refuses(&mut self, fault: &str) -> &'static str {
        let (other, same) = (self.other(), self.past.serves);
        self.expect_both();
        let ran = run(self.stage, "deploy", other, fault).await;
        ran.refuses(&["the settings are incomplete"]);
        match self.cut_off {
            // The kill may have come when the deploy was over.
            true => self.must_all_serve(&[other, same]).await,
            false => self.must_all_serve(&[same]).await,
        }
        "refused"
    }

    /// All hosts serve the same, one of these.
    async fn must_all_serve(&mut self, releases: &[u64]) {
        let first = self.stage.serves(self.hosts[0]).await;
        for host in self.hosts {
            assert_eq!(self.stage.serves(host).await, first, "{host}");
        }
        let serves = first.unwrap();
        assert!(releases.contains(&serves), "{serves} serves");
        self.past.comes(serves);
        self.cut_off = false;
        self.crowd.expect(serves);
    }

    /// Every host serves something good, and nothing has failed.
    async fn must_serve(&self, when: &str) {
        for host in self.hosts {
            let serves = self.stage.serves(host).await;
            assert!(matches!(serves, Ok(1 | 2)), "{when}: {host}: {serves:?}");
        }
        self.crowd.must_be_well(when);
    }

    async fn close(self) {
        let sent = self.crowd.leave_content(RATE).await;
        println!("{sent} requests, none failed");
    }
}

/// Deploys a release and kills the deployer at so many beginnings and ends of steps. Returns whether
/// it had not come to its end before.
pub(crate) async fn kill_at(stage: &Stage, release: u64, boundary: usize) -> bool {
    let release = release.to_string();
    let variables = [("RELEASE", release.as_str()), ("FAULT", "")];
    let arguments = ["deploy", "prod", "--json", WAIT[0], WAIT[1]];
    let command = stage.command(&arguments, &variables);
    let told = tokio::task::spawn_blocking(move || {
        let mut left = boundary;
        let mut deployer = Deployer::start(command);
        let reached = deployer.follow(|event| {
            left -= usize::from(is_boundary(event));
            left == 0
        });
        reached
            .map(|event| event.to_string())
            .ok_or_else(|| deployer.end())
    });
    match told.await.unwrap() {
        Ok(event) => {
            let event: String = event.chars().take(160).collect();
            println!("killed at {boundary}: {event}");
            true
        }
        Err((code, said)) => {
            assert_eq!(code, Some(0), "{said}");
            false
        }
    }
}

pub(crate) async fn run(stage: &Stage, verb: &str, release: u64, fault: &str) -> Ran {
    let release = release.to_string();
    let variables = [("RELEASE", release.as_str()), ("FAULT", fault)];
    let arguments = [verb, "prod", WAIT[0], WAIT[1]];
    stage.run(&arguments, &variables).await
}

/// The variable that says with which number random rounds begin.
const SEED: &str = "LOTSE_TEST_SEED";

/// Without order, and the same for each seed.
struct Random(u64);

impl Random {
    /// With the seed that is wanted, else another one in each run.
    fn new() -> Self {
        let wanted = std::env::var(SEED).ok();
        let wanted = wanted.map(|seed| seed.parse().unwrap());
        let now = || u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos());
        Self(wanted.unwrap_or_else(now))
    }

    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }

    fn shuffled<T, const N: usize>(&mut self, mut all: [T; N]) -> [T; N] {
        for last in (1..N).rev() {
            all.swap(last, self.below(last + 1));
        }
        all
    }
}
