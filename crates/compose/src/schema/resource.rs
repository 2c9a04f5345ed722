//! Networks, volumes, configs and secrets.

use super::{LABELS, List, Merge, OPTIONS, Object, STRINGS, Shape, key, object, refused};
use crate::shape::short;

const ONLY_SWARM: &str = "only Swarm has drivers for it";

/// `true`, or a mapping with a name (deprecated).
const EXTERNAL: Shape = Shape::Either(&Shape::Bool, &EXTERNAL_NAME);

static EXTERNAL_NAME: Object = object(&[key("name", Shape::Text)]);

pub(super) static NETWORK: Object = object(&[
    key("attachable", Shape::Bool),
    key("driver", Shape::Text),
    key("driver_opts", STRINGS),
    key("enable_ipv4", Shape::Bool),
    key("enable_ipv6", Shape::Bool),
    key("external", EXTERNAL),
    key("internal", Shape::Bool),
    key("ipam", Shape::Object(&IPAM)),
    key("labels", LABELS),
    key("name", Shape::Text),
]);

static IPAM: Object = object(&[
    key("driver", Shape::Text),
    key(
        "config",
        Shape::List(List {
            item: &Shape::Object(&SUBNET),
            lone: false,
            merge: Merge::By(short::subnet_of),
        }),
    ),
    key("options", OPTIONS),
]);

static SUBNET: Object = object(&[
    key("subnet", Shape::Text),
    key("ip_range", Shape::Text),
    key("gateway", Shape::Text),
    key("aux_addresses", OPTIONS),
]);

pub(super) static VOLUME: Object = object(&[
    key("driver", Shape::Text),
    key("driver_opts", STRINGS),
    key("external", EXTERNAL),
    key("labels", LABELS),
    key("name", Shape::Text),
]);

pub(super) static CONFIG: Object = object(&[
    key("content", Shape::Text),
    key("environment", Shape::Text),
    key("external", EXTERNAL),
    key("file", Shape::Path),
    key("labels", LABELS),
    key("name", Shape::Text),
    refused("template_driver", ONLY_SWARM),
]);

pub(super) static SECRET: Object = object(&[
    refused("driver", ONLY_SWARM),
    refused("driver_opts", ONLY_SWARM),
    key("environment", Shape::Text),
    key("external", EXTERNAL),
    key("file", Shape::Path),
    key("labels", LABELS),
    key("name", Shape::Text),
    refused("template_driver", ONLY_SWARM),
]);
