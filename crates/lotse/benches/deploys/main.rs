//! Deploys beside what teams do by hand: the same light project on 1, 3 and 10 hosts of a lab, by
//! `lotse deploy` and `rollback`, by `docker-compose up -d`, and by the flow of `down`, prune and `up`.
//! Prints the table of `docs/benchmarks.md`; tests nothing, so nothing fails when a machine is busy.
//! Needs root.
//!
//! `BENCH_HOSTS` (1,3,10) says how many hosts there are in turn.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on says so by a panic"
)]

#[path = "../../tests/lab/under_load/by_hand.rs"]
mod by_hand;
#[path = "../../tests/lab/under_load/crowd.rs"]
#[allow(dead_code, reason = "the stories need more of it")]
mod crowd;
mod deployer;
mod hand;
#[path = "../../tests/lab/under_load/open_registry.rs"]
mod open_registry;
#[path = "../../tests/lab/under_load/project.rs"]
mod project;
#[path = "../../tests/lab/under_load/stage.rs"]
#[allow(dead_code, reason = "the stories need more of it")]
mod stage;

use std::process::Command;

use crowd::Crowd;
use deployer::Measured;
use project::Settings;
use stage::Stage;
use testkit::load::Kind;

/// All hosts that there may be.
const HOSTS: [&str; 10] = [
    "web1", "web2", "web3", "web4", "web5", "web6", "web7", "web8", "web9", "web10",
];

/// Requests a second at all hosts together.
const RATE: f64 = 100.0;

/// A row of the table.
struct Row {
    what: &'static str,
    measured: Measured,
    failed: usize,
    sent: usize,
}

fn main() {
    match &counts()[..] {
        [count] => alone(*count),
        // The lab of one count is gone with its process.
        counts => counts.iter().for_each(|count| {
            let mut again = Command::new(std::env::current_exe().unwrap());
            again.env("BENCH_HOSTS", count.to_string());
            assert!(again.status().unwrap().success(), "{count} hosts");
        }),
    }
}

fn alone(count: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { show(count, &measure(count).await) });
}

fn counts() -> Vec<usize> {
    let told = std::env::var("BENCH_HOSTS").unwrap_or_else(|_| "1,3,10".to_owned());
    let counts = told.split(',').map(|count| count.parse().unwrap());
    counts.map(|count: usize| count.min(HOSTS.len())).collect()
}

async fn measure(count: usize) -> Vec<Row> {
    let hosts = &HOSTS[..count];
    let stage = Stage::of("bench", hosts).await.expect("the lab needs root");
    for release in 1..=3 {
        stage.push(release);
    }
    let mut rows = Vec::new();
    let settings = |parallelism| Settings {
        hosts,
        parallelism,
        ..Settings::default()
    };
    project::write(&stage.project(), &settings(1));

    hand::first(&stage, hosts).await;
    rows.push(
        row(
            &stage,
            hosts,
            "`docker-compose up -d`",
            2,
            hand::up(&stage, hosts),
        )
        .await,
    );
    rows.push(
        row(
            &stage,
            hosts,
            "`down`, prune, `up -d`",
            3,
            hand::down_prune_up(&stage, hosts),
        )
        .await,
    );
    hand::end(&stage, hosts).await;

    deployer::run(&stage, "deploy", 1).await;
    for (parallelism, deploy, back) in [
        (
            1,
            "`lotse deploy`, host after host",
            "`lotse rollback`, host after host",
        ),
        (
            0,
            "`lotse deploy`, all hosts at once",
            "`lotse rollback`, all hosts at once",
        ),
    ] {
        if count == 1 && parallelism == 0 {
            continue;
        }
        project::write(&stage.project(), &settings(parallelism));
        rows.push(row(&stage, hosts, deploy, 2, deployer::run(&stage, "deploy", 2)).await);
        rows.push(row(&stage, hosts, back, 1, deployer::run(&stage, "rollback", 1)).await);
    }
    rows
}

/// Under a light load at each host; over when every host serves the release.
async fn row(
    stage: &Stage,
    hosts: &[&'static str],
    what: &'static str,
    release: u64,
    work: impl Future<Output = Measured>,
) -> Row {
    let rates = [(Kind::Get, RATE / hosts.len() as f64)];
    let crowd = Crowd::come_to(stage, hosts, &rates, 0);
    // In whichever order they come.
    (1..=3).for_each(|any| crowd.expect(any));
    (1..=3).for_each(|any| crowd.expect(any));
    let measured = work.await;
    for host in hosts {
        stage.await_release(host, release).await;
    }
    let reports = crowd.leave().await;
    let failed = reports
        .iter()
        .map(|(_, report)| report.failures.len())
        .sum();
    let sent = reports.iter().map(|(_, report)| report.total()).sum();
    let row = Row {
        what,
        measured,
        failed,
        sent,
    };
    eprintln!("{row}");
    row
}

fn show(count: usize, rows: &[Row]) {
    println!(
        "\n| {count} hosts | seconds | failed requests | beyond pull, start, health and watch | memory | CPU |"
    );
    println!("|---|---|---|---|---|---|");
    rows.iter().for_each(|row| println!("{row}"));
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            what,
            measured,
            failed,
            sent,
        } = self;
        write!(
            f,
            "| {what} | {:.1} | {failed} of {sent} ",
            measured.took.as_secs_f64()
        )?;
        match &measured.deployer {
            Some(own) => write!(
                f,
                "| {:.2} s | {:.1} MB | {:.2} s |",
                own.beyond.as_secs_f64(),
                own.memory as f64 / 1e6,
                own.cpu.as_secs_f64()
            ),
            None => write!(f, "| | | |"),
        }
    }
}
