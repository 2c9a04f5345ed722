//! What a one-line job costs beyond its script: 100 jobs given one after the other to a runner,
//! against a loop that starts the same scripts with `bash -c`. Prints a table; tests nothing.

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::{AtWork, Origin, Server};

const JOBS: i64 = 100;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("no runtime: {error}"));
    let bare = bare_loop();
    show("bash -c in a loop", bare, bare);
    for (name, concurrent, sources) in [
        ("runner, no sources", 1, false),
        ("runner, sources there already", 1, true),
        ("runner, no sources, 4 at a time", 4, false),
        ("runner, sources, 4 at a time", 4, true),
    ] {
        let took = runtime.block_on(jobs(concurrent, sources));
        show(name, took, bare);
    }
}

fn show(name: &str, took: Duration, bare: Duration) {
    let jobs = u32::try_from(JOBS).unwrap_or(1);
    println!(
        "{name:<34} {:>8.1?} ms a job {:>6.1} times the loop",
        (took / jobs).as_secs_f64() * 1000.0,
        took.as_secs_f64() / bare.as_secs_f64()
    );
}

fn bare_loop() -> Duration {
    let script = format!("for i in $(seq {JOBS}); do bash -c 'echo hello'; done");
    let begin = Instant::now();
    let output = Command::new("bash").args(["-c", &script]).output();
    assert!(output.is_ok_and(|output| output.status.success()));
    begin.elapsed()
}

async fn jobs(concurrent: u32, sources: bool) -> Duration {
    let (server, origin) = (Server::start(), Origin::new());
    let _runner = AtWork::with(&server, |config| config.concurrent = concurrent);
    let job = |id| match sources {
        true => origin.job(id, &["echo hello"]),
        false => support::job(id, &["echo hello"]),
    };
    // The first jobs clone; they are not counted.
    let warm_up = JOBS + 4;
    for id in JOBS..warm_up {
        server.give(job(id));
    }
    for id in JOBS..warm_up {
        server.ended(id).await;
    }
    let jobs: Vec<_> = (0..JOBS).map(job).collect();
    let begin = Instant::now();
    for job in jobs {
        server.give(job);
    }
    for id in 0..JOBS {
        server.ended(id).await;
    }
    begin.elapsed()
}
