//! Services.

use super::{
    ANY_INT, BYTES, COUNT, CPUS, DURATION, EXTRA_HOSTS, Form, LABELS, List, Merge, ONE_OR_MORE,
    OPTIONS, Object, STRINGS, Shape, TEXTS, ULIMITS, VARIABLES, build, deploy, key, object,
    refused, unused,
};
use crate::shape::short;

pub(crate) static SERVICE: Object = object(&[
    key("annotations", STRINGS),
    unused("attach", "it is about what a terminal shows"),
    key("blkio_config", Shape::Object(&BLKIO)),
    key(
        "build",
        Shape::Short(short::build, &Shape::Object(&build::BUILD)),
    ),
    key("cap_add", TEXTS),
    key("cap_drop", TEXTS),
    key("cgroup", Shape::Word(&["host", "private"])),
    key("cgroup_parent", Shape::Text),
    key("command", Shape::Command),
    key("configs", FILE_MOUNTS),
    key("container_name", Shape::Text),
    key("cpu_count", Shape::Int(0, 1_000_000)),
    key("cpu_percent", Shape::Int(0, 100)),
    key("cpu_period", Shape::Form(Form::Micros)),
    key("cpu_quota", Shape::Form(Form::Micros)),
    key("cpu_rt_period", Shape::Form(Form::Micros)),
    key("cpu_rt_runtime", Shape::Form(Form::Micros)),
    key("cpu_shares", Shape::Form(Form::Integer)),
    key("cpus", CPUS),
    key("cpuset", Shape::Text),
    refused(
        "credential_spec",
        "credentials of Windows mean nothing to engines of Linux",
    ),
    key(
        "depends_on",
        Shape::Short(
            short::depends_on,
            &Shape::Names(&Shape::Object(&DEPENDENCY)),
        ),
    ),
    key("deploy", Shape::Object(&deploy::DEPLOY)),
    unused("develop", "it is about a developer's machine"),
    key("device_cgroup_rules", TEXTS),
    key(
        "devices",
        Shape::List(List {
            item: &Shape::Short(short::device, &Shape::Object(&DEVICE)),
            lone: false,
            merge: Merge::By(short::device_target),
        }),
    ),
    key("dns", ONE_OR_MORE),
    key("dns_opt", TEXTS),
    key("dns_search", ONE_OR_MORE),
    key("domainname", Shape::Text),
    key("entrypoint", Shape::Command),
    key(
        "env_file",
        Shape::List(List {
            item: &Shape::Short(short::env_file, &Shape::Object(&ENV_FILE)),
            lone: true,
            merge: Merge::Append,
        }),
    ),
    key("environment", VARIABLES),
    key(
        "expose",
        Shape::List(List {
            item: &Shape::Form(Form::Expose),
            lone: false,
            merge: Merge::Union,
        }),
    ),
    key(
        "extends",
        Shape::Short(short::extends, &Shape::Object(&EXTENDS)),
    ),
    key("external_links", TEXTS),
    key("extra_hosts", EXTRA_HOSTS),
    key(
        "gpus",
        Shape::Short(
            short::gpus,
            &Shape::List(List {
                item: &Shape::Object(&deploy::DEVICE_REQUEST),
                lone: false,
                merge: Merge::Append,
            }),
        ),
    ),
    key(
        "group_add",
        Shape::List(List {
            item: &Shape::Scalar,
            lone: false,
            merge: Merge::Union,
        }),
    ),
    key("healthcheck", Shape::Object(&HEALTHCHECK)),
    key("hostname", Shape::Text),
    key("image", Shape::Text),
    key("init", Shape::Bool),
    key("ipc", Shape::Text),
    key("isolation", Shape::Text),
    key(
        "label_file",
        Shape::List(List {
            item: &Shape::Path,
            lone: true,
            merge: Merge::Append,
        }),
    ),
    key("labels", LABELS),
    key(
        "links",
        Shape::List(List {
            item: &Shape::Text,
            lone: false,
            merge: Merge::By(short::link_alias),
        }),
    ),
    key("logging", Shape::Object(&LOGGING)),
    key("mac_address", Shape::Text),
    key("mem_limit", BYTES),
    key("mem_reservation", BYTES),
    key("mem_swappiness", Shape::Int(-1, 100)),
    key("memswap_limit", BYTES),
    refused(
        "models",
        "language models are run by Docker Desktop, not by the engine",
    ),
    key("network_mode", Shape::Text),
    key(
        "networks",
        Shape::Short(short::networks, &Shape::Names(&Shape::Object(&ENDPOINT))),
    ),
    key("oom_kill_disable", Shape::Bool),
    key("oom_score_adj", Shape::Int(-1000, 1000)),
    key("pid", Shape::Text),
    key("pids_limit", Shape::Form(Form::Integer)),
    key("platform", Shape::Text),
    key("ports", Shape::Ports),
    refused(
        "post_start",
        "hooks are not carried out; let the image's entrypoint do it",
    ),
    refused(
        "pre_stop",
        "hooks are not carried out; let the program act on its stop signal",
    ),
    key("privileged", Shape::Bool),
    key("profiles", TEXTS),
    refused(
        "provider",
        "what an outside program provides is not managed",
    ),
    key(
        "pull_policy",
        Shape::Word(&["missing", "if_not_present", "always", "never", "build"]),
    ),
    key("read_only", Shape::Bool),
    key("restart", Shape::Form(Form::Restart)),
    key("runtime", Shape::Text),
    key("scale", COUNT),
    key("secrets", FILE_MOUNTS),
    key(
        "security_opt",
        Shape::List(List {
            item: &Shape::Text,
            lone: false,
            merge: Merge::Union,
        }),
    ),
    key("shm_size", BYTES),
    key("stdin_open", Shape::Bool),
    key("stop_grace_period", DURATION),
    key("stop_signal", Shape::Text),
    key("storage_opt", OPTIONS),
    key("sysctls", STRINGS),
    key("tmpfs", ONE_OR_MORE),
    key("tty", Shape::Bool),
    key("ulimits", ULIMITS),
    refused(
        "use_api_socket",
        "it would give the container all rights of the engine; mount the socket if that is meant",
    ),
    key("user", Shape::Text),
    key("userns_mode", Shape::Text),
    key("uts", Shape::Text),
    key(
        "volumes",
        Shape::List(List {
            item: &Shape::Mount,
            lone: false,
            merge: Merge::By(short::mount_target),
        }),
    ),
    key("volumes_from", TEXTS),
    key("working_dir", Shape::Text),
]);

