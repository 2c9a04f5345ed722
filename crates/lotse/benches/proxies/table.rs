//! The tables that are printed.

use std::fmt;
use std::time::Duration;

use crate::load::{Load, Outcome};
use crate::rival::{Kind, Rival};

/// Rows under a heading, in Markdown.
pub(crate) struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: &str, head: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()],
        }
    }

    /// A table with a row for each load.
    pub(crate) fn of_loads(title: &str) -> Self {
        let head = [
            "load",
            "Lotse /s",
            "NGINX /s",
            "HAProxy /s",
            "of NGINX",
            "p50",
            "p99",
            "p99.9",
            "CPU a request",
        ];
        Self::new(title, &head)
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        eprintln!("{}", cells.join("  "));
        self.rows.push(cells);
    }

    /// Measures a load on each proxy, in rounds, and adds the best of each: what else the machine does makes a
    /// round worse, never better.
    pub(crate) fn add(&mut self, load: &Load, rounds: usize, rivals: &[Rival]) {
        let mut outcomes: Vec<Vec<Outcome>> = rivals.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (rival, outcomes) in rivals.iter().zip(&mut outcomes) {
                outcomes.push(load.on(rival));
                // What the load left in the kernel shall not be the next one's.
                std::thread::sleep(Duration::from_millis(300));
            }
        }
        let found: Vec<(Kind, Outcome)> = rivals
            .iter()
            .zip(outcomes)
            .map(|(rival, outcomes)| (rival.kind, best(outcomes)))
            .collect();
        self.row(cells(load, &found));
    }
}

fn best(mut outcomes: Vec<Outcome>) -> Outcome {
    outcomes.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let errors = outcomes.iter().map(|outcome| outcome.errors).sum();
    Outcome {
        errors,
        ..outcomes[outcomes.len() - 1]
    }
}

fn cells(load: &Load, found: &[(Kind, Outcome)]) -> Vec<String> {
    let of = |kind: Kind| found.iter().find(|(k, _)| *k == kind).unwrap().1;
    let all = |show: &dyn Fn(&Outcome) -> String| {
        let shown: Vec<_> = found.iter().map(|(_, outcome)| show(outcome)).collect();
        shown.join(" · ")
    };
    let rate = |kind: Kind| {
        let outcome = of(kind);
        match outcome.errors {
            0 => format!("{:.0}", outcome.rate),
            errors => format!("{:.0} ({errors} errors)", outcome.rate),
        }
    };
    let ratio = of(Kind::Edge).rate / of(Kind::Nginx).rate;
    vec![
        title(load),
        rate(Kind::Edge),
        rate(Kind::Nginx),
        rate(Kind::Haproxy),
        format!("{ratio:.2} ×"),
        all(&|outcome| time(outcome.p50)),
        all(&|outcome| time(outcome.p99)),
        all(&|outcome| time(outcome.p999)),
        all(&|outcome| time(outcome.cpu)),
    ]
}

fn title(load: &Load) -> String {
    let file = match load.file {
        "1k" => "1 KB",
        _ => "100 KB",
    };
    let tls = if load.tls { "TLS, " } else { "" };
    let kept = if load.keep_alive { "kept" } else { "closed" };
    format!("{tls}{file}, {} connections, {kept}", load.connections)
}

/// A time for a cell.
pub(crate) fn time(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1000 => format!("{micros} µs"),
        1000..100_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.0} ms", micros as f64 / 1e3),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.title)?;
        for (number, row) in self.rows.iter().enumerate() {
            writeln!(f, "| {} |", row.join(" | "))?;
            if number == 0 {
                writeln!(f, "|{}", "---|".repeat(row.len()))?;
            }
        }
        Ok(())
    }
}
