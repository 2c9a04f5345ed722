//! The file itself.

use super::{
    Key, List, Merge, ONE_OR_MORE, Object, Shape, key, object, refused, resource, service,
};
use crate::shape::short;

pub(crate) static FILE: Object = object(&[
    key("version", Shape::Scalar),
    key("name", Shape::Text),
    key(
        "include",
        Shape::List(List {
            item: &Shape::Short(short::include, &Shape::Object(&INCLUDE)),
            lone: false,
            merge: Merge::Append,
        }),
    ),
    key("services", Shape::Names(&Shape::Object(&service::SERVICE))),
    key("networks", Shape::Names(&Shape::Object(&resource::NETWORK))),
    key("volumes", Shape::Names(&Shape::Object(&resource::VOLUME))),
    key("configs", Shape::Names(&Shape::Object(&resource::CONFIG))),
    key("secrets", Shape::Names(&Shape::Object(&resource::SECRET))),
    refused(
        "models",
        "language models are run by Docker Desktop, not by the engine",
    ),
]);

/// Paths stay as they are: they start from the project's folder, not from the file's.
static INCLUDE: Object = Object {
    keys: INCLUDE_KEYS,
    required: &["path"],
};

const INCLUDE_KEYS: &[Key] = &[
    key("path", ONE_OR_MORE),
    key("project_directory", Shape::Text),
    key("env_file", ONE_OR_MORE),
];
