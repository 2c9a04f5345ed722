//! Processes that are pinned to a core, and end with the benchmark; what they cost.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};

/// The core of the proxies.
const PROXIES: usize = 0;

/// The core of what loads the proxies and of what answers them: the second, where there are two.
fn others() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    usize::from(cores > 1)
}

/// Lets this process, and those it starts, open as many files as the system allows.
pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Pins this process, and those it starts without another word, to the core of the load.
pub(crate) fn pin_here() {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(others());
    rustix::thread::sched_setaffinity(None, &cores).unwrap();
}

/// A process that ends when this is dropped.
pub(crate) struct Process(Child);

/// What a process and its children have cost so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    /// Proportional set size in bytes.
    pub(crate) memory: u64,
}

impl Process {
    /// Starts a proxy on the core of the proxies.
    pub(crate) fn proxy<S: AsRef<OsStr>>(arguments: &[S]) -> Self {
        let core = PROXIES.to_string();
        let mut command = Command::new("taskset");
        command.args(["-c", &core]).args(arguments);
        Self::start(command)
    }

    /// Starts what answers the proxies, on the core of the load.
    pub(crate) fn target<S: AsRef<OsStr>>(arguments: &[S]) -> Self {
        let mut command = Command::new(&arguments[0]);
        command.args(&arguments[1..]);
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Waits until somebody listens at the port.
    pub(crate) fn listening(self, port: u16) -> Self {
        for _ in 0..500 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return self;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nobody listens on port {port}: its own output says why");
    }

    pub(crate) fn cost(&self) -> Cost {
        let root = self.0.id();
        let all = std::iter::once(root).chain(children(root));
        all.map(cost).fold(Cost::default(), |sum, one| Cost {
            cpu: sum.cpu + one.cpu,
            memory: sum.memory + one.memory,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Politely: a master process ends its workers.
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        for _ in 0..100 {
            if self.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn children(parent: u32) -> Vec<u32> {
    let list = fs_err::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace()
        .map(|child| child.parse().unwrap())
        .collect()
}

fn cost(process: u32) -> Cost {
    let rollup = fs_err::read_to_string(format!("/proc/{process}/smaps_rollup"));
    let rollup = rollup.unwrap_or_default();
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let pss = pss.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Cost {
        cpu: threads(process).map(|thread| on_cpu(&thread)).sum(),
        memory: pss.unwrap_or(0) * 1024,
    }
}

fn threads(process: u32) -> impl Iterator<Item = PathBuf> {
    let threads = fs_err::read_dir(format!("/proc/{process}/task"));
    let threads = threads.into_iter().flatten().flatten();
    threads.map(|thread| thread.path())
}

/// The first field is the time on a processor, in nanoseconds (the kernel's scheduler/sched-stats).
fn on_cpu(thread: &Path) -> Duration {
    let text = fs_err::read_to_string(thread.join("schedstat")).unwrap_or_default();
    let nanos = text
        .split_whitespace()
        .next()
        .and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
