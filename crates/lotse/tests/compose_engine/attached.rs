//! `up` that stays: it shows what all say, and ends them at ctrl-c, at a second one at once.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::desk::Desk;

const FILE: &str = r#"
name: shop
services:
  web:
    image: tools:1
    command: [sh, -c, "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.1; done"]
    stop_grace_period: 60s
  job:
    image: tools:1
    command: [sh, -c, "echo at work; exit 7"]
    profiles: [job]
  deaf:
    image: tools:1
    command: [sh, -c, "trap '' TERM; echo deaf; while :; do sleep 0.1; done"]
    stop_grace_period: 1000s
    profiles: [deaf]
  again:
    image: tools:1
    command: [sh, -c, "echo once more; exit 1"]
    restart: "on-failure:2"
    profiles: [again]
"#;

const LIMIT: Duration = Duration::from_secs(120);

/// `lotse compose up` that runs.
struct Running {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Running {
    fn start(desk: &Desk, arguments: &[&str]) -> Self {
        let mut command = desk.command(arguments);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let outputs: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for output in outputs {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _nobody_waits = sender.send(line);
                }
            });
        }
        let said = String::new();
        Self { child, lines, said }
    }

    fn until(&mut self, expected: &str) {
        let end = Instant::now() + LIMIT;
        while !self.said.contains(expected) {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said += &format!("{line}\n"),
                Err(error) => panic!("{expected} ({error}) in {}", self.said),
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// How it ended, and all that it said.
    fn end(mut self) -> (ExitStatus, String) {
        let end = Instant::now() + LIMIT;
        // Both outputs are closed when it has ended.
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said += &format!("{line}\n"),
                Err(_) if left.is_zero() => panic!("it does not end: {}", self.said),
                Err(_) => break,
            }
        }
        (self.child.wait().unwrap(), std::mem::take(&mut self.said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_stops_what_it_shows() {
    let Some(desk) = Desk::start(FILE).await else {
        return;
    };
    for (signal, way) in [(Signal::INT, "ctrl-c"), (Signal::TERM, "SIGTERM")] {
        let mut up = Running::start(&desk, &["up"]);
        up.until("web-1  | ready");
        up.signal(signal);
        let (status, said) = up.end();
        assert_eq!(status.code(), Some(0), "{way}: {said}");
        for line in [
            "stopping",
            "web-1  | bye",
            "shop-web-1 stopped",
            "ended with status 5",
        ] {
            assert!(said.contains(line), "{way}: {line} in {said}");
        }
        assert_eq!(desk.does(&["ps", "--quiet"]), "", "{way}");
        assert!(desk.does(&["ps", "--all"]).contains("shop-web-1"), "{way}");
        desk.does(&["down"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_interrupt_kills() {
    let Some(desk) = Desk::start(FILE).await else {
        return;
    };
    let mut up = Running::start(&desk, &["--profile", "deaf", "up", "deaf"]);
    up.until("deaf-1  | deaf");
    up.signal(Signal::INT);
    up.until("stopping");
    up.signal(Signal::INT);
    let (status, said) = up.end();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(
        said.contains("shop-deaf-1 killed") && said.contains("ended with status 137"),
        "{said}"
    );

    // A time of its own is enough as well.
    let mut up = Running::start(&desk, &["--profile", "deaf", "up", "-t", "0", "deaf"]);
    up.until("deaf-1  | deaf");
    up.until("deaf-1  | deaf\ndeaf-1  | deaf");
    up.signal(Signal::INT);
    let (status, said) = up.end();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("shop-deaf-1 stopped"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_ends_may_end_all() {
    let Some(desk) = Desk::start(FILE).await else {
        return;
    };
    let job = ["--profile", "job", "up"];
    let abort = Running::start(&desk, &[&job[..], &["--abort-on-container-exit"]].concat());
    let (status, said) = abort.end();
    assert_eq!(status.code(), Some(7), "{said}");
    assert!(
        said.contains("job-1  | at work") && said.contains("shop-web-1 stopped"),
        "{said}"
    );
    let from = Running::start(&desk, &[&job[..], &["--exit-code-from", "job"]].concat());
    assert_eq!(from.end().0.code(), Some(7));
    let mut from = desk.command(&["up", "--exit-code-from", "nobody"]);
    let output = from.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(desk.does(&["ps", "--quiet"]), "", "nothing was started");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_started_anew_goes_on() {
    let Some(desk) = Desk::start(FILE).await else {
        return;
    };
    let (status, said) = Running::start(&desk, &["--profile", "again", "up", "again"]).end();
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(said.matches("again-1  | once more").count(), 3, "{said}");
    assert_eq!(said.matches("ended with status 1").count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_and_times_of_the_command_line() {
    let Some(desk) = Desk::start(FILE).await else {
        return;
    };
    desk.does(&["up", "-d", "--scale", "web=3"]);
    assert_eq!(desk.does(&["ps", "--quiet"]).lines().count(), 3);
    assert_eq!(desk.does(&["ps", "--services"]), "web\n");
    desk.does(&["up", "-d", "--scale", "web=1"]);
    assert_eq!(desk.does(&["ps", "--quiet"]).lines().count(), 1);
    let said = desk.fails(&["up", "-d", "--scale", "nobody=2"]);
    assert!(said.contains("there is no service `nobody`"), "{said}");
    let (status, said) = desk.lotse(&["up", "-d", "--scale", "web"]);
    assert!(
        status == Some(2) && said.contains("write SERVICE=NUMBER"),
        "{said}"
    );
    // It does not listen, and the file gives it a quarter of an hour.
    let deaf = ["--profile", "deaf", "up", "-d", "deaf"];
    desk.does(&deaf);
    let again = ["--force-recreate", "--timeout", "0"];
    assert!(
        desk.does(&[&deaf[..], &again].concat())
            .contains("shop-deaf-1 made")
    );
    desk.does(&["--profile", "deaf", "down", "-t", "0"]);
}