const FILE_MOUNTS: Shape = Shape::List(List {
    item: &Shape::Short(short::source, &Shape::Object(&FILE_MOUNT)),
    lone: false,
    merge: Merge::By(short::source_of),
});

static FILE_MOUNT: Object = Object {
    keys: &[
        key("source", Shape::Text),
        key("target", Shape::Text),
        key("uid", Shape::Text),
        key("gid", Shape::Text),
        key("mode", Shape::Int(0, 0o7777)),
    ],
    required: &["source"],
};

static BLKIO: Object = object(&[
    key("weight", Shape::Int(0, 1000)),
    key("weight_device", rates(&WEIGHT)),
    key("device_read_bps", rates(&BYTE_RATE)),
    key("device_read_iops", rates(&RATE)),
    key("device_write_bps", rates(&BYTE_RATE)),
    key("device_write_iops", rates(&RATE)),
]);

const fn rates(item: &'static Shape) -> Shape {
    Shape::List(List {
        item,
        lone: false,
        merge: Merge::By(short::path_of),
    })
}

static WEIGHT: Shape = Shape::Object(&Object {
    keys: &[key("path", Shape::Text), key("weight", Shape::Int(0, 1000))],
    required: &["path", "weight"],
});

static BYTE_RATE: Shape = Shape::Object(&Object {
    keys: &[
        key("path", Shape::Text),
        key("rate", Shape::Form(Form::ByteCount)),
    ],
    required: &["path", "rate"],
});

