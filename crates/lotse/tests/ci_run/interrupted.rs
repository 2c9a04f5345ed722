//! Ctrl-C: what has begun is ended, and nothing stays.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::tree::{Tree, is_alive};

/// Everything is waited for at most this long.
const PATIENCE: Duration = Duration::from_secs(60);

const FILE: &str = "
a:
  stage: build
  script: ['sleep 1000 & echo pid=$!', 'echo shell=$$', 'wait']
  after_script: ['echo it was $CI_JOB_STATUS']
b: {stage: test, script: ['echo never']}
";

#[test]
fn ctrl_c_cancels() {
    let tree = Tree::new(FILE);
    let mut child = tree.start(&[]);
    let (pids, mut out) = until_it_runs(&mut child);
    signal(&child, "INT");
    let code = ended(&mut child);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(code, Some(130), "{rest}");
    assert!(rest.contains("a | it was canceled"), "{rest}");
    assert!(rest.contains("pipeline: canceled after"), "{rest}");
    assert!(!rest.contains("never"), "{rest}");
    gone(&tree, &pids);
}

#[test]
fn twice_stops_at_once() {
    let tree = Tree::new(&FILE.replace("echo it was $CI_JOB_STATUS", "echo after=$$; sleep 1000"));
    let mut child = tree.start(&[]);
    let (mut pids, mut out) = until_it_runs(&mut child);
    signal(&child, "TERM");
    pids.push(value(&mut out, "after="));
    signal(&child, "INT");
    assert_eq!(ended(&mut child), Some(130));
    gone(&tree, &pids);
}

/// A killed run cannot clean up; the next one does, and lets runs alone that are at work.
#[test]
fn what_a_killed_run_has_left_is_ended_and_removed_by_the_next() {
    let tree = Tree::new(FILE);
    let mut killed = tree.start(&["a"]);
    let (dead, _out) = until_it_runs(&mut killed);
    let mut working = tree.start(&["a"]);
    let (alive, _out) = until_it_runs(&mut working);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let folders = tree.left_behind();
    assert_eq!(folders.len(), 2, "{folders:?}");
    assert!(dead.iter().all(|pid| is_alive(pid)), "{dead:?}");

    let next = tree.run(&["b"]);
    assert_eq!(next.code, Some(0), "{next}");
    assert!(
        next.err.contains("a run that was killed had left"),
        "{next}"
    );
    assert!(!dead.iter().any(|pid| is_alive(pid)), "{dead:?}");
    assert!(alive.iter().all(|pid| is_alive(pid)), "{alive:?}");
    assert_eq!(tree.left_behind().len(), 1);
    let again = tree.run(&["b"]);
    assert!(!again.err.contains("killed"), "{again}");
    signal(&working, "INT");
    assert_eq!(ended(&mut working), Some(130));
    gone(&tree, &alive);
}

/// Returns the processes of the job, once they are there.
fn until_it_runs(child: &mut Child) -> (Vec<String>, BufReader<std::process::ChildStdout>) {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let pids = vec![value(&mut out, "pid="), value(&mut out, "shell=")];
    assert!(pids.iter().all(|pid| is_alive(pid)), "{pids:?}");
    (pids, out)
}

/// What follows `key` in the next line that begins with it.
fn value(out: &mut impl std::io::BufRead, key: &str) -> String {
    for line in out.lines() {
        let line = line.unwrap();
        if let Some((_, value)) = line.split_once(&format!("| {key}")) {
            return value.to_owned();
        }
    }
    panic!("it ended without {key}");
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.unwrap().success());
}

fn ended(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("it did not end");
}

/// The runner ends its jobs' processes before it ends itself.
fn gone(tree: &Tree, pids: &[String]) {
    let alive: Vec<_> = pids.iter().filter(|pid| is_alive(pid)).collect();
    assert!(alive.is_empty(), "{alive:?}");
    assert_eq!(tree.left_behind(), Vec::<std::path::PathBuf>::new());
}
