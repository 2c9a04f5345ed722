//! The deployer is killed before, amid and after each of its steps. Whoever comes next ends in the
//! right state, and users notice neither.

use deploy::name::ReleaseNumber;
use deploy::{Outcome, Problem, Problems};

use crate::driver::{Kill, Run, When};
use crate::engine::Behaviour;
use crate::project::App;
use crate::world::World;

const WHENS: [When; 4] = [When::Before, When::Amid(1), When::Amid(2), When::After];

/// Runs something to be killed at each step, each time on a fresh copy of a world.
fn at_every_step(
    world: &World,
    begin: impl Fn(&mut World, Option<Kill>) -> Run,
    mut then: impl FnMut(World, Kill),
) -> usize {
    let steps = begin(&mut world.clone(), None).steps.len();
    for step in 0..steps {
        for when in WHENS {
            let kill = Kill { step, when };
            let mut world = world.clone();
            let run = begin(&mut world, Some(kill));
            assert_eq!(run.outcome, None, "{kill:?}: nobody was killed");
            // Users are served while nobody cares, and the lock expires.
            world.pass(61_000);
            then(world, kill);
        }
    }
    steps
}

fn run(driver: crate::driver::Driver<'_>, kill: Option<Kill>) -> Run {
    match kill {
        Some(kill) => driver.kill(kill).run(),
        None => driver.run(),
    }
}

#[track_caller]
fn succeeds(run: &Run, kill: Kill) {
    assert!(
        run.outcome.as_ref().unwrap().is_success(),
        "{kill:?}: {:?}",
        run.outcome
    );
}

#[test]
fn a_deploy_is_killed_at_every_step() {
    let cases = [
        (3, App::new(3), 1),
        (
            2,
            App {
                database: 2,
                ..App::new(3)
            },
            1,
        ),
        (2, App::new(3), 0),
    ];
    for (hosts, app, parallelism) in cases {
        let world = World::after(hosts, &[1, 2]);
        let begin = |world: &mut World, kill: Option<Kill>| {
            run(
                world
                    .deploy(&app)
                    .with(|env| env.parallelism = Some(parallelism)),
                kill,
            )
        };
        let steps = at_every_step(&world, begin, |world, kill| {
            let mut again = world.clone();
            succeeds(&again.deploy(&app).run(), kill);
            again.assert_serves(3);
            again.assert_before(&[1, 2]);
            succeeds(&again.rollback().run(), kill);
            again.assert_serves(2);
            again.assert_before(&[1]);

            let mut other = world.clone();
            succeeds(&other.deploy(&App::new(4)).run(), kill);
            let number = other
                .hosts
                .values()
                .next()
                .unwrap()
                .record
                .in_force
                .unwrap();
            assert!(number >= ReleaseNumber(3));
            other.assert_serves(number.0);

            let mut back = world;
            let begun = back
                .hosts
                .values()
                .any(|host| host.record.under_way.is_some());
            succeeds(&back.rollback().run(), kill);
            // Before anything was written down, back is the release before the one in force; once all is
            // written down, it is the one before the new one.
            let in_force = if begun || kill.step > 12 { 2 } else { 1 };
            back.assert_serves(in_force);
        });
        assert!(steps > 15 * hosts, "{steps} steps");
    }
}

#[test]
fn a_rollback_is_killed_at_every_step() {
    let world = World::after(3, &[1, 2, 3]);
    let begin = |world: &mut World, kill: Option<Kill>| run(world.rollback(), kill);
    let steps = at_every_step(&world, begin, |world, kill| {
        let mut back = world.clone();
        let closed = back
            .hosts
            .values()
            .all(|host| host.record.under_way.is_none());
        let done = back
            .hosts
            .values()
            .all(|host| host.record.in_force == Some(ReleaseNumber(2)));
        if !(closed && done) {
            succeeds(&back.rollback().run(), kill);
            back.assert_serves(2);
            back.assert_before(&[1]);
        }
        let mut forth = world;
        succeeds(&forth.deploy(&App::new(3)).run(), kill);
        forth.assert_serves(3);
    });
    assert!(steps > 40, "{steps} steps");
}

#[test]
fn a_deploy_that_fails_is_killed_at_every_step() {
    let mut world = World::after(3, &[1, 2]);
    let last = world.hosts.values_mut().nth(2).unwrap();
    last.engine
        .behaviours
        .insert(crate::project::image("ui:3"), Behaviour::Exits(100, 3));
    let app = App {
        database: 2,
        ..App::new(3)
    };
    let begin = |world: &mut World, kill: Option<Kill>| run(world.deploy(&app), kill);
    let steps = at_every_step(&world, begin, |world, kill| {
        let mut again = world.clone();
        let outcome = again.deploy(&app).run().outcome;
        assert!(
            matches!(outcome, Some(Outcome::RolledBack { ref leftovers, .. }) if leftovers.is_empty()),
            "{kill:?}: {outcome:?}"
        );
        again.assert_serves(2);

        let mut back = world.clone();
        let under_way = back
            .hosts
            .values()
            .any(|host| host.record.under_way.is_some());
        succeeds(&back.rollback().run(), kill);
        back.assert_serves(if under_way { 2 } else { 1 });

        let mut other = world;
        succeeds(&other.deploy(&App::new(4)).run(), kill);
        other.assert_serves(
            other
                .hosts
                .values()
                .next()
                .unwrap()
                .record
                .in_force
                .unwrap()
                .0,
        );
    });
    assert!(steps > 60, "{steps} steps");
}

#[test]
fn the_first_deploy_is_killed_at_every_step() {
    let world = World::new(2);
    let begin = |world: &mut World, kill: Option<Kill>| run(world.deploy(&App::new(1)), kill);
    at_every_step(&world, begin, |world, kill| {
        let mut again = world.clone();
        succeeds(&again.deploy(&App::new(1)).run(), kill);
        again.assert_serves(1);
        let mut back = world;
        let outcome = back.rollback().run().outcome;
        let nothing = |problems: &[Problem]| matches!(problems, [Problem::NothingBefore { .. }]);
        assert!(
            matches!(outcome, Some(Outcome::Refused(Problems(ref problems))) if nothing(problems)),
            "{kill:?}: {outcome:?}"
        );
    });
}
