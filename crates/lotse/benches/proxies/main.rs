//! The edge beside NGINX and HAProxy from Debian's packages, as proxies of the same target, in one run
//! on the same core. Prints the tables of `docs/benchmarks.md`; tests nothing, so nothing fails when a
//! machine is busy.
//!
//! The proxies share one core, what loads them and what answers them the next one. Each row is measured
//! in rounds in which the proxies take turns, and the round with the best throughput counts.
//!
//! `BENCH_SECONDS` (3) is how long one measurement takes, `BENCH_ROUNDS` (3) how often each is made,
//! `BENCH_ONLY` a part of a section's name (`rows`, `http2`, `tcp`, `memory`, `swap`).

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on says so by a panic"
)]

mod load;
mod memory;
mod process;
mod rival;
mod site;
mod swap;
mod table;
mod tcp;

use std::process::Command;

use load::Load;
use rival::Rival;
use site::Site;
use table::Table;

/// How long, how often, and which.
struct Plan {
    seconds: u64,
    rounds: usize,
    only: Option<String>,
}

fn main() {
    let missing: Vec<_> = ["wrk", "h2load", "nginx", "haproxy", "taskset"]
        .into_iter()
        .filter(|tool| !is_there(tool))
        .collect();
    if !missing.is_empty() {
        eprintln!("error: {} not found", missing.join(", "));
        eprintln!("hint: run `scripts/setup bench`");
        std::process::exit(1);
    }
    process::raise_file_limit();
    process::pin_here();
    let plan = Plan::read();
    let site = Site::start();
    let rivals = rival::start_all(&site);
    println!("\n{}", rival::versions());
    if plan.takes("rows") {
        println!("{}", rows(&plan, &rivals));
    }
    if plan.takes("http2") {
        println!("{}", http2(&plan, &rivals));
    }
    if plan.takes("tcp") {
        println!("{}", tcp::measure(&rivals, plan.rounds));
    }
    if plan.takes("memory") {
        println!("{}", memory::measure(&site));
    }
    if plan.takes("swap") {
        println!("{}", swap::measure(&site));
    }
}

fn rows(plan: &Plan, rivals: &[Rival]) -> Table {
    let mut table = Table::of_loads("HTTP/1.1, by `wrk`");
    for tls in [false, true] {
        for file in ["1k", "100k"] {
            for keep_alive in [true, false] {
                for connections in [64, 1000] {
                    let load = Load {
                        tls,
                        file,
                        keep_alive,
                        connections,
                        streams: None,
                        seconds: plan.seconds,
                    };
                    table.add(&load, plan.rounds, rivals);
                }
            }
        }
    }
    table
}

fn http2(plan: &Plan, rivals: &[Rival]) -> Table {
    let mut table = Table::of_loads("HTTP/2 over TLS, by `h2load`, 10 streams a connection");
    for file in ["1k", "100k"] {
        for connections in [64, 1000] {
            let load = Load {
                tls: true,
                file,
                keep_alive: true,
                connections,
                streams: Some(10),
                seconds: plan.seconds,
            };
            table.add(&load, plan.rounds, rivals);
        }
    }
    table
}

impl Plan {
    fn read() -> Self {
        let number = |name: &str, default: u64| {
            let text = std::env::var(name).ok();
            text.map_or(default, |text| text.parse().unwrap())
        };
        Self {
            seconds: number("BENCH_SECONDS", 3),
            rounds: number("BENCH_ROUNDS", 3) as usize,
            only: std::env::var("BENCH_ONLY").ok(),
        }
    }

    fn takes(&self, section: &str) -> bool {
        self.only
            .as_deref()
            .is_none_or(|only| section.contains(only))
    }
}

fn is_there(tool: &str) -> bool {
    let found = Command::new("sh")
        .args([
            "-c",
            &format!("PATH=$PATH:/usr/sbin:/sbin command -v {tool}"),
        ])
        .output();
    found.is_ok_and(|found| found.status.success())
}
