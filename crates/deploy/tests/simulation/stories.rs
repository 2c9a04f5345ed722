//! Deploys and rollbacks as stories, each with its broken case.

use compose::project::FailureAction;
use deploy::host::State;
use deploy::name::ReleaseNumber;
use deploy::release::Kind;
use deploy::span::Span;
use deploy::{Consequence, Desired, Leftover, Outcome, Problem, Problems, Reason, Step, Verdict};

use crate::driver::{Blow, Driver, Run};
use crate::edge::answer;
use crate::engine::Behaviour;
use crate::project::{App, image};
use crate::world::World;

impl World {
    /// All hosts serve this release, and nothing else runs; they agree on what was before.
    pub fn assert_serves(&self, number: u64) {
        let number = ReleaseNumber(number);
        let mut trails = self.hosts.values().map(|host| &host.record.before);
        let first = trails.next().unwrap();
        assert!(trails.all(|trail| trail == first), "ways back differ");
        for (name, seen) in self.observe() {
            let seen = seen.unwrap();
            assert_eq!(seen.serving(), Some(number), "{name}");
            assert_eq!(seen.record.in_force, Some(number), "{name}");
            let up: Vec<_> = seen
                .stacks
                .keys()
                .filter(|other| seen.is_stack_up(**other))
                .collect();
            assert_eq!(up, [&number], "{name}");
            assert_eq!(seen.record.under_way, None, "{name}");
            assert!(seen.lock.is_none_or(|lock| !lock.is_live()), "{name}");
            let release = &seen.record.releases[&number].release;
            let standing = release
                .of_kind(Kind::Standing)
                .map(|(service, member)| (service, &member.hash));
            let found = seen
                .standing
                .values()
                .flatten()
                .filter(|found| found.state == State::Running);
            assert!(
                standing.eq(found.map(|found| (&found.service, &found.hash))),
                "{name}: standing services"
            );
            let host = &self.hosts[&name];
            let routes = &host.edge.as_ref().unwrap().routes;
            assert!(
                routes
                    .values()
                    .all(|(_, targets)| answer(&host.engine, targets, self.now)),
                "{name}"
            );
            assert!(
                routes
                    .keys()
                    .eq(release.routes(None).iter().map(|route| &route.listen)),
                "{name}: routes"
            );
            assert!(
                seen.stacks.len() <= 3,
                "{name} keeps {:?}",
                seen.stacks.keys()
            );
        }
    }

    /// These releases were in force before, the latest last.
    pub fn assert_before(&self, numbers: &[u64]) {
        for (name, host) in &self.hosts {
            let before: Vec<u64> = host.record.before.iter().map(|number| number.0).collect();
            assert_eq!(before, numbers, "{name}");
        }
    }

    /// A world in which these versions were deployed one after the other.
    pub fn after(hosts: usize, versions: &[u32]) -> Self {
        let mut world = Self::new(hosts);
        for version in versions {
            let run = world.deploy(&App::new(*version)).run();
            assert!(run.outcome.as_ref().unwrap().is_success(), "{run:?}");
        }
        world
    }
}

fn rolled_back(run: &Run) -> (&deploy::Cause, &[Leftover]) {
    match run.outcome.as_ref() {
        Some(Outcome::RolledBack {
            causes, leftovers, ..
        }) => (&causes[0], leftovers),
        other => panic!("not rolled back: {other:?}"),
    }
}

