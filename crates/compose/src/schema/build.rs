//! `build:` of a service: what the builder of the engine can do.

use super::{
    BYTES, EXTRA_HOSTS, LABELS, Object, Shape, TEXTS, ULIMITS, VARIABLES, key, object, refused,
};

pub(super) static BUILD: Object = object(&[
    refused(
        "additional_contexts",
        "the engine's builder takes one context; copy what is needed into it",
    ),
    key("args", VARIABLES),
    key("cache_from", TEXTS),
    refused("cache_to", "the engine's builder writes its own cache only"),
    key("context", Shape::PathOrUrl),
    key("dockerfile", Shape::Text),
    key("dockerfile_inline", Shape::Text),
    refused(
        "entitlements",
        "the engine's builder grants no entitlements",
    ),
    key("extra_hosts", EXTRA_HOSTS),
    key("isolation", Shape::Text),
    key("labels", LABELS),
    key("network", Shape::Text),
    key("no_cache", Shape::Bool),
    refused(
        "no_cache_filter",
        "the engine's builder keeps or leaves the whole cache: use `no_cache`",
    ),
    key("platforms", TEXTS),
    refused(
        "privileged",
        "the engine's builder runs nothing with all rights",
    ),
    refused("provenance", "the engine's builder makes no attestations"),
    key("pull", Shape::Bool),
    refused("sbom", "the engine's builder makes no attestations"),
    refused(
        "secrets",
        "the engine's builder hands no secrets to a build; fetch what needs them before it",
    ),
    key("shm_size", BYTES),
    refused(
        "ssh",
        "the engine's builder forwards no agent; fetch what needs it before the build",
    ),
    key("tags", TEXTS),
    key("target", Shape::Text),
    key("ulimits", ULIMITS),
]);
