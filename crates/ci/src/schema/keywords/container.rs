//! The containers that a job runs in and beside.

use super::super::{Map, Shape, key, list, map};
use super::{NAME, SOME_TEXTS, TEXTS, VARIABLES};
use Shape::{Either, Integer, List as L, Map as M, Same, Word};

pub(super) static IMAGE: Shape = Either(&[
    NAME,
    M(&map(
        "`image`",
        &[
            key("name", NAME, "The image"),
            key("entrypoint", L(&TEXTS), "In place of the image's own"),
            key("pull_policy", Same(&PULL_POLICY), "When to pull it"),
            key("docker", M(&DOCKER), "For Docker"),
            key("kubernetes", M(&KUBERNETES), "For Kubernetes"),
        ],
    )
    .required(&[&["name"]])),
]);
pub(super) static PULL_POLICIES: [&str; 3] = ["always", "if-not-present", "never"];
pub(super) static PULL_POLICY: Shape = Either(&[
    Word(&PULL_POLICIES),
    L(&list(Word(&PULL_POLICIES)).at_least(1).unique()),
]);
pub(super) static DOCKER: Map = map(
    "`docker`",
    &[
        key("platform", NAME, "Architecture to pull"),
        key("user", NAME, "User to run as"),
    ],
);
pub(super) static KUBERNETES: Map = map(
    "`kubernetes`",
    &[key(
        "user",
        Either(&[NAME, Integer(0, i64::MAX)]),
        "User to run as",
    )],
);
pub(super) static SERVICES: Shape = L(&list(Either(&[
    NAME,
    M(&map(
        "a service",
        &[
            key("name", NAME, "The image"),
            key("alias", NAME, "Further names it is found under"),
            key("entrypoint", L(&SOME_TEXTS), "In place of the image's own"),
            key("command", L(&SOME_TEXTS), "In place of the image's own"),
            key("pull_policy", Same(&PULL_POLICY), "When to pull it"),
            key("variables", Same(&VARIABLES), "For this service alone"),
            key("docker", M(&DOCKER), "For Docker"),
            key("kubernetes", M(&KUBERNETES), "For Kubernetes"),
        ],
    )
    .required(&[&["name"]])),
])));
