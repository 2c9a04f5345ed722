//! What labs share on this machine: one lock, held while links and rules are chosen.

use std::fs::File;

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

/// Held while bridges, firewall rules or the forwarding switch are changed.
pub(crate) struct MachineLock(
    #[expect(dead_code, reason = "closing the file frees the lock")] File,
);

impl MachineLock {
    /// Waits for the lock. It lies on the folder `/run` itself, so no file is left behind.
    pub(crate) fn acquire() -> Result<Self> {
        let folder = fs_err::File::open("/run")
            .map_err(Error::file("open /run for the lock of all labs"))?
            .into_file();
        flock(&folder, FlockOperation::LockExclusive)
            .map_err(Error::system("wait for the lock of all labs"))?;
        Ok(Self(folder))
    }
}

/// Only root can make a lab.
pub(crate) fn require_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(Error::NeedsRoot)
    }
}
