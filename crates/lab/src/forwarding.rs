//! The machine's switch for forwarding packets: on while a lab is up, as it was afterwards.

use fs_err as fs;

use crate::{Error, Result, link};

const SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";
/// Exists while the switch is on because of a lab.
const NOTE: &str = "/run/lotse-lab-turned-forwarding-on";

/// Turns forwarding on, noting whether it was off.
pub(crate) fn turn_on() -> Result<()> {
    if fs::read_to_string(SWITCH)
        .map_err(Error::file("read the forwarding switch"))?
        .trim()
        == "1"
    {
        return Ok(());
    }
    fs::write(NOTE, "").map_err(Error::file("note that forwarding was off"))?;
    fs::write(SWITCH, "1").map_err(Error::file("turn forwarding on"))
}

/// After the last lab is gone, turns forwarding off if a lab turned it on; not when somebody else's
/// bridge (Docker's, libvirt's) has come to need it.
pub(crate) fn give_back() -> Result<()> {
    if !fs::exists(NOTE).unwrap_or(false) || link::bridges().iter().any(|bridge| bridge.is_a_labs())
    {
        return Ok(());
    }
    if link::bridges().is_empty() {
        fs::write(SWITCH, "0").map_err(Error::file("turn forwarding off"))?;
    }
    fs::remove_file(NOTE).map_err(Error::file("remove the note on forwarding"))
}
