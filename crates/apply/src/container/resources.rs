//! Networks and volumes as a compose file describes them, in the engine's words.

use compose::project::{OwnNetwork, OwnVolume};
use docker::network::{NetworkSpec, Subnet};
use docker::volume::VolumeSpec;

/// What a network of the file is on the engine.
pub(crate) fn network_spec(own: &OwnNetwork) -> NetworkSpec {
    let subnets = own.ipam.config.iter().map(|range| Subnet {
        subnet: range.subnet.clone(),
        range: range.ip_range.clone(),
        gateway: range.gateway.clone(),
        reserved: range.aux_addresses.clone(),
    });
    NetworkSpec {
        driver: own.driver.clone(),
        options: own.driver_opts.clone(),
        internal: own.internal,
        attachable: own.attachable,
        ipv6: own.enable_ipv6.unwrap_or(false),
        ipam_driver: own.ipam.driver.clone(),
        ipam_options: own.ipam.options.clone(),
        subnets: subnets.collect(),
        labels: own.labels.clone(),
    }
}

/// What a volume of the file is on the engine.
pub(crate) fn volume_spec(own: &OwnVolume) -> VolumeSpec {
    VolumeSpec {
        driver: own.driver.clone(),
        options: own.driver_opts.clone(),
        labels: own.labels.clone(),
    }
}
