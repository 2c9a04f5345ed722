//! One load on one proxy, by `wrk` for HTTP/1.1 and by `h2load` for HTTP/2, and what it came to.

use std::process::{Command, Output};
use std::time::Duration;

use crate::rival::Rival;

/// What is asked for, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) tls: bool,
    pub(crate) file: &'static str,
    pub(crate) keep_alive: bool,
    pub(crate) connections: usize,
    /// Requests at the same time on a connection, over HTTP/2; without, HTTP/1.1.
    pub(crate) streams: Option<usize>,
    pub(crate) seconds: u64,
}

/// What a load came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    pub(crate) errors: u64,
    /// The proxy's processor time for one request.
    pub(crate) cpu: Duration,
}

/// Prints: requests, microseconds, p50, p99 and p99.9 in microseconds, errors.
const REPORT: &str = "done = function(s, l, r)\n\
    local e = s.errors\n\
    io.write(string.format('REPORT %d %d %d %d %d %d\\n', s.requests, s.duration, \
    l:percentile(50), l:percentile(99), l:percentile(99.9), \
    e.connect + e.read + e.write + e.status + e.timeout))\nend\n";

impl Load {
    /// Puts the load on a proxy.
    pub(crate) fn on(&self, rival: &Rival) -> Outcome {
        let before = rival.process.cost();
        let (requests, mut outcome) = match self.streams {
            None => self.wrk(rival),
            Some(streams) => self.h2load(rival, streams),
        };
        let spent = rival.process.cost().cpu - before.cpu;
        outcome.cpu = spent.div_f64((requests as f64).max(1.0));
        outcome
    }

    fn address(&self, rival: &Rival) -> String {
        match self.tls {
            true => format!("https://127.0.0.1:{}/{}", rival.https, self.file),
            false => format!("http://127.0.0.1:{}/{}", rival.http, self.file),
        }
    }

    fn wrk(&self, rival: &Rival) -> (u64, Outcome) {
        let script = tempfile::Builder::new().suffix(".lua").tempfile().unwrap();
        fs_err::write(script.path(), REPORT).unwrap();
        let mut command = Command::new("wrk");
        command
            .args(["--threads", "1", "--timeout", "10s"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}s", self.seconds)])
            .arg("--script")
            .arg(script.path());
        if !self.keep_alive {
            command.args(["--header", "Connection: close"]);
        }
        let text = said(command.arg(self.address(rival)).output().unwrap());
        let report = text.lines().find_map(|line| line.strip_prefix("REPORT "));
        let fields: Vec<u64> = report
            .unwrap_or_else(|| panic!("wrk reports nothing: {text}"))
            .split_whitespace()
            .map(|field| field.parse().unwrap())
            .collect();
        let outcome = Outcome {
            rate: fields[0] as f64 / (fields[1] as f64 / 1e6),
            p50: Duration::from_micros(fields[2]),
            p99: Duration::from_micros(fields[3]),
            p999: Duration::from_micros(fields[4]),
            errors: fields[5],
            cpu: Duration::ZERO,
        };
        (fields[0], outcome)
    }

    fn h2load(&self, rival: &Rival, streams: usize) -> (u64, Outcome) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let done = Command::new("h2load")
            .args(["--threads", "1", "--clients", &self.connections.to_string()])
            .args(["--max-concurrent-streams", &streams.to_string()])
            .args(["--duration", &self.seconds.to_string()])
            .args(["--log-file".as_ref(), log.path().as_os_str()])
            .arg(self.address(rival))
            .output()
            .unwrap();
        let text = said(done);
        // requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout
        let counts = text.lines().find(|line| line.starts_with("requests:"));
        let count = |what: &str| -> u64 {
            let parts = counts.unwrap_or_default().trim_start_matches("requests:");
            let part = parts.split(',').find(|part| part.contains(what));
            let number = part.and_then(|part| part.split_whitespace().next());
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        let good = count("succeeded");
        // One line a request: its start, its status, its duration in microseconds.
        let lines = fs_err::read_to_string(log.path()).unwrap();
        let mut times: Vec<u64> = lines
            .lines()
            .filter_map(|line| line.split_whitespace().nth(2)?.parse().ok())
            .collect();
        times.sort_unstable();
        let at = |part: f64| {
            let place = (times.len().saturating_sub(1)) as f64 * part;
            Duration::from_micros(times.get(place as usize).copied().unwrap_or(0))
        };
        let outcome = Outcome {
            rate: good as f64 / self.seconds as f64,
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            errors: count("failed"),
            cpu: Duration::ZERO,
        };
        (good, outcome)
    }
}

fn said(done: Output) -> String {
    let all = [done.stdout, done.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}