fn refused(run: &Run) -> &[Problem] {
    match run.outcome.as_ref() {
        Some(Outcome::Refused(Problems(problems))) => problems,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_release_comes_and_goes_back_on_1_3_and_10_hosts() {
    for hosts in [1, 3, 10] {
        for parallelism in [1, 3, 0] {
            let mut world = World::new(hosts);
            for version in [1, 2, 3] {
                let run = world
                    .deploy(&App::new(version))
                    .with(|env| env.parallelism = Some(parallelism))
                    .run();
                assert!(run.outcome.unwrap().is_success());
                world.assert_serves(u64::from(version));
            }
            let database = world
                .hosts
                .values()
                .map(|host| host.engine.containers[0].id);
            assert!(database.clone().count() == hosts);
            let run = world.rollback().run();
            assert_eq!(
                run.outcome,
                Some(Outcome::Done {
                    release: ReleaseNumber(2),
                    leftovers: Vec::new()
                })
            );
            world.assert_serves(2);
            for host in world.hosts.values() {
                let stacks: Vec<_> = host.seen_stacks();
                assert_eq!(stacks, [2, 3], "one old stack is kept");
                assert!(
                    host.engine.images.contains(&image("ui:3"))
                        && !host.engine.images.contains(&image("ui:1"))
                );
            }
            let run = world.rollback().run();
            assert_eq!(
                run.outcome,
                Some(Outcome::Done {
                    release: ReleaseNumber(1),
                    leftovers: Vec::new()
                })
            );
            world.assert_serves(1);
        }
    }
}

impl crate::world::Host {
    pub fn seen_stacks(&self) -> Vec<u64> {
        let mut stacks: Vec<u64> = self
            .engine
            .containers
            .iter()
            .filter_map(|found| match found.place {
                deploy::release::Place::Stack(number) => Some(number.0),
                deploy::release::Place::Standing => None,
            })
            .collect();
        stacks.dedup();
        stacks.sort_unstable();
        stacks.dedup();
        stacks
    }
}

#[test]
fn what_is_in_force_is_left_alone() {
    let mut world = World::after(3, &[1]);
    let before = world.observe();
    let run = world.deploy(&App::new(1)).run();
    assert!(run.outcome.unwrap().is_success());
    let changing = run
        .steps
        .iter()
        .filter(|(_, step)| !matches!(step, Step::Lock(_) | Step::Unlock { .. }));
    assert_eq!(changing.count(), 0);
    let after = world.observe();
    for (host, seen) in before {
        assert_eq!(seen.unwrap().record, after[&host].as_ref().unwrap().record);
    }
}

#[test]
fn a_standing_service_is_replaced_only_when_it_changed() {
    let mut world = World::after(2, &[1]);
    let id = |world: &World| {
        let host = world.hosts.values().next().unwrap();
        let service = "db".parse().unwrap();
        host.engine
            .of(deploy::release::Place::Standing, &service)
            .next()
            .unwrap()
            .id
    };
    let before = id(&world);
    world.deploy(&App::new(2)).run();
    assert_eq!(id(&world), before);
    let run = world
        .deploy(&App {
            database: 2,
            ..App::new(3)
        })
        .run();
    assert!(run.outcome.unwrap().is_success());
    assert_ne!(id(&world), before);
    world.assert_serves(3);
    world.rollback().run();
    world.assert_serves(2);
}

#[test]
fn a_bad_release_never_serves() {
    type Spoil = fn(&mut World);
    let cases: [(&str, Spoil, &str, &str); 9] = [
        (
            "image that exits",
            |world| world.behave("ui:2", Behaviour::Exits(100, 3)),
            "ui",
            "ended with status 3",
        ),
        (
            "image that exits with 0",
            |world| world.behave("worker:2", Behaviour::Exits(300, 0)),
            "worker",
            "once: true",
        ),
        (
            "never healthy",
            |world| world.behave("api:2", Behaviour::NeverHealthy),
            "api",
            "unhealthy",
        ),
        (
            "too slow",
            |world| world.behave("ui:2", Behaviour::Slow(60_000)),
            "ui",
            "not well within 5s",
        ),
        (
            "nobody listens",
            |world| world.behave("front:2", Behaviour::NoAnswer),
            "front",
            "connection refused",
        ),
        (
            "migration fails",
            |world| world.behave("migrate:2", Behaviour::Exits(0, 1)),
            "migrate",
            "ended with status 1",
        ),
        (
            "crash after switch",
            |world| world.behave("api:2", Behaviour::CrashesInService(700)),
            "api",
            "status 139",
        ),
        (
            "database does not start",
            |world| world.behave("db:2", Behaviour::Exits(50, 1)),
            "db",
            "ended with status 1",
        ),
        (
            "only host 2 is broken",
            |world| {
                let host = world.hosts.values_mut().nth(1).unwrap();
                host.engine
                    .behaviours
                    .insert(image("ui:2"), Behaviour::Exits(100, 3));
            },
            "ui",
            "ended with status 3",
        ),
    ];
    for (name, spoil, service, reason) in cases {
        for parallelism in [1, 0] {
            let mut world = World::after(3, &[1]);
            spoil(&mut world);
            let app = App {
                database: if service == "db" { 2 } else { 1 },
                ..App::new(2)
            };
            let run = world
                .deploy(&app)
                .with(|env| env.parallelism = Some(parallelism))
                .run();
            let (cause, leftovers) = rolled_back(&run);
            assert_eq!(
                cause.service.as_ref().map(|service| service.as_str()),
                Some(service),
                "{name}: {cause}"
            );
            assert!(cause.to_string().contains(reason), "{name}: {cause}");
            let says = matches!(cause.reason, Reason::Exited { .. });
            assert!(
                !says || !cause.last_lines.is_empty(),
                "{name}: no last lines"
            );
            assert_eq!(leftovers, [], "{name}");
            world.assert_serves(1);
            let host = world.hosts.values().next().unwrap();
            let verdict = &host.record.releases[&ReleaseNumber(2)].verdict;
            assert!(
                matches!(verdict, Verdict::Failed(why) if why.contains(service)),
                "{name}"
            );
            // The next good one is not disturbed by what is left of it.
            let run = world.deploy(&App::new(3)).run();
            assert!(run.outcome.unwrap().is_success(), "{name}");
            world.assert_serves(3);
            world.rollback().run();
            world.assert_serves(1);
        }
    }
}

#[test]
fn a_first_release_that_fails_leaves_nothing_open() {
    let mut world = World::new(3);
    let last = world.hosts.values_mut().nth(2).unwrap();
    last.engine
        .behaviours
        .insert(image("ui:1"), Behaviour::Exits(100, 3));
    let run = world.deploy(&App::new(1)).run();
    let (cause, leftovers) = rolled_back(&run);
    assert_eq!(cause.host.as_ref().unwrap().short(), "web03");
    assert_eq!(leftovers, []);
    for host in world.hosts.values() {
        assert!(host.edge.as_ref().unwrap().routes.is_empty());
        assert!(
            host.engine
                .containers
                .iter()
                .all(|found| !found.is_up(world.now))
        );
    }
    assert_eq!(
        refused(&world.rollback().run()),
        [Problem::NothingBefore { in_force: None }]
    );
    world.behave("ui:1", Behaviour::Fine);
    for host in world.hosts.values_mut() {
        host.engine.containers.clear();
    }
    assert!(
        world
            .deploy(&App::new(1))
            .run()
            .outcome
            .unwrap()
            .is_success()
    );
    world.assert_serves(1);
}

#[test]
fn steps_that_fail_end_with_the_old_release() {
    for (host, line, reason) in [
        (1, "pull ui", "the disk is full"),
        (2, "make the network", "the disk is full"),
        (0, "make the volume shop_static-r2", "the disk is full"),
        (2, "start front", "the disk is full"),
        (1, "switch 8080 to front of stack 2", "the disk is full"),
        (
            0,
            "write down: release 2 is to follow 1",
            "the disk is full",
        ),
    ] {
        let mut world = World::after(3, &[1]);
        let mut driver = world.deploy(&App::new(2));
        driver.faults.push((host, line));
        let run = driver.run();
        let (cause, leftovers) = rolled_back(&run);
        assert!(cause.to_string().contains(reason), "{line}: {cause}");
        assert_eq!(leftovers, [], "{line}");
        world.assert_serves(1);
    }
}

#[test]
fn what_cannot_be_tidied_up_does_not_undo_a_good_release() {
    let mut world = World::after(2, &[1]);
    let mut driver = world.deploy(&App::new(2));
    driver.faults.push((1, "drain and stop stack 1"));
    match driver.run().outcome {
        Some(Outcome::Done {
            release: ReleaseNumber(2),
            leftovers,
        }) => {
            assert_eq!(leftovers.len(), 1);
            assert!(
                leftovers[0].message.contains("the disk is full"),
                "{leftovers:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(
        world
            .deploy(&App::new(2))
            .run()
            .outcome
            .unwrap()
            .is_success()
    );
    world.assert_serves(2);
}

fn is_stuck(leftover: &&Leftover) -> bool {
    leftover.consequence == Consequence::Stuck
}

#[test]
fn a_record_that_cannot_be_written_is_no_success_and_the_same_again_writes_it() {
    let write = "write down: release 2 is in force";
    let mut world = World::after(2, &[1]);
    let mut driver = world.deploy(&App::new(2));
    driver.faults.push((1, write));
    let outcome = driver.run().outcome.unwrap();
    assert!(
        outcome.is_success() && outcome.is_unwritten(),
        "{outcome:?}"
    );
    let serves = |seen: deploy::HostSeen| seen.serving() == Some(ReleaseNumber(2));
    assert!(
        world
            .observe()
            .into_values()
            .all(|seen| serves(seen.unwrap()))
    );
    let in_force = |world: &World| {
        let hosts = world.hosts.values();
        hosts
            .map(|host| host.record.in_force.unwrap().0)
            .collect::<Vec<_>>()
    };
    assert_eq!(in_force(&world), [2, 1]);
    // a rollback at once goes where it would have gone
    let mut back = world.clone();
    assert!(back.rollback().run().outcome.unwrap().is_success());
    back.assert_serves(1);

    let again = world.deploy(&App::new(2)).run().outcome.unwrap();
    assert!(again.is_success() && !again.is_unwritten(), "{again:?}");
    assert_eq!(in_force(&world), [2, 2]);
    assert!(
        world
            .deploy(&App::new(3))
            .run()
            .outcome
            .unwrap()
            .is_success()
    );
    assert!(world.rollback().run().outcome.unwrap().is_success());
    world.assert_serves(2);

    // and so it is on the way back
    let mut world = World::after(2, &[1, 2]);
    let mut driver = world.rollback();
    driver.faults.push((0, "write down: release 1 is in force"));
    assert!(driver.run().outcome.unwrap().is_unwritten());
    let again = world.rollback().run().outcome.unwrap();
    assert!(again.is_success() && !again.is_unwritten(), "{again:?}");
    assert_eq!(in_force(&world), [1, 1]);
    world.assert_serves(1);
}

#[test]
fn a_host_that_cannot_go_back_is_named() {
    let mut world = World::after(2, &[1]);
    let last = world.hosts.values_mut().nth(1).unwrap();
    last.engine
        .behaviours
        .insert(image("ui:2"), Behaviour::Exits(100, 3));
    let mut driver = world.deploy(&App::new(2));
    driver.faults.push((0, "switch 8080 to front of stack 1"));
    let run = driver.run();
    let (_, leftovers) = rolled_back(&run);
    let stuck: Vec<_> = leftovers.iter().filter(is_stuck).collect();
    assert_eq!(stuck.len(), 1);
    assert_eq!(stuck[0].host.short(), "web01");
    // It goes on serving what it has, whole, and the next rollback brings it home.
    assert!(world.rollback().run().outcome.unwrap().is_success());
    world.assert_serves(1);
}

#[test]
fn failure_actions_mean_what_compose_says() {
    let spoil = |world: &mut World| {
        let second = world.hosts.values_mut().nth(1).unwrap();
        second
            .engine
            .behaviours
            .insert(image("ui:2"), Behaviour::Exits(100, 3));
    };
    let serving = |world: &World| -> Vec<u64> {
        world
            .observe()
            .values()
            .map(|seen| seen.as_ref().unwrap().serving().unwrap().0)
            .collect()
    };
    let mut world = World::after(3, &[1]);
    spoil(&mut world);
    let run = world
        .deploy(&App::new(2))
        .with(|env| env.failure_action = Some(FailureAction::Pause))
        .run();
    assert!(
        matches!(run.outcome, Some(Outcome::Paused { ref causes, .. }) if causes.len() == 1),
        "{run:?}"
    );
    assert_eq!(serving(&world), [2, 1, 1]);
    assert!(world.rollback().run().outcome.unwrap().is_success());
    world.assert_serves(1);

    let mut world = World::after(3, &[1]);
    spoil(&mut world);
    let run = world
        .deploy(&App::new(2))
        .with(|env| env.failure_action = Some(FailureAction::Continue))
        .run();
    assert!(
        matches!(run.outcome, Some(Outcome::Partly { ref causes, .. }) if causes.len() == 1),
        "{run:?}"
    );
    assert_eq!(serving(&world), [2, 1, 2]);
    assert!(world.rollback().run().outcome.unwrap().is_success());
    world.assert_serves(1);
}

#[test]
fn two_deployers_do_not_mix() {
    let mut world = World::after(3, &[1]);
    let second = world.names()[1].clone();
    let holder: deploy::Holder = "operator at laptop".parse().unwrap();
    let until = world.now + 40_000;
    world.hosts.get_mut(&second).unwrap().lock = Some((holder.clone(), until));
    let run = world.deploy(&App::new(2)).run();
    match refused(&run) {
        [
            Problem::Locked {
                host,
                holder: found,
                ..
            },
        ] => assert_eq!((host, found), (&second, &holder)),
        other => panic!("{other:?}"),
    }
    assert!(
        world
            .hosts
            .values()
            .all(|host| host.lock.as_ref().is_none_or(|(found, _)| *found == holder))
    );
    world.assert_in_force(1);
    // The holder died.
    world.pass(50_000);
    assert!(
        world
            .deploy(&App::new(2))
            .run()
            .outcome
            .unwrap()
            .is_success()
    );
    world.assert_serves(2);
}

impl World {
    fn assert_in_force(&self, number: u64) {
        assert!(
            self.hosts
                .values()
                .all(|host| host.record.in_force == Some(ReleaseNumber(number)))
        );
    }
}

#[test]
fn an_interrupt_goes_back_at_any_time() {
    let mut after = 0;
    loop {
        after += if after < 300 { 50 } else { 250 };
        let mut world = World::after(2, &[1]);
        let mut driver = world.deploy(&App::new(2));
        driver.after = Some((after, Blow::Interrupt));
        match driver.run().outcome {
            Some(Outcome::RolledBack {
                causes, leftovers, ..
            }) => {
                assert_eq!(causes[0].reason, Reason::Interrupted);
                assert_eq!(leftovers, []);
                world.assert_serves(1);
            }
            Some(Outcome::Interrupted) => world.assert_serves(1),
            Some(Outcome::Done { .. }) => break world.assert_serves(2),
            other => panic!("{other:?}"),
        }
        assert!(after < 60_000);
    }
    assert!(after > 3000);
}

#[test]
fn a_host_that_is_away_is_named_before_anything_happens() {
    let mut world = World::after(3, &[1]);
    let second = world.names()[1].clone();
    world.hosts.get_mut(&second).unwrap().away = true;
    let run = world.deploy(&App::new(2)).run();
    assert!(matches!(refused(&run), [Problem::Unreachable { host, .. }] if *host == second));
    world.hosts.get_mut(&second).unwrap().away = false;
    world.assert_serves(1);
}

#[test]
fn the_pause_between_batches_is_kept() {
    let mut world = World::after(3, &[1]);
    let before = world.now;
    world.deploy(&App::new(2)).run();
    let without = world.now - before;
    let before = world.now;
    world
        .deploy(&App::new(3))
        .with(|env| env.delay = Some(Span::seconds(10)))
        .run();
    let pauses = world.now - before - without;
    assert!((20_000..20_200).contains(&pauses), "{pauses}");
}

#[test]
fn a_new_host_joins_an_environment() {
    let mut world = World::after(2, &[1, 2]);
    world.hosts.insert(
        "ssh://deploy@web03".parse().unwrap(),
        crate::world::Host::default(),
    );
    let run = world.deploy(&App::new(2)).run();
    assert!(run.outcome.unwrap().is_success());
    world.assert_serves(2);
    let other_hosts = run.steps.iter().filter(|(host, _)| host.short() != "web03");
    let changing =
        other_hosts.filter(|(_, step)| !matches!(step, Step::Lock(_) | Step::Unlock { .. }));
    assert_eq!(changing.count(), 0, "the others have it already");
    world.assert_before(&[1]);
}

/// Moves of one environment: `3` deploys version 3, `<` goes back, `<3` goes back to release 3. Then
/// what plain rollbacks bring, until there is nothing before.
fn check_the_way_back(moves: &str, back: &[u64]) {
    let mut world = World::new(2);
    for word in moves.split(' ') {
        let run = match word.strip_prefix('<') {
            Some("") => world.rollback().run(),
            Some(release) => {
                let release = ReleaseNumber(release.parse().unwrap());
                Driver::new(&mut world, Desired::BackTo(release)).run()
            }
            None => world.deploy(&App::new(word.parse().unwrap())).run(),
        };
        assert!(run.outcome.as_ref().unwrap().is_success(), "{moves}");
    }
    for release in back {
        let run = world.rollback().run();
        let outcome = run.outcome.as_ref();
        assert!(outcome.unwrap().is_success(), "{moves}: {outcome:?}");
        world.assert_serves(*release);
    }
    let run = world.rollback().run();
    let nothing = matches!(refused(&run), [Problem::NothingBefore { .. }]);
    assert!(nothing, "{moves}: {run:?}");
}

#[test]
fn a_rollback_goes_to_what_was_in_force_before() {
    for (moves, back) in [
        ("1", &[][..]),
        ("1 2 3", &[2, 1]),
        // An older release was deployed again.
        ("1 2 1", &[2, 1]),
        ("1 2 1 3", &[1, 2, 1]),
        // The same once more is not another one.
        ("1 2 2", &[1]),
        // What was taken back does not come again.
        ("1 2 3 <", &[1]),
        ("1 2 3 < 4", &[2, 1]),
        ("1 2 3 < 3", &[2, 1]),
        // By its number: the same as going back one by one.
        ("1 2 3 <1", &[]),
        ("1 2 1 <2", &[1]),
        // To one that was taken back: as if it were deployed.
        ("1 2 3 < <3", &[2, 1]),
    ] {
        check_the_way_back(moves, back);
    }
}

#[test]
fn what_failed_or_was_cut_off_is_not_on_the_way_back() {
    let mut world = World::after(2, &[1, 2]);
    let bad = image("api:3");
    for host in world.hosts.values_mut() {
        host.engine
            .behaviours
            .insert(bad.clone(), Behaviour::NeverHealthy);
    }
    rolled_back(&world.deploy(&App::new(3)).run());
    world.assert_serves(2);
    assert!(world.rollback().run().outcome.unwrap().is_success());
    world.assert_serves(1);
}

#[test]
fn a_release_can_be_named() {
    let mut world = World::after(2, &[1, 2, 3]);
    let run = Driver::new(&mut world, Desired::BackTo(ReleaseNumber(1))).run();
    assert!(run.outcome.unwrap().is_success());
    world.assert_serves(1);
    let run = Driver::new(&mut world, Desired::BackTo(ReleaseNumber(9))).run();
    assert_eq!(
        refused(&run),
        [Problem::ReleaseUnknown {
            number: ReleaseNumber(9)
        }]
    );
}

#[test]
fn containers_that_died_are_healed_by_the_same_release() {
    let mut world = World::after(2, &[1]);
    let host = world.hosts.values_mut().next().unwrap();
    host.engine
        .containers
        .retain(|found| found.service.as_str() != "worker");
    let run = world.deploy(&App::new(1)).run();
    assert!(run.outcome.unwrap().is_success());
    world.assert_serves(1);
    assert!(
        run.steps
            .iter()
            .all(|(_, step)| !matches!(step, Step::RunOnce { .. }))
    );
}

#[test]
fn a_service_changes_its_kind() {
    let usual = App::new(2);
    let stands = App {
        worker_stands: true,
        ..App::new(2)
    };
    let port = App {
        database_port: true,
        ..App::new(2)
    };
    let none = App {
        no_database: true,
        ..App::new(2)
    };
    let apps = [usual, stands, port, none];
    for before in &apps {
        for after in &apps {
            let after = App {
                version: 3,
                database: 2,
                ..after.clone()
            };
            let mut world = World::new(2);
            assert!(world.deploy(before).run().outcome.unwrap().is_success());
            world.assert_serves(1);
            let mut bad = world.clone();
            let last = bad.hosts.values_mut().nth(1).unwrap();
            last.engine
                .behaviours
                .insert(image("api:3"), Behaviour::NeverHealthy);
            let run = bad.deploy(&after).run();
            assert_eq!(rolled_back(&run).1, [], "{before:?} {after:?}");
            bad.assert_serves(1);
            assert!(
                world.deploy(&after).run().outcome.unwrap().is_success(),
                "{before:?} {after:?}"
            );
            world.assert_serves(2);
            assert!(world.rollback().run().outcome.unwrap().is_success());
            world.assert_serves(1);
        }
    }
}

#[test]
fn whoever_loses_the_lock_does_nothing_more() {
    for after in [200, 1000, 2500, 4000] {
        let mut world = World::after(2, &[1]);
        let mut driver = world.deploy(&App::new(2));
        driver.after = Some((after, Blow::LockTaken(1)));
        let run = driver.run();
        assert!(
            matches!(run.outcome, Some(Outcome::LockLost { ref host, .. }) if host.short() == "web02")
        );
        assert!(
            !run.steps
                .iter()
                .any(|(_, step)| matches!(step, Step::Unlock { .. }))
        );
        world.pass(61_000);
        assert!(world.rollback().run().outcome.unwrap().is_success());
        world.assert_serves(1);
    }
}

#[test]
fn a_host_that_is_cut_off_midway_is_named_and_brought_home_later() {
    let mut stuck = 0;
    for after in (200..6000).step_by(300) {
        let mut world = World::after(3, &[1]);
        let mut driver = world.deploy(&App::new(2));
        driver.after = Some((after, Blow::Cut(0)));
        let run = driver.run();
        match run.outcome.as_ref().unwrap() {
            Outcome::RolledBack {
                causes, leftovers, ..
            } => {
                assert_eq!(causes[0].host.as_ref().unwrap().short(), "web01");
                assert!(
                    matches!(causes[0].reason, Reason::Unreachable { .. }),
                    "{}",
                    causes[0]
                );
                stuck += leftovers.iter().filter(is_stuck).count();
                let others = world.observe();
                let serving = others.values().flatten().map(deploy::HostSeen::serving);
                assert!(
                    serving.clone().count() == 2
                        && serving.clone().all(|found| found == Some(ReleaseNumber(1)))
                );
            }
            Outcome::Done { leftovers, .. } => assert!(!leftovers.is_empty()),
            Outcome::Refused(_) => {}
            other => panic!("{other:?}"),
        }
        world.hosts.values_mut().for_each(|host| host.away = false);
        world.pass(61_000);
        assert!(
            world
                .deploy(&App::new(3))
                .run()
                .outcome
                .unwrap()
                .is_success()
        );
        world.assert_serves(
            world
                .hosts
                .values()
                .next()
                .unwrap()
                .record
                .in_force
                .unwrap()
                .0,
        );
    }
    assert!(stuck > 3, "{stuck}");
}

#[test]
fn as_many_old_stacks_are_kept_as_wanted() {
    for (keep, kept) in [(0, vec![5]), (1, vec![4, 5]), (2, vec![3, 4, 5])] {
        let mut world = World::new(1);
        for version in 1..=5 {
            let run = world
                .deploy(&App::new(version))
                .with(|env| env.keep = Some(keep))
                .run();
            assert!(run.outcome.unwrap().is_success());
        }
        let host = world.hosts.values().next().unwrap();
        assert_eq!(host.seen_stacks(), kept);
        let volumes = host
            .engine
            .volumes
            .keys()
            .filter(|name| name.starts_with("shop_static-r"));
        assert_eq!(volumes.count(), 5, "volumes stay");
        assert!(!host.engine.networks.contains("shop-r1-default"));
        // A release whose stack and images are gone can still come back.
        assert!(
            Driver::new(&mut world, Desired::BackTo(ReleaseNumber(1)))
                .run()
                .outcome
                .unwrap()
                .is_success()
        );
        world.assert_serves(1);
    }
}
