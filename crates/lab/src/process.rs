//! Finding and ending the lab's processes.
//!
//! A process belongs to a lab when one of its arguments is the lab's mark and it is root's. A mark is looked up
//! again after the process was pinned by a pidfd, so that no reused pid is ever hit.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::name::{HostName, LabName};
use crate::{Error, Result};

/// The argument by which a process is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The first process of a host whose file system is not finished yet, and, for as long as the
    /// host lives, the process outside that waits for it.
    Start(LabName, HostName),
    /// The first process of a host.
    Host(LabName, HostName),
    /// The lab's name server.
    NamesServer(LabName),
    /// Any of a lab's.
    AnyOf(LabName),
}

impl Mark {
    /// The argument that the process is started with.
    pub(crate) fn argument(&self) -> String {
        match self {
            Self::Start(lab, host) => format!("lotse-lab:{lab}/start/{host}"),
            Self::Host(lab, host) => format!("lotse-lab:{lab}/host/{host}"),
            Self::NamesServer(lab) => format!("lotse-lab:{lab}/names"),
            Self::AnyOf(lab) => format!("lotse-lab:{lab}/"),
        }
    }

    fn is_on(&self, argument: &[u8]) -> bool {
        let mark = self.argument();
        match self {
            Self::AnyOf(_) => argument.starts_with(mark.as_bytes()),
            _ => argument == mark.as_bytes(),
        }
    }

    fn is_in(&self, command_line: &[u8]) -> bool {
        command_line
            .split(|byte| *byte == 0)
            .any(|argument| self.is_on(argument))
    }
}

/// Every living process with the mark.
pub(crate) fn marked(mark: &Mark) -> Vec<Pid> {
    let Ok(entries) = fs_err::read_dir("/proc") else {
        return Vec::new();
    };
    let pids =
        entries.filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| bears(*pid, mark)).collect()
}

/// The process with the mark that is the first of a pid namespace of its own and has left the
/// machine's file system: what is written below its root can never be the machine's own.
pub(crate) fn first_of_namespace(mark: &Mark) -> Option<Pid> {
    marked(mark)
        .into_iter()
        .find(|pid| is_first_of_namespace(*pid) && has_a_root_of_its_own(*pid))
}

/// Ends every process with the mark and waits until all are gone, with all that they hold.
pub(crate) fn end_all(lab: &LabName, mark: &Mark) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let victims: Vec<_> = marked(mark)
            .into_iter()
            .filter_map(|pid| pinned(pid, mark))
            .collect();
        if victims.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::Unkillable {
                name: lab.clone(),
                count: victims.len(),
            });
        }
        for victim in &victims {
            // Ended in between: what was wanted.
            let _ = pidfd_send_signal(victim, Signal::KILL);
        }
        for victim in &victims {
            await_end(victim, deadline.saturating_duration_since(Instant::now()))?;
        }
    }
}

fn await_end(process: &OwnedFd, patience: Duration) -> Result<()> {
    let timeout = Timespec {
        tv_sec: patience.as_secs().cast_signed(),
        tv_nsec: i64::from(patience.subsec_nanos()),
    };
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    poll(&mut fds, Some(&timeout))
        .map_err(Error::system("wait for a process of the lab to end"))?;
    Ok(())
}

fn pinned(pid: Pid, mark: &Mark) -> Option<OwnedFd> {
    let fd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    bears(pid, mark).then_some(fd)
}

fn bears(pid: Pid, mark: &Mark) -> bool {
    let folder = format!("/proc/{}", pid.as_raw_nonzero());
    let is_roots = fs_err::metadata(&folder).is_ok_and(|folder| folder.uid() == 0);
    // The command line of a dead process that nobody waited for is empty.
    is_roots && fs_err::read(format!("{folder}/cmdline")).is_ok_and(|line| mark.is_in(&line))
}

/// A process carries its marks from its first moment, and keeps the machine's root until the host's
/// file system is finished.
fn has_a_root_of_its_own(pid: Pid) -> bool {
    let identity = |path: &str| {
        let metadata = fs_err::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let root = identity(&format!("/proc/{}/root/", pid.as_raw_nonzero()));
    root.is_some() && root != identity("/")
}

fn is_first_of_namespace(pid: Pid) -> bool {
    let status = fs_err::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()))
        .unwrap_or_default();
    let numbers = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .unwrap_or_default();
    let numbers: Vec<_> = numbers.split_whitespace().collect();
    numbers.len() > 1 && numbers.last() == Some(&"1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_whole_argument_of_its_own_lab() {
        let demo: LabName = "demo".parse().unwrap();
        let host = Mark::Host(demo.clone(), "build".parse().unwrap());
        let any = Mark::AnyOf(demo);
        for (line, is_host, is_any) in [
            (&b"bash\0-c\0x\0lotse-lab:demo/host/build\0"[..], true, true),
            (b"bash\0lotse-lab:demo/host/build2\0", false, true),
            (b"dnsmasq\0lotse-lab:demo/names\0", false, true),
            (b"bash\0lotse-lab:demo2/host/build\0", false, false),
            (b"grep\0x lotse-lab:demo/host/build\0", false, false),
            (b"", false, false),
        ] {
            assert_eq!(host.is_in(line), is_host, "{line:?}");
            assert_eq!(any.is_in(line), is_any, "{line:?}");
        }
    }
}
