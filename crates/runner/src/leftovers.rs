//! Finds and ends what a job's scripts left behind outside of their process group: an `ssh-agent`,
//! say, that made itself a session of its own.
//!
//! Every process of a job carries a mark in its environment. While the runner is the reaper of its
//! orphans (`PR_SET_CHILD_SUBREAPER`), such a process becomes the runner's child as soon as its
//! parent ends, so that looking at the runner's own children finds it; no other process of the
//! machine is looked at. A process that means to outlive its job unsets the mark.

use std::collections::HashMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// The variable that marks a job's processes.
pub(crate) const MARK: &str = "LOTSE_JOB_PROCESS";

const ROUNDS: u32 = 200;
/// The round at which SIGKILL follows SIGTERM.
const KILL_ROUND: u32 = 100;
/// So often a process that shows no environment is looked at again.
const UNCLEAR_ROUNDS: u32 = 3;
const ROUND_PAUSE: Duration = Duration::from_millis(10);
/// A dead child that nobody has waited for in this time is an orphan that was left to us.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2);

/// Ends what jobs leave behind.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Dead children, and since when they have been seen.
    dead: Mutex<HashMap<i32, Instant>>,
    /// How many jobs are at work in this process.
    at_work: AtomicUsize,
}

/// Whose processes are meant.
#[derive(Debug, Clone, Copy)]
struct Marked<'a> {
    /// The value of [`MARK`].
    mark: &'a str,
    /// No other job is at work: then a child that lets nobody see its environment (an `ssh-agent`
    /// does so) is a leftover as well.
    alone: bool,
}

impl Leftovers {
    /// Makes this process the reaper of its orphans.
    pub(crate) fn adopt(&self) {
        // Without it leftovers with a session of their own stay; nothing else depends on it.
        if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
            tracing::warn!(%error, "cannot become the reaper of what jobs leave behind");
        }
    }

    /// A job is about to start processes.
    pub(crate) fn job_begins(&self) {
        self.at_work.fetch_add(1, Ordering::SeqCst);
    }

    /// A job's scripts have ended: ends what they left behind.
    pub(crate) async fn job_ended(&self, mark: &str) {
        let alone = self.at_work.fetch_sub(1, Ordering::SeqCst) == 1;
        self.end(Marked { mark, alone }).await;
    }

    /// Ends the processes of one job, and buries the dead.
    async fn end(&self, marked: Marked<'_>) {
        for round in 0..ROUNDS {
            let children = children();
            self.bury_forgotten(&children);
            let mut unclear = false;
            let mut found = false;
            for child in children {
                match guess(child, marked) {
                    Guess::Leftover => {
                        found = true;
                        end_one(child, round);
                    }
                    Guess::Unclear => unclear = true,
                    Guess::NotOurs => {}
                }
            }
            let again = found || (unclear && round < UNCLEAR_ROUNDS);
            if !again {
                return;
            }
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }

    /// Waits for orphans that died while nobody looked. A child that the runner itself waits for is
    /// never dead for long.
    fn bury_forgotten(&self, children: &[Pid]) {
        let mut dead = self
            .dead
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        dead.retain(|&pid, _| children.iter().any(|child| raw(*child) == pid));
        for &child in children.iter().filter(|&&child| is_dead(child)) {
            let since = *dead.entry(raw(child)).or_insert_with(Instant::now);
            if since.elapsed() > FORGOTTEN_AFTER {
                let _ = waitpid(Some(child), WaitOptions::NOHANG);
            }
        }
    }
}

/// Ends what the jobs of this runner left when the runner itself was killed: every process of the
/// machine that carries a mark beginning with `prefix`.
pub(crate) fn end_all_marked(prefix: &str) {
    let Ok(entries) = fs_err::read_dir("/proc") else {
        return;
    };
    let pids = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw);
    for pid in pids {
        let marked = |environment: Vec<u8>| has_mark(&environment, |mark| mark.starts_with(prefix));
        if environment(pid).is_ok_and(marked) {
            tracing::warn!(pid = raw(pid), "ending a process that a job left behind");
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Ends what the jobs of a runner with this system id have left, when that runner was killed and nobody will
/// start it again.
pub fn end_processes_of(system_id: &str) {
    end_all_marked(&format!("{system_id}:"));
}

fn end_one(child: Pid, round: u32) {
    let signal = if round < KILL_ROUND {
        Signal::TERM
    } else {
        Signal::KILL
    };
    if round == 0 || round >= KILL_ROUND {
        let _ = kill_process(child, signal);
    }
    let _ = waitpid(Some(child), WaitOptions::NOHANG);
}

enum Guess {
    Leftover,
    NotOurs,
    /// It shows no environment: it may be about to become another program.
    Unclear,
}

fn guess(child: Pid, marked: Marked<'_>) -> Guess {
    match environment(child) {
        Ok(environment) if environment.is_empty() && !is_dead(child) => Guess::Unclear,
        Ok(environment) if has_mark(&environment, |mark| mark == marked.mark) => Guess::Leftover,
        Err(error) if marked.alone && error.kind() == io::ErrorKind::PermissionDenied => {
            Guess::Leftover
        }
        _ => Guess::NotOurs,
    }
}

fn has_mark(environment: &[u8], accepts: impl Fn(&str) -> bool) -> bool {
    environment
        .split(|&byte| byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
        .any(|(name, value)| name == MARK && accepts(value))
}

/// The environment a process was started with; empty when it is dead.
fn environment(pid: Pid) -> io::Result<Vec<u8>> {
    fs_err::read(format!("/proc/{}/environ", raw(pid)))
}

fn is_dead(pid: Pid) -> bool {
    fs_err::read_to_string(format!("/proc/{}/stat", raw(pid))).is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, s)| s.starts_with('Z'))
    })
}

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

/// The children of all threads of this process.
fn children() -> Vec<Pid> {
    let Ok(threads) = fs_err::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    let lists = threads
        .filter_map(Result::ok)
        .filter_map(|thread| fs_err::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        let environment = b"A=1\0LOTSE_JOB_PROCESS=s_1:7:0\0B=2\0";
        assert!(has_mark(environment, |mark| mark == "s_1:7:0"));
        assert!(has_mark(environment, |mark| mark.starts_with("s_1:")));
        assert!(!has_mark(environment, |mark| mark == "s_1:7"));
        assert!(!has_mark(b"X_LOTSE_JOB_PROCESS=a\0", |_| true));
        assert!(!has_mark(b"", |_| true));
    }

    #[test]
    fn what_a_killed_runner_left_is_ended_at_the_next_start() {
        let prefix = format!("s_test{}:", std::process::id());
        let mark = format!("{prefix}7:0");
        let start = |mark: &str| {
            let mut command = std::process::Command::new("sleep");
            command.arg("60").env(MARK, mark).spawn().unwrap()
        };
        let (mut marked, mut other) = (start(&mark), start("s_other:7:0"));
        // A program that has only just begun shows no environment yet.
        let pid = Pid::from_child(&marked);
        while environment(pid).unwrap().is_empty() {
            std::thread::yield_now();
        }
        end_all_marked(&prefix);
        assert!(!marked.wait().unwrap().success());
        assert!(
            other.try_wait().unwrap().is_none(),
            "another runner's job goes on"
        );
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
