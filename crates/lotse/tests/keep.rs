//! `lotse keep`: what it has acknowledged is there, whenever it is killed.

#![allow(
    clippy::unwrap_used,
    reason = "a story that cannot go on shall stop there"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// So large that a kill often meets a file that is being written.
const TOKEN: usize = 8_000;
const KILLS: usize = 12;

struct Keep {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Keep {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lotse"))
            .arg("keep")
            .arg("--folder")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn send(&mut self, ask: &Value) {
        let _killed = self.input.write_all(format!("{ask}\n").as_bytes());
    }

    /// The next answer; nothing when it has ended.
    fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    fn ask(&mut self, ask: &Value) -> Value {
        self.send(ask);
        self.answer().unwrap()
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _status = self.child.wait();
    }
}

/// An edge in the same folder, as in its container: a look asks it, and waits for one that is not there.
struct Edge(Child);

impl Edge {
    fn start(folder: &Path) -> Self {
        let mut edge = Command::new(env!("CARGO_BIN_EXE_lotse"));
        edge.args(["edge", "run", "--folder"]).arg(folder);
        Self(edge.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ended_before = self.0.kill();
        let _status = self.0.wait();
    }
}

fn owner() -> Value {
    json!({"project": "shop", "environment": "prod"})
}

fn mark(number: usize) -> Value {
    let token = format!("{number}-{}", "x".repeat(TOKEN));
    let fill = json!({"token": token, "done": true});
    json!({"mark": [owner(), format!("v{}", number % 50), fill]})
}

#[test]
fn what_was_acknowledged_survives_any_kill() {
    let folder = TempDir::new().unwrap();
    let _edge = Edge::start(folder.path());
    let mut next = 0;
    let mut torn = 0;
    for round in 0..KILLS {
        let mut keep = Keep::start(folder.path());
        let first = next;
        for number in first..first + 12 {
            keep.send(&mark(number));
        }
        let kept = round % 4;
        for _ in 0..kept {
            let answer = keep.answer().unwrap();
            assert_eq!(answer, json!({"done": null}));
            next += 1;
        }
        std::thread::sleep(Duration::from_micros(137 * (round as u64 * 29 % 31)));
        keep.child.kill().unwrap();
        // What it said before it was killed counts as well.
        while keep.answer().is_some() {
            next += 1;
        }
        drop(keep);
        let mut again = Keep::start(folder.path());
        let seen = again.ask(&json!({"look": owner()}));
        let fills = &seen["done"]["fills"];
        for number in first..next {
            let token = fills[format!("v{}", number % 50)]["token"]
                .as_str()
                .unwrap();
            let found: usize = token.split('-').next().unwrap().parse().unwrap();
            assert!(found >= number, "v{} was acknowledged", number % 50);
        }
        torn += usize::from(
            folder
                .path()
                .join("keep/shop@prod/volumes.json.new")
                .exists(),
        );
    }
    eprintln!("{next} marks were acknowledged, {torn} of {KILLS} kills met a half-written file");
    assert!(next > KILLS);
}

#[test]
fn nonsense_is_refused_and_the_next_question_answered() {
    let folder = TempDir::new().unwrap();
    let mut keep = Keep::start(folder.path());
    for nonsense in [
        json!({}),
        json!({"lock": 5}),
        json!([[[[]]]]),
        json!("what?"),
    ] {
        let answer = keep.ask(&nonsense);
        let failed = answer["failed"].as_str().unwrap();
        assert!(failed.contains("makes no sense"), "{answer}");
    }
    let lease = json!({"holder": "one", "length": "60s"});
    assert_eq!(
        keep.ask(&json!({"lock": [owner(), lease]})),
        json!({"done": "yours"})
    );
    let theirs = keep.ask(&json!({"lock": [owner(), {"holder": "two", "length": "60s"}]}));
    assert_eq!(theirs["done"]["theirs"]["holder"], "one");
    let seen = keep.ask(&json!({"look": owner()}));
    assert_eq!(seen["done"]["edge"], Value::Null, "no edge answers here");
}
