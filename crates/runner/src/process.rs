//! Runs one process of a job: its output goes to the log as it comes, and it ends with all that it
//! started.
//!
//! The process leads a group of its own. It has ended when it has, not when its output is closed:
//! what it left in the background may hold that for ever, and is killed.

use std::future::Future;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::log::JobLog;

/// From SIGTERM to SIGKILL for a process that is told to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// The same for what is left in the background when its leader has ended.
const LEFTOVER_GRACE: Duration = Duration::from_secs(1);
const READ_SIZE: usize = 64 * 1024;

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended<C> {
    /// With this exit code; 128 and the signal's number when a signal ended it, as shells count.
    Exit(i32),
    /// It was stopped, for this cause.
    Stopped(C),
}

/// Runs `command` until it ends or `stop` says why it must.
pub(crate) async fn run<C>(
    mut command: Command,
    log: &JobLog,
    stop: impl Future<Output = C>,
) -> io::Result<Ended<C>> {
    let (reader, writer) = io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    // The command holds the writing ends of the pipe.
    drop(command);
    let group = Group::led_by(&child)?;
    let mut output = Output::new(Receiver::from_owned_fd(reader.into())?);
    let mut stop = std::pin::pin!(stop);
    let mut stopped = None;
    let mut kill_at = None;
    let status = loop {
        tokio::select! {
            read = output.read(), if output.open => log.write(read?),
            status = child.wait() => break status?,
            cause = &mut stop, if stopped.is_none() => {
                stopped = Some(cause);
                kill_at = Some(Instant::now() + STOP_GRACE);
                group.signal(Signal::TERM);
            }
            () = until(kill_at) => {
                kill_at = None;
                group.signal(Signal::KILL);
            }
        }
    };
    group.end().await;
    output.rest(log)?;
    Ok(match stopped {
        Some(cause) => Ended::Stopped(cause),
        None => Ended::Exit(exit_code(status)),
    })
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    let signal = || status.signal().map(|signal| 128 + signal);
    status.code().or_else(signal).unwrap_or(1)
}

/// The reading end of a process's output.
struct Output {
    pipe: Receiver,
    buffer: Vec<u8>,
    open: bool,
}

impl Output {
    fn new(pipe: Receiver) -> Self {
        Self {
            pipe,
            buffer: vec![0; READ_SIZE],
            open: true,
        }
    }

    async fn read(&mut self) -> io::Result<&[u8]> {
        let length = self.pipe.read(&mut self.buffer).await?;
        self.open = length > 0;
        Ok(&self.buffer[..length])
    }

    /// What is in the pipe now; nobody writes into it any more but those who escaped.
    ///
    /// The kernel is asked, not the runtime: that may not have heard yet that there is something
    /// to read, and would say that there is nothing.
    fn rest(&mut self, log: &JobLog) -> io::Result<()> {
        const MOST_READS: usize = 64;
        for _ in 0..MOST_READS {
            match rustix::io::read(&self.pipe, &mut self.buffer) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(length) => log.write(&self.buffer[..length]),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// A process group.
struct Group(Pid);

impl Group {
    fn led_by(child: &tokio::process::Child) -> io::Result<Self> {
        child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .map(Self)
            .ok_or_else(|| io::Error::other("the process ended before it began"))
    }

    /// Nobody left in the group is not an error.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.0, signal);
    }

    fn is_empty(&self) -> bool {
        test_kill_process_group(self.0) == Err(Errno::SRCH)
    }

    /// Ends whoever is left.
    async fn end(&self) {
        if self.is_empty() {
            return;
        }
        self.signal(Signal::TERM);
        let deadline = Instant::now() + LEFTOVER_GRACE;
        while !self.is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(5)).await;
        }
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::mask::Masker;

    async fn shell(script: &str) -> (Ended<()>, String) {
        let log = JobLog::new(Masker::new([]), 1 << 20, &std::env::temp_dir()).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let ended = run(command, &log, std::future::pending()).await.unwrap();
        log.close();
        (
            ended,
            String::from_utf8(log.read(0, 1 << 20).unwrap().to_vec()).unwrap(),
        )
    }

    #[tokio::test]
    async fn output_and_exit_code() {
        for (script, output, code) in [
            ("echo a; echo b >&2; echo c", "a\nb\nc\n", 0),
            ("exit 3", "", 3),
            ("kill -9 $$", "", 137),
            ("cat; echo after", "after\n", 0),
        ] {
            assert_eq!(
                shell(script).await,
                (Ended::Exit(code), output.to_owned()),
                "{script}"
            );
        }
    }

    /// A process may end before the runtime has heard of what it wrote.
    #[tokio::test]
    async fn nothing_of_the_output_is_lost_when_the_end_is_seen_first() {
        let log = JobLog::new(Masker::new([]), 1 << 20, &std::env::temp_dir()).unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let mut output = Output::new(Receiver::from_owned_fd(reader.into()).unwrap());
        (&writer).write_all(b"last words\n").unwrap();
        drop(writer);
        output.rest(&log).unwrap();
        log.close();
        assert_eq!(&log.read(0, 100).unwrap()[..], b"last words\n");
    }

    #[tokio::test]
    async fn the_background_does_not_hold_the_end() {
        let begin = Instant::now();
        let (ended, output) = shell("sleep 60 & echo $!").await;
        assert_eq!(ended, Ended::Exit(0));
        assert!(begin.elapsed() < Duration::from_secs(10));
        let pid = Pid::from_raw(output.trim().parse().unwrap()).unwrap();
        // An orphan's ghost may wait for its new parent a moment longer.
        let state = fs_err::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        assert!(state.is_err() || state.unwrap().contains(") Z "));
    }

    #[tokio::test]
    async fn stop_reaches_the_whole_group_and_the_output_before_it_is_kept() {
        let log = JobLog::new(Masker::new([]), 1 << 20, &std::env::temp_dir()).unwrap();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "trap 'echo bye; exit 1' TERM; echo hello; sleep 60 & wait",
        ]);
        let stop = async {
            log.beyond(5).await;
            "cancelled"
        };
        let ended = run(command, &log, stop).await.unwrap();
        assert_eq!(ended, Ended::Stopped("cancelled"));
        log.close();
        assert_eq!(&log.read(0, 100).unwrap()[..], b"hello\nbye\n");
    }
}
