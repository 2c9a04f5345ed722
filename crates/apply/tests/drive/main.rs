//! Rollouts that are carried out by hands which misbehave on command.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod hand;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apply::drive::{Progress, drive};
use deploy::release::{Image, ImageFrom, Source};
use deploy::span::Span;
use deploy::{Desired, Draft, Environment, HostName, Outcome, Problem, Reason, Request};
use hand::{Does, Hand, Site};
use model::Digest;
use tokio::sync::mpsc;

const COMPOSE: &str = "
services:
  web:
    image: web:1
    ports: ['8080:80']
";

/// What came of a rollout.
struct Run {
    outcome: Outcome,
    progress: Vec<Progress>,
    site: Arc<Site>,
}

/// A rollout to come.
struct Story {
    site: Site,
    environment: Environment,
    /// The beginning of the step in the middle of which the user wants it to end.
    interrupt_at: Option<&'static str>,
    away: Duration,
}

fn hosts(count: usize) -> Vec<HostName> {
    let names = (1..=count).map(|index| format!("ssh://web{index}").parse().unwrap());
    names.collect()
}

fn story(count: usize) -> Story {
    Story {
        site: Site::default(),
        environment: Environment {
            hosts: hosts(count),
            monitor: Some(Span::millis(100)),
            ..Environment::default()
        },
        interrupt_at: None,
        away: Duration::from_secs(60),
    }
}

impl Story {
    /// What a host does when it is given a step that begins so.
    fn when(mut self, host: &str, step: &'static str, does: Does) -> Self {
        self.site.add(host, step, does);
        self
    }

    async fn run(self) -> Run {
        let site = Arc::new(self.site);
        let names = self.environment.hosts.clone();
        let hands: BTreeMap<HostName, Hand> = names
            .into_iter()
            .map(|name| (name.clone(), Hand::new(&site, &name)))
            .collect();
        let request = Request {
            name: "prod".parse().unwrap(),
            environment: self.environment,
            desired: Desired::Deploy(Box::new(draft())),
            holder: "operator at desk".parse().unwrap(),
            edge: "0.1.0".to_owned(),
        };
        let (interrupt, mut interrupts) = mpsc::channel(1);
        let mut progress = Vec::new();
        let mut tell = |event: Progress| {
            if let (Progress::Said { text, .. }, Some(at)) = (&event, self.interrupt_at)
                && text.starts_with(at)
            {
                // One that was not heard yet is enough.
                let _full = interrupt.try_send(());
            }
            progress.push(event);
        };
        let driving = drive(request, hands, self.away, &mut interrupts, &mut tell);
        let outcome = tokio::time::timeout(Duration::from_secs(120), driving).await;
        Run {
            outcome: outcome.expect("a rollout ends"),
            progress,
            site,
        }
    }
}

fn draft() -> Draft {
    let files = BTreeMap::from([("/shop/compose.yml".to_owned(), COMPOSE.to_owned())]);
    let request = compose::Request {
        directory: "/shop".to_owned(),
        files: vec!["compose.yml".to_owned()],
        ..compose::Request::default()
    };
    let project = compose::load(&request, &files).project.unwrap();
    let image = Image {
        name: "web:1".to_owned(),
        digest: Digest::of(b"web"),
        from: ImageFrom::Registry,
    };
    let source = Source {
        environment: "prod".parse().unwrap(),
        label: None,
        values: BTreeMap::new(),
        images: BTreeMap::from([("web".parse().unwrap(), Ok(image))]),
        files: BTreeMap::new(),
    };
    Draft::resolve(&project, source)
}

impl Run {
    /// The steps in the order in which they began, of one host or of all.
    fn steps(&self, of: &str) -> Vec<String> {
        let begun = self.progress.iter().filter_map(|event| match event {
            Progress::Begun { host, step, .. } => Some((host.short(), step.to_string())),
            _ => None,
        });
        begun
            .filter(|(host, _)| of.is_empty() || *host == of)
            .map(|(host, step)| format!("{host}: {step}"))
            .collect()
    }

    fn index(&self, line: &str) -> usize {
        let steps = self.steps("");
        let found = steps.iter().position(|step| step.starts_with(line));
        found.unwrap_or_else(|| panic!("no {line:?} in {steps:#?}"))
    }

    fn count(&self, wanted: fn(&Progress) -> bool) -> usize {
        self.progress.iter().filter(|event| wanted(event)).count()
    }

