//! Routes that belong to somebody: all of an owner's change in one step, and nobody else's do.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{
    Bench, PATIENCE, Steps, Target, ask, client, free_port, get, listen, quick, release, route,
};
use edge::spec::RouteSpec;
use edge::{Edge, Event, Set, Settings, Span};

fn of(owner: &str, routes: Vec<RouteSpec>) -> Set {
    Set {
        owner: Some(owner.parse().unwrap()),
        ..quick(routes)
    }
}

fn owners(edge: &Edge) -> Vec<(SocketAddr, Option<String>)> {
    let routes = edge.status().routes;
    let owner = |route: &edge::RouteStatus| route.owner.as_ref().map(ToString::to_string);
    routes
        .iter()
        .map(|route| (route.route.listen.0, owner(route)))
        .collect()
}

#[tokio::test]
async fn a_set_is_all_that_its_owner_has() {
    let bench = Bench::new().await;
    let (one, two) = (Target::start(1).await, Target::start(2).await);
    let (a, b, c, hand) = (free_port(), free_port(), free_port(), free_port());
    let edge = &bench.edge;
    let both = vec![route(a, &[one.address]), route(b, &[one.address])];
    edge.set(of("shop/prod", both), |_| {}).await.unwrap();
    let other = vec![route(c, &[one.address])];
    edge.set(of("blog/prod", other), |_| {}).await.unwrap();
    edge.set(quick(vec![route(hand, &[one.address])]), |_| {})
        .await
        .unwrap();

    let next = vec![route(a, &[two.address])];
    edge.set(of("shop/prod", next), |_| {}).await.unwrap();
    assert_eq!(release(a).await, Some(2));
    assert_eq!(release(b).await, None, "it is not the owner's any more");
    assert_eq!(
        (release(c).await, release(hand).await),
        (Some(1), Some(1)),
        "others' routes stay"
    );
    let mut expected = vec![
        (a, Some("shop/prod".to_owned())),
        (c, Some("blog/prod".to_owned())),
        (hand, None),
    ];
    expected.sort();
    assert_eq!(owners(edge), expected);

    for taken in [c, hand] {
        let greedy = vec![route(a, &[one.address]), route(taken, &[two.address])];
        let refused = edge.set(of("shop/prod", greedy), |_| {}).await.unwrap_err();
        assert!(refused.to_string().contains("left alone"), "{refused}");
        assert_eq!((release(a).await, release(taken).await), (Some(2), Some(1)));
    }

    edge.set(of("shop/prod", Vec::new()), |_| {}).await.unwrap();
    assert_eq!((release(a).await, release(c).await), (None, Some(1)));
    edge.stop(Duration::ZERO).await;
    let again = Edge::start(Settings::new(bench.folder.path())).await;
    let mut left = vec![(c, Some("blog/prod".to_owned())), (hand, None)];
    left.sort();
    assert_eq!(owners(&again.unwrap()), left, "owners are written down");
}

