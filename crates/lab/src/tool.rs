//! The machine's own tools, called with arguments and never through a shell.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::{Error, Result};

/// Where tools of root are, also when the caller's `PATH` does not say so.
pub(crate) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin";

/// Every tool that a lab calls, with Debian's package.
const NEEDED: &[(&str, &str)] = &[
    ("bash", "bash"),
    ("env", "coreutils"),
    ("mount", "mount"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setsid", "util-linux"),
    ("setpriv", "util-linux"),
    ("pivot_root", "util-linux"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("dnsmasq", "dnsmasq-base"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("dockerd", "docker.io"),
];

/// Fails with the first tool that is not installed.
pub(crate) fn require_all() -> Result<()> {
    let is_there = |tool: &str| {
        PATH.split(':')
            .any(|folder| Path::new(folder).join(tool).is_file())
    };
    match NEEDED.iter().find(|(tool, _)| !is_there(tool)) {
        Some(&(tool, package)) => Err(Error::ToolMissing { tool, package }),
        None => Ok(()),
    }
}

/// A call of a tool, with nothing of the caller's environment or folder (some calls stay for as long
/// as the lab), and in the C locale so that its words can be read.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C");
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// Runs a tool that changes nothing and returns what it printed.
pub(crate) fn ask(name: &str, arguments: &[&str]) -> Result<String> {
    let mut command = command(name);
    command.args(arguments);
    output_of(command)
}

/// The tools that change the machine. Each holds the lab's lock as its standard input: when its
/// caller is killed, the next one waits until the tool has ended too.
pub(crate) struct Tools<'a>(pub(crate) Option<&'a File>);

impl Tools<'_> {
    /// A call of a tool.
    pub(crate) fn command(&self, name: &str) -> Result<Command> {
        let mut command = command(name);
        if let Some(lock) = self.0 {
            let lock = lock.try_clone();
            command.stdin(lock.map_err(Error::file("share the lab's lock with a tool"))?);
        }
        Ok(command)
    }

    /// Runs a tool to its end and returns what it printed.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(name)?;
        command.args(arguments);
        output_of(command)
    }

    /// Runs a tool that may say no; `true` if it said yes.
    pub(crate) fn succeeds(&self, name: &str, arguments: &[&str]) -> Result<bool> {
        let mut command = self.command(name)?;
        command.args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().map_err(start_failed(&command))?;
        Ok(status.success())
    }
}

/// Runs a prepared call with text on its standard input.
pub(crate) fn run_with_input(mut command: Command, input: &str) -> Result<String> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(start_failed(&command))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that ends early says why on its standard error, which is read below.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(start_failed(&command))?;
    checked(&command, output)
}

/// Runs a prepared call to its end and returns what it printed.
pub(crate) fn output_of(mut command: Command) -> Result<String> {
    let output = command.output().map_err(start_failed(&command))?;
    checked(&command, output)
}

fn checked(command: &Command, output: Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::ToolFailed {
        command: shown(command),
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

pub(crate) fn start_failed(command: &Command) -> impl FnOnce(std::io::Error) -> Error {
    let command = shown(command);
    move |source| Error::ToolStart { command, source }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
