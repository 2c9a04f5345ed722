//! Random sequences of deploys, rollbacks, failures and kills, each from its own seed.

use deploy::Outcome;
use deploy::name::ReleaseNumber;

use crate::driver::{Blow, Driver, Kill, When};
use crate::engine::Behaviour;
use crate::project::{App, image};
use crate::world::World;

const SEQUENCES: u64 = 500;
const LENGTH: usize = 8;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
}

#[test]
fn whatever_happens_users_are_served_and_data_stays() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checks: u64 = std::thread::scope(|scope| {
        let shares = (0..threads).map(|first| scope.spawn(move || every(first, threads)));
        let shares: Vec<_> = shares.collect();
        shares.into_iter().map(|share| share.join().unwrap()).sum()
    });
    assert!(checks > SEQUENCES * 1000, "{checks} moments");
}

/// One in so many sequences.
fn every(first: usize, apart: usize) -> u64 {
    let seeds = (0..SEQUENCES).skip(first).step_by(apart);
    let checks = seeds.map(|seed| {
        let result = std::panic::catch_unwind(|| sequence(seed));
        result.unwrap_or_else(|_| panic!("the sequence of seed {seed} went wrong"))
    });
    checks.sum()
}

fn sequence(seed: u64) -> u64 {
    let mut random = Random(seed);
    let mut world = World::after(1 + random.below(3) as usize, &[1]);
    let (mut version, mut database) = (1, 1);
    for _ in 0..LENGTH {
        version += 1;
        database += u32::from(random.below(4) == 0);
        spoil(&mut world, &mut random, version, database);
        let before = in_force(&world);
        let settled = world
            .hosts
            .values()
            .all(|host| host.record.under_way.is_none());
        let rollback = random.below(3) == 0;
        let driver = match rollback {
            true => world.rollback(),
            false => world.deploy(&App {
                database,
                ..App::new(version)
            }),
        };
        let outcome = trouble(driver, &mut random).run().outcome;
        world.hosts.values_mut().for_each(|host| host.away = false);
        judge(&world, outcome.as_ref(), before.filter(|_| settled));
        world.pass(61_000);
    }
    let run = world.deploy(&App::new(1000)).run();
    assert!(
        run.outcome.as_ref().unwrap().is_success(),
        "{:?}",
        run.outcome
    );
    world.assert_serves(in_force(&world).unwrap().0);
    world.checks
}

/// Sometimes the next version is bad, everywhere or on one host.
fn spoil(world: &mut World, random: &mut Random, version: u32, database: u32) {
    if random.below(2) == 0 {
        return;
    }
    let name = random.pick(&["ui", "api", "front", "worker", "migrate", "db"]);
    let behaviours = [
        Behaviour::Exits(100, 3),
        Behaviour::NeverHealthy,
        Behaviour::NoAnswer,
        Behaviour::CrashesInService(100 + random.below(800)),
        Behaviour::Slow(2000),
        Behaviour::Slow(60_000),
    ];
    let behaviour = random.pick(&behaviours);
    let image = match name {
        "db" => image(&format!("db:{database}")),
        name => image(&format!("{name}:{version}")),
    };
    if world
        .hosts
        .values()
        .any(|host| host.engine.images.contains(&image))
    {
        return;
    }
    let only = random.below(world.hosts.len() as u64 * 2) as usize;
    let all = only >= world.hosts.len();
    for (_, host) in world
        .hosts
        .values_mut()
        .enumerate()
        .filter(|(index, _)| all || *index == only)
    {
        host.engine.behaviours.insert(image.clone(), behaviour);
    }
}

/// Sometimes the deployer is killed, steps fail, the user loses patience, the network is cut.
fn trouble<'a>(driver: Driver<'a>, random: &mut Random) -> Driver<'a> {
    let mut driver = driver.with(|env| env.parallelism = Some(random.below(3) as u32));
    match random.below(4) {
        0 => {
            let when = random.pick(&[
                When::Before,
                When::Amid(1),
                When::Amid(2),
                When::Amid(4),
                When::After,
            ]);
            driver.kill(Kill {
                step: random.below(80) as usize,
                when,
            })
        }
        1 => {
            let line = random.pick(&[
                "pull", "make", "start", "wait", "switch", "drain", "remove", "write", "ask",
            ]);
            driver.faults.push((random.below(3) as usize, line));
            driver
        }
        2 => {
            let blows = [
                Blow::Interrupt,
                Blow::LockTaken(0),
                Blow::Cut(0),
                Blow::Cut(1),
            ];
            driver.after = Some((random.below(8000), random.pick(&blows)));
            driver
        }
        _ => driver,
    }
}

fn in_force(world: &World) -> Option<ReleaseNumber> {
    let first = world.hosts.values().next()?.record.in_force;
    world
        .hosts
        .values()
        .all(|host| host.record.in_force == first)
        .then_some(first)
        .flatten()
}

fn judge(world: &World, outcome: Option<&Outcome>, before: Option<ReleaseNumber>) {
    match outcome {
        Some(Outcome::Done { release, leftovers }) if leftovers.is_empty() => {
            world.assert_serves(release.0);
        }
        Some(Outcome::Done { release, .. }) => {
            assert!(
                world
                    .observe()
                    .values()
                    .all(|seen| seen.as_ref().unwrap().serving() == Some(*release))
            );
        }
        Some(Outcome::RolledBack { leftovers, .. }) if leftovers.is_empty() => {
            if let Some(before) = before {
                world.assert_serves(before.0);
            }
        }
        _ => {}
    }
}