    /// Why hosts went back.
    fn reasons(&self) -> Vec<Reason> {
        match &self.outcome {
            Outcome::RolledBack { causes, .. } => {
                causes.iter().map(|cause| cause.reason.clone()).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn hosts_come_one_after_the_other_and_all_is_told() {
    let run = story(2).run().await;
    assert!(run.outcome.is_success(), "{:?}", run.outcome);
    let order = [
        "web1: lock",
        "web2: lock",
        "web1: pull",
        "web1: start",
        "web1: switch",
        "web1: watch",
        "web2: start",
        "web2: switch",
        "web1: write down: release 1 is in force",
        "web1: unlock",
    ];
    let indices: Vec<usize> = order.iter().map(|line| run.index(line)).collect();
    assert!(indices.is_sorted(), "{:#?}", run.steps(""));
    assert_eq!(
        run.count(|event| matches!(event, Progress::Planned { .. })),
        1
    );
    let ended = |event: &Progress| {
        matches!(
            event,
            Progress::Done { .. } | Progress::Failed { .. } | Progress::Stopped { .. }
        )
    };
    assert_eq!(run.count(ended), run.steps("").len());
    assert!(matches!(
        run.progress.last(),
        Some(Progress::Finished { .. })
    ));
    for event in &run.progress {
        serde_json::to_string(event).unwrap();
    }
}

#[tokio::test]
async fn hosts_of_one_batch_work_side_by_side() {
    let mut story = story(3);
    story.environment.parallelism = Some(0);
    // None goes on before all have come.
    for host in ["web1", "web2", "web3"] {
        story = story.when(host, "start", Does::Meet(3));
    }
    let run = story.run().await;
    assert!(run.outcome.is_success(), "{:?}", run.outcome);
}

#[tokio::test]
async fn an_interruption_stops_a_pull_and_gives_the_locks_back() {
    let mut story = story(2).when("web1", "pull", Does::Hang);
    story.interrupt_at = Some("pull");
    let run = story.run().await;
    assert_eq!(run.reasons(), [Reason::Interrupted]);
    assert_eq!(run.site.dropped(), ["web1: pull web:1"]);
    assert_eq!(
        run.count(|event| matches!(event, Progress::Interrupted { goes_back: true })),
        1
    );
    for host in ["web1", "web2"] {
        assert!(run.steps(host).last().unwrap().ends_with("unlock"));
    }
    assert!(!run.steps("").iter().any(|step| step.contains("start")));
}

#[tokio::test]
async fn what_cannot_be_stopped_comes_to_its_end_first() {
    let mut story = story(1).when("web1", "start", Does::Take(Duration::from_millis(300)));
    story.interrupt_at = Some("start");
    let run = story.run().await;
    assert_eq!(run.reasons(), [Reason::Interrupted]);
    assert_eq!(run.site.dropped(), Vec::<String>::new());
}

#[tokio::test]
async fn leases_are_renewed_until_the_unlock() {
    let mut story = story(2).when("web1", "start", Does::Renewals(5));
    story.environment.lease = Some(Span::millis(600));
    let run = story.run().await;
    assert!(run.outcome.is_success(), "{:?}", run.outcome);
    let renewed = run.site.renewals();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        run.site.renewals(),
        renewed,
        "nothing is renewed after the end"
    );
}

#[tokio::test]
async fn a_lock_that_somebody_took_ends_all_of_it() {
    let mut story = story(2).when("web2", "start", Does::Hang).when(
        "web2",
        "renew",
        Does::LoseLock("colleague at desk"),
    );
    story.environment.lease = Some(Span::millis(300));
    let run = story.run().await;
    let Outcome::LockLost { host, by } = &run.outcome else {
        panic!("{:?}", run.outcome)
    };
    assert_eq!(host.short(), "web2");
    assert_eq!(by.as_ref().unwrap().as_str(), "colleague at desk");
    assert!(!run.steps("").iter().any(|step| step.contains("unlock")));
}

#[tokio::test]
async fn a_host_that_is_away_for_a_moment_is_waited_for() {
    let run = story(2).when("web2", "start", Does::Away(2)).run().await;
    assert!(run.outcome.is_success(), "{:?}", run.outcome);
    assert_eq!(
        run.count(|event| matches!(event, Progress::Retrying { .. })),
        2
    );
}

#[tokio::test]
async fn a_host_that_stays_away_sends_the_others_back() {
    let mut story = story(2).when("web2", "start", Does::Away(usize::MAX));
    for step in ["renew", "close", "drain", "unlock"] {
        story = story.when("web2", step, Does::Away(usize::MAX));
    }
    story.away = Duration::from_millis(700);
    let run = story.run().await;
    let reasons = run.reasons();
    assert!(
        matches!(reasons[..], [Reason::Unreachable { .. }]),
        "{reasons:?}"
    );
    assert!(
        run.steps("web1")
            .iter()
            .any(|step| step.ends_with("close all ports"))
    );
    // It is waited for once, not at each step.
    assert_eq!(
        run.count(|event| matches!(event, Progress::Retrying { .. })),
        1
    );
}

#[tokio::test]
async fn nothing_is_done_on_a_host_whose_lease_has_run_out() {
    let mut story =
        story(2)
            .when("web2", "start", Does::Hang)
            .when("web2", "renew", Does::Away(usize::MAX));
    story.environment.lease = Some(Span::millis(300));
    story.away = Duration::from_millis(700);
    let run = story.run().await;
    let reasons = run.reasons();
    assert!(
        matches!(&reasons[..], [Reason::Unreachable { message, .. }] if message.contains("expired")),
        "{reasons:?}"
    );
    assert_eq!(
        run.count(|event| matches!(event, Progress::LeaseLate { .. })),
        1
    );
    assert!(
        run.steps("web1")
            .iter()
            .any(|step| step.ends_with("close all ports"))
    );
}

#[tokio::test]
async fn who_finds_a_lock_is_told_at_once() {
    let run = story(2)
        .when("web1", "lock", Does::Locked("colleague at desk"))
        .run()
        .await;
    let Outcome::Refused(problems) = &run.outcome else {
        panic!("{:?}", run.outcome)
    };
    assert!(
        matches!(&problems.0[..], [Problem::Locked { holder, .. }] if holder.as_str() == "colleague at desk")
    );
    assert_eq!(run.steps("").len(), 1);
}
