//! What can go wrong with a lab, and how to mend it.

use std::path::PathBuf;
use std::{io, process::ExitStatus};

use crate::name::{HostName, LabName};
use crate::share::SharePath;

/// Why an operation on a lab failed. `Display` says what and where; [`Error::hint`] the mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Namespaces, mounts and links are root's.
    #[error("a lab needs root: it makes namespaces, mounts and network links")]
    NeedsRoot,
    /// A tool of the machine is missing.
    #[error("`{tool}` is not installed on this machine")]
    ToolMissing {
        /// The command that was looked for.
        tool: &'static str,
        /// Debian's package that holds it.
        package: &'static str,
    },
    /// A tool could not be started.
    #[error("cannot start `{command}`")]
    ToolStart {
        /// The command line.
        command: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A tool said no.
    #[error("`{command}` failed ({status}): {stderr}")]
    ToolFailed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// A file operation failed; the source names the path.
    #[error("cannot {doing}")]
    File {
        /// The operation and its object.
        doing: &'static str,
        /// The system's reason, with the path.
        source: io::Error,
    },
    /// The kernel refused a system call.
    #[error("cannot {doing}")]
    System {
        /// The operation and its object.
        doing: &'static str,
        /// The kernel's reason.
        source: rustix::io::Errno,
    },
    /// The state folder holds something else.
    #[error("{} is not empty and holds no lab", .folder.display())]
    NotALab {
        /// The folder that was asked for.
        folder: PathBuf,
    },
    /// The state file cannot be understood.
    #[error("{} cannot be read as a lab's record", .path.display())]
    Record {
        /// The state file.
        path: PathBuf,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// Sockets in the folder would have addresses that the kernel does not take.
    #[error("the state folder {} is too deep: {socket} has {} characters, sockets may have 107", .folder.display(), .socket.len())]
    FolderTooDeep {
        /// The state folder.
        folder: PathBuf,
        /// The address of the socket.
        socket: String,
    },
    /// Another folder holds the lab of this name.
    #[error("the lab {name} exists already, in {}", .folder.display())]
    NameTaken {
        /// The lab's name.
        name: LabName,
        /// Where it is.
        folder: PathBuf,
    },
    /// The folder holds the lab of another name.
    #[error("{} holds the lab {name}", .folder.display())]
    FolderTaken {
        /// The name of the lab that is there.
        name: LabName,
        /// The folder that was asked for.
        folder: PathBuf,
    },
    /// There is no such lab.
    #[error("there is no lab {name} in {}", .folder.display())]
    NoSuchLab {
        /// The lab's name.
        name: LabName,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The lab has no such host.
    #[error("the lab {lab} has no host {host}; it has {}", .known.join(", "))]
    NoSuchHost {
        /// The lab's name.
        lab: LabName,
        /// The name that was asked for.
        host: String,
        /// The hosts it has.
        known: Vec<String>,
    },
    /// A lab without hosts was asked for.
    #[error("the lab {name} has no hosts yet")]
    NoHosts {
        /// The lab's name.
        name: LabName,
    },
    /// A subnet has room for 240 hosts.
    #[error("the lab {name} is full: it has room for 240 hosts")]
    Full {
        /// The lab's name.
        name: LabName,
    },
    /// Every candidate overlaps with a route of this machine.
    #[error("no subnet 10.87.N.0/24 is free on this machine")]
    NoSubnet,
    /// An alias points to a host that the lab has not.
    #[error(
        "the alias {alias} points to {target}, which is neither an address, `gateway` nor a host of the lab"
    )]
    AliasTarget {
        /// The name.
        alias: String,
        /// Where it shall point to.
        target: String,
    },
    /// A folder is to be shared with a host that the lab has not.
    #[error("{path} is to be shared with {host}, which is no host of the lab")]
    ShareHost {
        /// The shared folder.
        path: SharePath,
        /// The host that is not there.
        host: HostName,
    },
    /// A host gets its shared folders when it starts.
    #[error("{host} runs without the shared folder {path}")]
    ShareTooLate {
        /// The lab's name.
        lab: LabName,
        /// The host's name.
        host: HostName,
        /// The shared folder.
        path: SharePath,
    },
    /// The host is down.
    #[error("the host {host} of the lab {lab} is not running")]
    HostDown {
        /// The lab's name.
        lab: LabName,
        /// The host's name.
        host: HostName,
    },
    /// The host's namespaces or file system could not be made.
    #[error("the host {host} did not start: {said}")]
    HostStart {
        /// The host's name.
        host: HostName,
        /// What its first process said.
        said: String,
    },
    /// A process of the host died or did not answer.
    #[error("{service} of the host {host} {problem}; the end of {}:\n{said}", .log.display())]
    Service {
        /// The host's name.
        host: HostName,
        /// Which process.
        service: String,
        /// What is wrong with it.
        problem: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        said: String,
    },
    /// Processes that do not end although killed.
    #[error("{count} processes of the lab {name} do not end (waiting for a device?)")]
    Unkillable {
        /// The lab's name.
        name: LabName,
        /// How many.
        count: usize,
    },
}

impl Error {
    pub(crate) fn file(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { doing, source }
    }

    pub(crate) fn system(doing: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |source| Self::System { doing, source }
    }

    /// How the user can mend it, where there is a way that always fits.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NeedsRoot => format!("run: sudo {}", command_line()),
            Self::ToolMissing { package, .. } => {
                format!("run: sudo scripts/setup lab (or: sudo apt-get install {package})")
            }
            Self::NotALab { .. } => "give --dir a folder that is empty or does not exist".into(),
            Self::Record { .. } => "take the lab down (`lotse lab down`) and make it anew".into(),
            Self::FolderTooDeep { .. } => "choose a shorter --dir".into(),
            Self::NameTaken { name, folder } => {
                format!(
                    "use --name for another name, or: lotse lab down --name {name} --dir {}",
                    folder.display()
                )
            }
            Self::FolderTaken { name, .. } => format!("use another --dir, or --name {name}"),
            Self::NoSuchLab { name, .. } => {
                format!("make it: lotse lab up --name {name} --host HOST")
            }
            Self::NoHosts { .. } => "name at least one: --host build".into(),
            Self::ShareTooLate { lab, host, .. } => format!(
                "switch it off and on: lotse lab stop --name {lab} {host} && lotse lab up --name {lab}"
            ),
            Self::HostDown { lab, .. } => format!("start it again: lotse lab up --name {lab}"),
            Self::Unkillable { .. } => "try `lotse lab down` again in a minute".into(),
            _ => return None,
        })
    }
}

fn command_line() -> String {
    std::env::args().collect::<Vec<_>>().join(" ")
}
