//! Long-lived processes in a host: its sshd, its engine and whatever a user starts to stay.
//!
//! Each has a name. The host's `/run/services/NAME` tells the pid and the start time, so a pid that
//! was used again is never taken for the service. All of them end with the host.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::{Error, Result, tool};

/// Notes who it is, then becomes the service. The note is written under another name first, so a
/// reader sees none or all of it.
const START: &str = r#"
note=/run/services/$0
type -P -- "$1" >/dev/null || { echo "$1: not found" >&2; exit 127; }
setsid --fork bash -c '
    read -r stat </proc/$$/stat
    fields=(${stat##*) })
    echo "$$ ${fields[19]}" >"$0.new.$$" && mv "$0.new.$$" "$0"
    exec "$@"
' "$note" "$@" 
"#;

/// What starting a service came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It was running already and was left alone.
    Before,
    /// It runs now.
    Now,
}

/// One service of a running host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service<'a> {
    /// The host's first process.
    pub(crate) host: Pid,
    pub(crate) name: &'a str,
}

impl Service<'_> {
    /// Whether the service's process lives.
    pub(crate) fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    /// The service's pid, as the host counts.
    pub(crate) fn pid(&self) -> Option<u32> {
        let note =
            fs_err::read_to_string(format!("{}/run/services/{}", self.root(), self.name)).ok()?;
        let (pid, started) = note.trim().split_once(' ')?;
        let pid = pid.parse().ok()?;
        let stat = fs_err::read_to_string(format!("{}/proc/{pid}/stat", self.root())).ok()?;
        let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let is_same = fields.get(19) == Some(&started);
        (is_same && !matches!(fields.first(), Some(&"Z" | &"X"))).then_some(pid)
    }

    /// Starts the service with `command` as the way into the host. Its output is appended to `log`.
    pub(crate) fn start(&self, mut command: Command, words: &[&str], log: &Path) -> Result<()> {
        let out = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        let out = out
            .map_err(Error::file("open the log of a process in a lab host"))?
            .into_file();
        let err = out
            .try_clone()
            .map_err(Error::file("share the log of a process in a lab host"))?;
        command.args(["bash", "-c", START, self.name]).args(words);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let before = self.pid();
        let status = command.status().map_err(tool::start_failed(&command))?;
        if !status.success() {
            let command = words.first().copied().unwrap_or_default().to_owned();
            return Err(Error::ToolFailed {
                command,
                status,
                stderr: tail(log),
            });
        }
        self.await_note(before);
        Ok(())
    }

    /// The note comes a moment after the start; a process that has ended already leaves one too.
    fn await_note(&self, before: Option<u32>) {
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.pid() == before && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Asks the service to end, and makes it after `patience`.
    pub(crate) fn stop(&self, enter: impl Fn() -> Command, patience: Duration) -> Result<()> {
        for (signal, patience) in [("-TERM", patience), ("-KILL", Duration::from_secs(5))] {
            let Some(pid) = self.pid() else { return Ok(()) };
            let mut command = enter();
            command.args(["kill", signal, &pid.to_string()]);
            // It may have ended in between: whether it runs is looked at below.
            let _ = tool::output_of(command);
            let deadline = Instant::now() + patience;
            while self.pid() == Some(pid) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    fn root(&self) -> String {
        format!("/proc/{}/root", self.host.as_raw_nonzero())
    }
}

/// The last lines of a log, at most 2000 bytes.
pub(crate) fn tail(log: &Path) -> String {
    let bytes = fs_err::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(2000)..]).into_owned();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
