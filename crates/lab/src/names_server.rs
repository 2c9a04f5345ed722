//! The lab's name server: dnsmasq on the gateway's address.
//!
//! Hosts and their containers ask it. It knows the lab's names and asks the machine's own resolver
//! for all others, so it also serves where that one listens on a loopback address only.

use std::process::Stdio;

use rustix::process::{Signal, kill_process};

use crate::folder::{Folder, replace};
use crate::process::{Mark, end_all, marked};
use crate::record::Record;
use crate::subnet::Subnet;
use crate::tool::{self, Tools};
use crate::{Error, Result};

/// Writes the names and makes sure that the server runs and has read them.
pub(crate) fn ensure(
    tools: &Tools<'_>,
    folder: &Folder,
    record: &Record,
    subnet: Subnet,
) -> Result<()> {
    let names = record.names(subnet);
    let is_known = fs_err::read_to_string(folder.names()).is_ok_and(|known| known == names);
    replace(&folder.names(), names.as_bytes(), 0o644)
        .map_err(Error::file("write the lab's names"))?;
    let mark = Mark::NamesServer(record.name.clone());
    let running = marked(&mark);
    match running.first() {
        Some(_) if is_known => Ok(()),
        Some(server) => kill_process(*server, Signal::HUP)
            .map_err(Error::system("make the lab's name server read its names")),
        None => start(tools, folder, &mark, subnet),
    }
}

fn start(tools: &Tools<'_>, folder: &Folder, mark: &Mark, subnet: Subnet) -> Result<()> {
    let log = fs_err::File::create(folder.names_log())
        .map_err(Error::file("make the name server's log"))?
        .into_file();
    let mut command = tools.command("setsid")?;
    // The mark is the name under which the server runs. It answers only after it has bound its
    // address, and goes to the background then: so its start is over when this call is.
    command.args([
        "bash",
        "-c",
        r#"exec -a "$0" dnsmasq "$@""#,
        &mark.argument(),
    ]);
    command.args([
        "--conf-file=/dev/null",
        "--pid-file=",
        "--no-hosts",
        "--bind-interfaces",
        "--except-interface=lo",
    ]);
    // Names under .lab are the lab's own: they are never asked for outside.
    command.args([
        "--user=root",
        "--cache-size=1000",
        "--log-facility=-",
        "--local=/lab/",
    ]);
    command.arg(format!("--listen-address={}", subnet.gateway()));
    command.arg(format!("--addn-hosts={}", folder.names().display()));
    command.stdout(Stdio::null()).stderr(log);
    let status = command.status().map_err(tool::start_failed(&command))?;
    if status.success() {
        return Ok(());
    }
    let stderr = fs_err::read_to_string(folder.names_log())
        .unwrap_or_default()
        .trim()
        .to_owned();
    Err(Error::ToolFailed {
        command: format!("dnsmasq on {}", subnet.gateway()),
        status,
        stderr,
    })
}

/// Ends the server, so that it can be started on another address.
pub(crate) fn stop(record: &Record) -> Result<()> {
    end_all(&record.name, &Mark::NamesServer(record.name.clone()))
}
