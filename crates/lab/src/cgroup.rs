//! The control groups of the lab's containers, which outlive the containers of an engine that was killed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::name::{HostName, LabName};
use crate::{Error, Result};

const ROOT: &str = "/sys/fs/cgroup";
const PARENT: &str = "lotse-lab";

/// The group under which a host's engine puts its containers.
pub(crate) fn of_host(lab: &LabName, host: &HostName) -> String {
    format!("/{PARENT}/{lab}/{host}")
}

/// Removes the lab's groups from every hierarchy. Its processes must have ended.
pub(crate) fn remove(lab: &LabName) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    for hierarchy in hierarchies() {
        let parent = hierarchy.join(PARENT);
        remove_tree(&parent.join(lab.as_str()), deadline)?;
        let _ = fs_err::remove_dir(parent); // stays while another lab is in it
    }
    Ok(())
}

/// Version 2 has one hierarchy at the root, version 1 one in each folder below it.
fn hierarchies() -> Vec<PathBuf> {
    let below = fs_err::read_dir(ROOT)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    below
        .chain([ROOT.into()])
        .filter(|hierarchy| hierarchy.join(PARENT).is_dir())
        .collect()
}

fn remove_tree(group: &Path, deadline: Instant) -> Result<()> {
    for child in fs_err::read_dir(group).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&child.path(), deadline)?;
        }
    }
    loop {
        match fs_err::remove_dir(group) {
            Err(error)
                if error.kind() == std::io::ErrorKind::ResourceBusy
                    && Instant::now() < deadline =>
            {
                // The kernel lets go of dead members a moment after they are gone, and tells nobody.
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::File {
                    doing: "remove a control group of the lab",
                    source,
                });
            }
            _ => return Ok(()),
        }
    }
}
