//! The deployer is killed, before and after each step and at random: the site serves through it, the
//! next `lotse deploy` or `rollback` ends right, and no volume loses anything.

use crate::crowd::{self, Crowd};
use crate::data;
use crate::events::{Deployer, is_boundary};
use crate::project::{self, Settings};
use crate::stage::{Ran, Stage, WEB};

/// Requests a second at each address, small ones.
const RATE: f64 = 40.0;
/// More than the lease.
const WAIT: [&str; 2] = ["--wait", "60s"];

fn settings(hosts: &'static [&'static str]) -> Settings {
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
    serves: u64,
    hosts: &'static [&'static str],
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_deployer_leaves_a_site_that_serves_and_mends() {
    let _alone = crate::alone().await;
    let Some(stage) = Stage::set("killed").await else {
        return;
    };
    for release in 1..=2 {
        stage.push(release);
    }
    at_each_step(&stage).await;
    at_random(&stage).await;
}

/// Before and after each step on one host. The short form takes some of them.
async fn at_each_step(stage: &Stage) {
    let mut site = Site::open(stage, &WEB[..1]).await;
    let apart = if crate::is_long() { 1 } else { 5 };
    let mut killed = 0;
    for boundary in (1..).step_by(apart) {
        if !site.kill_at(boundary).await {
            break;
        }
        killed += 1;
        site.must_serve(&format!("killed at boundary {boundary}"))
            .await;
        match killed % 2 {
            0 => site.rolls_back().await,
            _ => site.deploys().await,
        }
        data::must_be_there(stage, site.hosts, &format!("boundary {boundary}"));
    }
    println!("killed at {killed} places between steps");
    assert!(killed > 3, "a deploy has more steps than that");
    site.close().await;
}

/// Deploys, rollbacks, bad releases and kills on three hosts, in a random order.
async fn at_random(stage: &Stage) {
    let mut site = Site::open(stage, &WEB).await;
    let rounds = if crate::is_long() { 50 } else { 5 };
    let mut random = Random(0x5eed_0001);
    for round in 1..=rounds {
        let what = match random.below(5) {
            0 | 1 => {
                site.deploys().await;
                "deployed"
            }
            2 => {
                site.rolls_back().await;
                "went back"
            }
            3 => {
                site.refuses("ui:exits").await;
                "refused"
            }
            _ => match site.kill_at(1 + random.below(120)).await {
                true => "killed",
                false => "deployed before it was to be killed",
            },
        };
        println!("round {round}: {what}");
        site.must_serve(&format!("round {round}")).await;
        data::must_be_there(stage, site.hosts, &format!("round {round}"));
    }
    site.deploys().await;
    data::must_be_there(stage, site.hosts, "at the end");
    site.close().await;
}

impl<'a> Site<'a> {
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
            serves: 1,
            hosts,
        }
    }

    fn other(&self) -> u64 {
        3 - self.serves
    }

    /// Deploys the other release and kills the deployer at so many beginnings and ends of steps.
    /// Returns whether it had not come to its end before.
    async fn kill_at(&mut self, boundary: usize) -> bool {
        let other = self.other();
        // Hosts may have either after it.
        self.crowd.expect(other);
        self.crowd.expect(self.serves);
        let release = other.to_string();
        let variables = [("RELEASE", release.as_str()), ("FAULT", "")];
        let arguments = ["deploy", "prod", "--json", WAIT[0], WAIT[1]];
        let command = self.stage.command(&arguments, &variables);
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
                println!(
                    "killed at {boundary}: {}",
                    event.chars().take(160).collect::<String>()
                );
                true
            }
            Err((code, said)) => {
                assert_eq!(code, Some(0), "{said}");
                self.crowd.expect(other);
                self.serves = other;
                false
            }
        }
    }

    async fn deploys(&mut self) {
        let other = self.other();
        self.crowd.expect(other);
        run(self.stage, "deploy", other, "").await.succeeds();
        self.must_all_serve(&[other]).await;
    }

    /// To the release before, whichever that is after a kill.
    async fn rolls_back(&mut self) {
        let (other, same) = (self.other(), self.serves);
        self.crowd.expect(other);
        self.crowd.expect(same);
        let ran = run(self.stage, "rollback", 0, "").await;
        if self.all_serve(1).await && ran.is_refused() {
            // The kill came after the end of a deploy of release 1.
            ran.refuses(&["there is no release before 1"]);
        } else {
            ran.succeeds();
        }
        self.must_all_serve(&[other, same]).await;
    }

    async fn refuses(&mut self, fault: &str) {
        let other = self.other();
        // A deploy that was killed is brought to where it was first.
        self.crowd.expect(other);
        self.crowd.expect(self.serves);
        let ran = run(self.stage, "deploy", other, fault).await;
        ran.refuses(&["the settings are incomplete"]);
    }

    async fn all_serve(&self, release: u64) -> bool {
        let mut all = true;
        for host in self.hosts {
            all &= self.stage.serves(host).await == Ok(release);
        }
        all
    }

    /// All hosts serve one of these.
    async fn must_all_serve(&mut self, releases: &[u64]) {
        let first = self.stage.serves(self.hosts[0]).await;
        for host in self.hosts {
            assert_eq!(self.stage.serves(host).await, first, "{host}");
        }
        self.serves = first.unwrap();
        assert!(releases.contains(&self.serves), "{} serves", self.serves);
        self.crowd.expect(self.serves);
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

async fn run(stage: &Stage, verb: &str, release: u64, fault: &str) -> Ran {
    let release = release.to_string();
    let variables = [("RELEASE", release.as_str()), ("FAULT", fault)];
    let arguments = [verb, "prod", WAIT[0], WAIT[1]];
    stage.run(&arguments, &variables).await
}

/// Without order, and the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}
