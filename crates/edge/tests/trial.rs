//! Targets on trial: those before them stand by, and serve again when the new ones fail.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Bench, Steps, Target, ask, client, get, quick, release};
use edge::{EdgeError, Event, Set, Span};
use tokio::task::JoinHandle;

const LONG: Span = Span::seconds(600);

/// The second target has taken the place of the first, which stands by.
async fn on_trial(
    bench: &Bench,
    first: &Target,
    second: &Target,
    watch: Span,
) -> JoinHandle<Result<(), EdgeError>> {
    let set = |target: &Target| quick(vec![bench.route(&[target.address])]);
    bench.edge.set(set(first), |_| {}).await.unwrap();
    let next = Set {
        watch,
        ..set(second)
    };
    let (edge, steps) = (bench.edge.clone(), Steps::default());
    let setting = tokio::spawn({
        let tell = steps.tell();
        async move { edge.set(next, tell).await }
    });
    let is_swapped = |step: &Event| matches!(step, Event::Swapped { .. });
    while !steps.get().iter().any(is_swapped) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    setting
}

#[tokio::test]
async fn who_fails_on_trial_is_told() {
    let bench = Bench::new().await;
    let (one, two) = (Target::start(1).await, Target::start(2).await);
    let setting = on_trial(&bench, &one, &two, LONG).await;
    two.kill();
    assert_eq!(
        release(bench.address).await,
        Some(1),
        "the first request after it is answered as well"
    );
    assert!(setting.await.unwrap().is_err());
    let status = bench.edge.status();
    let fell_back = &status.routes[0].fell_back;
    assert_eq!(fell_back.len(), 1, "{status:?}");
    assert_eq!(fell_back[0].address, two.address);
    assert_eq!(status.routes[0].targets[0].address, one.address);

    let three = Target::start(3).await;
    let third = quick(vec![bench.route(&[three.address])]);
    bench.edge.set(third, |_| {}).await.unwrap();
    assert!(bench.edge.status().routes[0].fell_back.is_empty());
}

#[tokio::test]
async fn a_trial_ends_when_the_targets_before_are_to_be_emptied() {
    let bench = Bench::new().await;
    let (one, two) = (Target::start(1).await, Target::start(2).await);
    let setting = on_trial(&bench, &one, &two, LONG).await;
    bench.edge.emptied(&[one.address.ip()], LONG).await;
    setting.await.unwrap().unwrap();
    two.kill();
    let answer = ask(&mut client(bench.address).await, get("/")).await;
    let status = answer.unwrap().0;
    assert!(status >= 502, "{status}: nobody stands by");
    assert!(bench.edge.status().routes[0].fell_back.is_empty());
}

#[tokio::test]
async fn a_set_that_leaves_nobody_fails() {
    let bench = Bench::new().await;
    let (one, two) = (Target::start(1).await, Target::start(2).await);
    let setting = on_trial(&bench, &one, &two, Span::seconds(5)).await;
    one.kill();
    two.kill();
    let failure = setting.await.unwrap().unwrap_err();
    let nobody = failure.to_string().contains("do not answer either");
    assert!(nobody, "{failure}");
}
