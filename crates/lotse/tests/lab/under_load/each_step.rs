//! The deployer of a new release is killed before and after each of its steps: the site serves through
//! it, the next `lotse deploy` or `rollback` ends right, and no volume loses anything.

use super::crowd::{self, Crowd};
use super::data;
use super::killed::{RATE, kill_at, run, settings};
use super::project;
use super::stage::{Stage, WEB};

const HOSTS: &[&str] = &[WEB[0]];

/// The short form takes every so many-th beginning or end of a step.
const APART: usize = 7;

/// A site to which only releases come that its host has never seen.
struct Site<'a> {
    stage: &'a Stage,
    crowd: Crowd,
    /// The releases that have been in force, as rollbacks go through them; the last one is.
    past: Vec<u64>,
    newest: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployer_killed_at_any_step_leaves_a_site_that_serves_and_mends() {
    let _beside = crate::beside_others().await;
    let Some(stage) = Stage::of("killed", HOSTS).await else {
        return;
    };
    let mut site = Site::open(&stage).await;
    let apart = if crate::is_long() { 1 } else { APART };
    let mut killed = 0;
    for boundary in (1..).step_by(apart) {
        if !site.kill_at(boundary).await {
            break;
        }
        killed += 1;
        let when = format!("killed at boundary {boundary}");
        site.must_serve(&when).await;
        match killed % 2 {
            0 => site.rolls_back(&when).await,
            _ => site.deploys(&when).await,
        }
        data::must_be_there(&stage, HOSTS, &when);
    }
    println!("killed at {killed} places between steps");
    assert!(killed > 4, "a deploy has more steps than that");
    let sent = site.crowd.leave_content(RATE).await;
    println!("{sent} requests, none failed");
}

impl<'a> Site<'a> {
    async fn open(stage: &'a Stage) -> Self {
        project::write(&stage.project(), &settings(HOSTS));
        stage.push(1);
        run(stage, "deploy", 1, "").await.succeeds();
        data::mark(stage, HOSTS[0]);
        Self {
            stage,
            crowd: Crowd::come_to(stage, HOSTS, &crowd::small(RATE), 1),
            past: vec![1],
            newest: 1,
        }
    }

    fn in_force(&self) -> u64 {
        *self.past.last().unwrap()
    }

    /// Kills the deployer of a new release. Returns whether it had not come to its end before.
    async fn kill_at(&mut self, boundary: usize) -> bool {
        self.newest += 1;
        self.stage.push(self.newest);
        self.crowd.expect(self.newest);
        self.crowd.expect(self.in_force());
        kill_at(self.stage, self.newest, boundary).await
    }

    /// The new release or the one before it, and nothing has failed.
    async fn must_serve(&self, when: &str) {
        let serves = self.stage.serves(HOSTS[0]).await.unwrap();
        let known = [self.newest, self.in_force()];
        assert!(known.contains(&serves), "{when}: {serves} serves");
        self.crowd.must_be_well(when);
    }

    /// What was cut off comes to its end.
    async fn deploys(&mut self, when: &str) {
        self.crowd.expect(self.newest);
        run(self.stage, "deploy", self.newest, "").await.succeeds();
        let serves = self.stage.serves(HOSTS[0]).await.unwrap();
        assert_eq!(serves, self.newest, "{when}");
        self.past.push(serves);
    }

    /// Back to what was in force; or to the release before it, where the kill came before anything was
    /// written down.
    async fn rolls_back(&mut self, when: &str) {
        let before = self.past[self.past.len() - 2];
        self.crowd.expect(before);
        run(self.stage, "rollback", 0, "").await.succeeds();
        let serves = self.stage.serves(HOSTS[0]).await.unwrap();
        let known = [self.in_force(), before];
        assert!(known.contains(&serves), "{when}: {serves} serves");
        if serves == before {
            self.past.pop();
        }
        self.crowd.expect(serves);
    }
}
