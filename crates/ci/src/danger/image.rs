//! Images by a tag that moves: tomorrow's job is another one.

use crate::draft::Draft;
use crate::report::{Problem, Report};
use yaml::Node;

const MOVING: [&str; 10] = [
    "latest", "main", "master", "stable", "edge", "dev", "develop", "nightly", "rolling", "lts",
];

pub(crate) fn look(draft: &Draft, report: &mut Report) {
    if let Some(image) = draft.get("image") {
        check(image, report);
    }
    let services = draft.get("services").and_then(Node::as_list);
    for service in services.unwrap_or_default() {
        check(service, report);
    }
}

fn check(image: &Node, report: &mut Report) {
    let node = image.get("name").unwrap_or(image);
    let Some(name) = node.as_str() else {
        return;
    };
    if name.contains('$') || name.contains('@') {
        return;
    }
    let last = name.rsplit('/').next().unwrap_or(name);
    let message = match last.split_once(':') {
        None => format!("image `{name}` has no tag: that means `latest`, which moves"),
        Some((_, tag)) if MOVING.contains(&tag) => {
            format!("image `{name}` is named by the tag `{tag}`, which moves")
        }
        Some(_) => return,
    };
    report.add(
        Problem::danger("moving-tag", node.span, message)
            .hint("name a version, or a digest: `name@sha256:…`"),
    );
}
