//! `deploy:` of a service.

use super::{
    BYTES, COUNT, CPUS, DURATION, Form, LABELS, List, Merge, Object, Shape, TEXTS, key, object,
    refused, unused,
};

pub(super) static DEPLOY: Object = object(&[
    unused(
        "endpoint_mode",
        "outside of Swarm a service's name always leads to its containers",
    ),
    key("labels", LABELS),
    key("mode", Shape::Word(&["replicated", "global"])),
    refused(
        "placement",
        "where services run is said by the environment's hosts, not by constraints",
    ),
    key("replicas", COUNT),
    key("resources", Shape::Object(&RESOURCES)),
    key("restart_policy", Shape::Object(&RESTART_POLICY)),
    key("rollback_config", Shape::Object(&UPDATE)),
    key("update_config", Shape::Object(&UPDATE)),
]);

static UPDATE: Object = object(&[
    key("parallelism", COUNT),
    key("delay", DURATION),
    key(
        "failure_action",
        Shape::Word(&["continue", "pause", "rollback"]),
    ),
    key("monitor", DURATION),
    key("max_failure_ratio", Shape::Float),
    key("order", Shape::Word(&["start-first", "stop-first"])),
]);

static RESTART_POLICY: Object = object(&[
    key("condition", Shape::Word(&["none", "on-failure", "any"])),
    key("delay", DURATION),
    key("max_attempts", COUNT),
    key("window", DURATION),
]);

static RESOURCES: Object = object(&[
    key("limits", Shape::Object(&LIMITS)),
    key("reservations", Shape::Object(&RESERVATIONS)),
]);

static LIMITS: Object = object(&[
    key("cpus", CPUS),
    key("memory", BYTES),
    key("pids", Shape::Int(-1, i64::MAX)),
]);

static RESERVATIONS: Object = object(&[
    key("cpus", Shape::Form(Form::Number)),
    key("memory", BYTES),
    key(
        "devices",
        Shape::List(List {
            item: &Shape::Object(&DEVICE_REQUEST),
            lone: false,
            merge: Merge::Append,
        }),
    ),
    refused("generic_resources", "only Swarm knows generic resources"),
]);

pub(super) static DEVICE_REQUEST: Object = object(&[
    key("capabilities", TEXTS),
    key("count", Shape::Scalar),
    key("device_ids", TEXTS),
    key("driver", Shape::Text),
    key("options", LABELS),
]);