static RATE: Shape = Shape::Object(&Object {
    keys: &[
        key("path", Shape::Text),
        key("rate", Shape::Int(0, i64::MAX)),
    ],
    required: &["path", "rate"],
});

static DEPENDENCY: Object = object(&[
    key(
        "condition",
        Shape::Word(&[
            "service_started",
            "service_healthy",
            "service_completed_successfully",
        ]),
    ),
    key("restart", Shape::Bool),
    key("required", Shape::Bool),
]);

static DEVICE: Object = Object {
    keys: &[
        key("source", Shape::Text),
        key("target", Shape::Text),
        key("permissions", Shape::Text),
    ],
    required: &["source"],
};

static ENV_FILE: Object = Object {
    keys: &[
        key("path", Shape::Path),
        key("required", Shape::Bool),
        key("format", Shape::Word(&["raw"])),
    ],
    required: &["path"],
};

static EXTENDS: Object = Object {
    keys: &[key("service", Shape::Text), key("file", Shape::Path)],
    required: &["service"],
};

static HEALTHCHECK: Object = object(&[
    key("disable", Shape::Bool),
    key("interval", DURATION),
    key("retries", COUNT),
    key("start_interval", DURATION),
    key("start_period", DURATION),
    key("test", Shape::Command),
    key("timeout", DURATION),
]);

static LOGGING: Object = object(&[key("driver", Shape::Text), key("options", OPTIONS)]);

static ENDPOINT: Object = object(&[
    key("aliases", TEXTS),
    key("driver_opts", OPTIONS),
    key("gw_priority", ANY_INT),
    key("interface_name", Shape::Text),
    key("ipv4_address", Shape::Text),
    key("ipv6_address", Shape::Text),
    key("link_local_ips", TEXTS),
    key("mac_address", Shape::Text),
    key("priority", ANY_INT),
]);

/// The long form of a port; the short one becomes this.
pub(crate) static PORT: Object = Object {
    keys: &[
        key("target", Shape::Int(1, 65535)),
        key("published", Shape::Form(Form::Published)),
        key("host_ip", Shape::Text),
        key("protocol", Shape::Form(Form::Protocol)),
        key("app_protocol", Shape::Text),
        key("mode", Shape::Word(&["ingress", "host"])),
        key("name", Shape::Text),
    ],
    required: &["target"],
};

/// The long form of a volume. Which parts fit its type is read later.
pub(crate) static MOUNT: Object = Object {
    keys: &[
        key("type", Shape::Text),
        key("source", Shape::Text),
        key("target", Shape::Text),
        key("read_only", Shape::Bool),
        key("consistency", Shape::Text),
        key("bind", Shape::Object(&BIND)),
        key("volume", Shape::Object(&VOLUME)),
        key("tmpfs", Shape::Object(&TMPFS)),
        key("image", Shape::Object(&IMAGE)),
    ],
    required: &["type", "target"],
};

static BIND: Object = object(&[
    key(
        "propagation",
        Shape::Word(&[
            "private", "rprivate", "shared", "rshared", "slave", "rslave",
        ]),
    ),
    key("create_host_path", Shape::Bool),
    key("selinux", Shape::Word(&["z", "Z"])),
    refused(
        "recursive",
        "mounts below a bind mount are always bound too",
    ),
]);

static VOLUME: Object = object(&[
    key("nocopy", Shape::Bool),
    key("subpath", Shape::Text),
    refused(
        "labels",
        "an anonymous volume with labels is not supported; name it",
    ),
]);

static TMPFS: Object = object(&[
    key("size", Shape::Form(Form::ByteCount)),
    key("mode", Shape::Int(0, 0o7777)),
]);

static IMAGE: Object = object(&[key("subpath", Shape::Text)]);
