//! Images by a tag that moves: tomorrow's job is another one, and of what is pushed nothing is left to
//! go back to.

use super::{Line, line};
use crate::draft::Draft;
use crate::report::{Problem, Report};
use yaml::Node;

const MOVING: [&str; 12] = [
    "latest",
    "main",
    "master",
    "stable",
    "edge",
    "dev",
    "develop",
    "nightly",
    "rolling",
    "lts",
    "prod",
    "production",
];
/// Variables that hold no tag.
const TAGLESS: [&str; 4] = [
    "CI_REGISTRY_IMAGE",
    "CI_REGISTRY",
    "CI_PROJECT_PATH",
    "CI_PROJECT_NAME",
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

/// A job that pushes by a moving tag alone. Whoever pushes a fixed one beside it may go back.
pub(crate) fn look_at_pushes(lines: &[Line<'_>], report: &mut Report) {
    let pushes: Vec<_> = lines
        .iter()
        .filter_map(|one| Some((one.span, line::pushed_image(one.text)?)))
        .collect();
    let moving = |name: &str| moving_tag(name).map(str::to_owned);
    if pushes.iter().any(|(_, name)| moving(name).is_none()) {
        return;
    }
    for (span, name) in &pushes {
        let tag = moving(name).unwrap_or_default();
        let message = format!(
            "`{name}` is pushed by the tag `{tag}` alone: the next push takes it, and nothing is left to go back to"
        );
        let hint = "push the commit's own tag as well, and deploy that: `docker push \"$CI_REGISTRY_IMAGE:$CI_COMMIT_SHORT_SHA\"`";
        report.add(Problem::danger("moving-tag", *span, message).hint(hint));
    }
}

/// The tag of a name, if it surely moves.
fn moving_tag(name: &str) -> Option<&str> {
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.rsplit_once(':') {
        Some((_, tag)) => MOVING.contains(&tag).then_some(tag),
        None if name.contains('@') => None,
        None => {
            let mut variables = name.split('$').skip(1);
            let known = variables.all(|rest| {
                let rest = rest.strip_prefix('{').unwrap_or(rest);
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                TAGLESS.contains(&&rest[..end.unwrap_or(rest.len())])
            });
            known.then_some("latest")
        }
    }
}