/// A container that comes back has its address again, so its route is as it shall be; but the edge may have
/// found nobody there meanwhile, and may still be waiting for an answer.
#[tokio::test]
async fn a_route_that_stays_leads_to_a_target_that_is_back() {
    let bench = Bench::new().await;
    let one = Target::start(1).await;
    let a = free_port();
    let set = || {
        let mut spec = route(a, &[one.address]);
        spec.health.timeout = Span::seconds(5);
        of("shop/prod", vec![spec])
    };
    bench.edge.set(set(), |_| {}).await.unwrap();
    one.kill();
    let begin = Instant::now();
    while bench.edge.status().routes[0].targets[0].healthy {
        assert!(begin.elapsed() < PATIENCE, "it is never found ill");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let silent = listen(one.address).await;
    let (held, _) = silent.accept().await.unwrap();
    drop(silent);
    let _back = Target::start_on(one.address, 2, false).await;
    bench.edge.set(set(), |_| {}).await.unwrap();
    assert_eq!(release(a).await, Some(2), "it serves at once");
    drop(held);
    for _ in 0..40 {
        assert_eq!(
            release(a).await,
            Some(2),
            "what was found before does not count"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_port_of_a_route_that_is_gone_is_free() {
    let bench = Bench::new().await;
    let one = Target::start(1).await;
    let (a, b) = (free_port(), free_port());
    for round in 0..50 {
        let routes = vec![route(a, &[one.address]), route(b, &[one.address])];
        let both = bench.edge.set(of("shop/prod", routes), |_| {}).await;
        both.unwrap();
        let first = vec![route(a, &[one.address])];
        let one_of_both = bench.edge.set(of("shop/prod", first), |_| {}).await;
        one_of_both.unwrap();
        let bound = std::net::TcpListener::bind(b);
        assert!(bound.is_ok(), "round {round}: {bound:?}");
    }
}

#[tokio::test]
async fn what_is_as_it_shall_be_is_not_disturbed() {
    let bench = Bench::new().await;
    let (one, two) = (Target::start(1).await, Target::start(2).await);
    let (a, b) = (free_port(), free_port());
    let set = |target: &Target| {
        let routes = vec![route(a, &[one.address]), route(b, &[target.address])];
        of("shop/prod", routes)
    };
    bench.edge.set(set(&one), |_| {}).await.unwrap();
    let generation = |listen: SocketAddr| {
        let routes = bench.edge.status().routes;
        let found = routes.iter().find(|route| route.route.listen.0 == listen);
        found.unwrap().generation
    };
    let (before_a, before_b) = (generation(a), generation(b));
    let steps = Steps::default();
    bench.edge.set(set(&two), steps.tell()).await.unwrap();
    assert_eq!(generation(a), before_a);
    assert!(generation(b) > before_b);
    assert_eq!((release(a).await, release(b).await), (Some(1), Some(2)));
    assert!(steps.get().contains(&Event::Checking { targets: 1 }));

    one.kill();
    let unchanged = bench.edge.set(set(&two), |_| {}).await;
    assert!(
        unchanged.is_ok(),
        "nothing was to be checked: {unchanged:?}"
    );
}

#[tokio::test]
async fn an_address_is_empty_when_its_last_request_is_answered() {
    let bench = Bench::new().await;
    let (one, two) = (Target::start(1).await, Target::start(2).await);
    let set = |target: &Target| of("shop/prod", vec![bench.route(&[target.address])]);
    bench.edge.set(set(&one), |_| {}).await.unwrap();
    let mut sender = client(bench.address).await;
    let asking = tokio::spawn(async move { ask(&mut sender, get("/slow/500")).await });
    while bench.edge.status().routes[0].in_flight == 0 {
        assert!(!asking.is_finished(), "it was to be slow");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let edge = bench.edge.clone();
    let mut next = set(&two);
    next.watch = Span::millis(100);
    let setting = tokio::spawn(async move { edge.set(next, |_| {}).await });
    while release(bench.address).await != Some(2) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Both targets have one address: what counts is that the old one's request is waited for.
    let left = bench
        .edge
        .emptied(&[one.address.ip()], Span::seconds(30))
        .await;
    assert_eq!(left, 0);
    let answer = tokio::time::timeout(Duration::from_secs(5), asking).await;
    assert_eq!(answer.unwrap().unwrap().unwrap().1, 1);
    setting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_probe_asks_as_a_set_would() {
    let bench = Bench::new().await;
    let (one, nobody) = (Target::start(1).await, free_port());
    let routes = [bench.route(&[one.address])];
    edge::probe(&routes, Span::seconds(5)).await.unwrap();
    let routes = [bench.route(&[one.address, nobody])];
    let ill = edge::probe(&routes, Span::millis(300)).await.unwrap_err();
    assert!(ill.to_string().contains(&nobody.to_string()), "{ill}");
}
