//! `lotse deploy` and `rollback` as processes that are watched: their events, memory and time of the
//! processor (proc(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stage::Stage;

/// Steps whose time is not the deployer's: what a release needs to come up, and to be watched.
const UNAVOIDABLE: [&str; 7] = [
    "pull",
    "fill-volume",
    "run-once",
    "update-standing",
    "start",
    "await",
    "watch",
];
const TICKS_A_SECOND: u64 = 100;

/// What a change of release came to.
pub(crate) struct Measured {
    pub(crate) took: Duration,
    /// `None` where people have done it.
    pub(crate) deployer: Option<Own>,
}

/// What only the deployer has.
pub(crate) struct Own {
    /// Time in which no host was pulling, starting, getting healthy or being watched.
    pub(crate) beyond: Duration,
    /// The most that it held, in bytes.
    pub(crate) memory: u64,
    pub(crate) cpu: Duration,
}

impl Measured {
    pub(crate) fn by_hand(took: Duration) -> Self {
        Self {
            took,
            deployer: None,
        }
    }
}

pub(crate) async fn run(stage: &Stage, verb: &str, release: u64) -> Measured {
    let release = release.to_string();
    let variables = [("RELEASE", release.as_str()), ("FAULT", "")];
    let command = stage.command(&[verb, "prod", "--json"], &variables);
    tokio::task::spawn_blocking(|| watch(command))
        .await
        .unwrap()
}

fn watch(mut command: Command) -> Measured {
    let begin = Instant::now();
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let output = process.stdout.take().unwrap();
    let mut waits = Waits::default();
    let mut steps = BTreeMap::new();
    let (mut memory, mut cpu) = (0, Duration::ZERO);
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Ok(event) = serde_json::from_str::<Value>(&line) {
            waits.hear(begin.elapsed(), &event);
            tell_step(&mut steps, begin.elapsed(), &event);
        }
        if let Some((held, used)) = usage(process.id()) {
            (memory, cpu) = (held.max(memory), used.max(cpu));
        }
    }
    let status = process.wait().unwrap();
    assert!(status.success(), "{status}");
    let took = begin.elapsed();
    Measured {
        took,
        deployer: Some(Own {
            beyond: took.saturating_sub(waits.sum),
            memory,
            cpu,
        }),
    }
}

/// Prints, for whoever wants to know where the time goes, when each step began and what it took.
fn tell_step(steps: &mut BTreeMap<u64, Duration>, now: Duration, event: &Value) {
    let id = event["id"].as_u64().unwrap_or_default();
    match event["event"].as_str() {
        Some("begun") => drop(steps.insert(id, now)),
        Some("done" | "stopped" | "failed") => {
            let begun = steps.remove(&id).unwrap_or(now);
            let (step, host) = (&event["step"]["step"], &event["host"]);
            let (at, took) = (begun.as_secs_f64(), (now - begun).as_secs_f64());
            eprintln!("  at {at:.2} s: {took:.2} s: {step} on {host}");
        }
        _ => {}
    }
}

/// The time in which some host does what cannot be avoided.
#[derive(Default)]
struct Waits {
    at_work: BTreeSet<u64>,
    since: Duration,
    sum: Duration,
}

impl Waits {
    fn hear(&mut self, now: Duration, event: &Value) {
        let step = event["step"]["step"].as_str().unwrap_or_default();
        if !UNAVOIDABLE.contains(&step) {
            return;
        }
        let id = event["id"].as_u64().unwrap_or_default();
        if !self.at_work.is_empty() {
            self.sum += now.saturating_sub(self.since);
        }
        self.since = now;
        match event["event"].as_str() {
            Some("begun") => self.at_work.insert(id),
            Some("done" | "stopped" | "failed") => self.at_work.remove(&id),
            _ => false,
        };
    }
}

/// The most memory and the time so far.
fn usage(pid: u32) -> Option<(u64, Duration)> {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
    let cpu = Duration::from_millis(ticks * 1000 / TICKS_A_SECOND);
    Some((kilobytes * 1024, cpu))
}
