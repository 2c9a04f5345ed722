//! What `up` and `down` tell while they work.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::name::HostName;
use crate::subnet::Subnet;

/// One thing that happened. The names borrow from the lab.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The bridge, its rules and the names are there.
    Network {
        /// The lab's address range.
        subnet: Subnet,
        /// This machine's address in it.
        gateway: Ipv4Addr,
    },
    /// A host answers on ssh and on its engine's socket.
    HostReady {
        /// The host.
        host: &'a HostName,
        /// Its address.
        address: Ipv4Addr,
        /// What had to be started; empty when all of it was running.
        started: &'a [&'static str],
        /// How long that took.
        took: Duration,
    },
    /// Everything of the lab is gone.
    Gone,
}
