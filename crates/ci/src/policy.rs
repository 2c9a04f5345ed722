//! `only` and `except`, the old form of `rules`.

use crate::report::Report;
use crate::rules::{Facts, texts};
use crate::scope::Scope;
use crate::{Input, Source};
use yaml::{Map, Node};

/// Whether a job without `rules` runs; else the keyword that says no. Without `only` it runs for
/// branches and tags, unless `workflow` has rules that decide it (GitLab, "workflow: rules").
pub(crate) fn allows(
    job: &Map,
    workflow_has_rules: bool,
    facts: &Facts<'_>,
    scope: &Scope<'_>,
    report: &mut Report,
) -> Result<(), &'static str> {
    let given = |name| job.get(name).filter(|node| !node.is_null());
    let only = given("only");
    let default_refs = match only {
        Some(only) => only.as_map().is_some() && only.get("refs").is_none(),
        None => !workflow_has_rules,
    };
    if default_refs && !matches_any(&["branches".into(), "tags".into()], facts.input) {
        return Err("only");
    }
    if let Some(only) = only
        && !only_holds(only, facts, scope, report)
    {
        return Err("only");
    }
    match given("except") {
        Some(except) if except_holds(except, facts, scope, report) => Err("except"),
        _ => Ok(()),
    }
}

/// Every part must hold.
fn only_holds(only: &Node, facts: &Facts<'_>, scope: &Scope<'_>, report: &mut Report) -> bool {
    if only.as_map().is_none() {
        return refs_match(only, facts.input);
    }
    let part = |name| only.get(name);
    part("refs").is_none_or(|refs| refs_match(refs, facts.input))
        && part("variables").is_none_or(|node| any_condition(node, facts, scope))
        && part("changes").is_none_or(|changes| facts.changed(changes, scope, report))
        && part("kubernetes").is_none()
}

/// One part is enough.
fn except_holds(except: &Node, facts: &Facts<'_>, scope: &Scope<'_>, report: &mut Report) -> bool {
    if except.as_map().is_none() {
        return refs_match(except, facts.input);
    }
    let part = |name| except.get(name);
    part("refs").is_some_and(|refs| refs_match(refs, facts.input))
        || part("variables").is_some_and(|node| any_condition(node, facts, scope))
        || part("changes").is_some_and(|changes| facts.changed(changes, scope, report))
}

fn any_condition(node: &Node, facts: &Facts<'_>, scope: &Scope<'_>) -> bool {
    let mut conditions = Vec::new();
    texts(node, &mut conditions);
    conditions.iter().any(|text| facts.holds(text, scope))
}

fn refs_match(refs: &Node, input: &Input) -> bool {
    let mut patterns = Vec::new();
    texts(refs, &mut patterns);
    matches_any(&patterns, input)
}

fn matches_any(patterns: &[std::sync::Arc<str>], input: &Input) -> bool {
    patterns.iter().any(|pattern| matches(pattern, input))
}

/// One entry of `refs`: `tags`, `branches`, a kind of source, a name or a `/regex/`, each with an
/// optional `@group/project`.
fn matches(pattern: &str, input: &Input) -> bool {
    let (pattern, project) = split_project(pattern);
    if project.is_some_and(|project| project != input.project) {
        return false;
    }
    let is_tag = input.git_ref.is_tag();
    let merge_request = matches!(
        input.source,
        Source::MergeRequestEvent | Source::ExternalPullRequestEvent
    );
    let source = input.source.as_str().trim_end_matches("_event");
    let named = match pattern {
        "tags" => is_tag && !merge_request,
        "branches" => !is_tag && !merge_request,
        "pushes" => source == "push",
        word => word == source || word.strip_suffix('s') == Some(source),
    };
    named || !merge_request && name_matches(pattern, input.git_ref.name())
}

fn name_matches(pattern: &str, name: &str) -> bool {
    let regex = pattern
        .strip_prefix('/')
        .and_then(|rest| rest.rsplit_once('/'));
    match regex {
        Some((body, flags)) => {
            crate::expression::regex(body, flags).is_ok_and(|regex| regex.is_match(name))
        }
        None => pattern == name,
    }
}

/// The `@` behind a regular expression or a name; one inside a regular expression is its own.
fn split_project(pattern: &str) -> (&str, Option<&str>) {
    let at = match pattern.starts_with('/') {
        true => pattern[1..].find("/@").map(|at| at + 2),
        false => pattern.find('@'),
    };
    match at {
        Some(at) => (&pattern[..at], Some(&pattern[at + 1..])),
        None => (pattern, None),
    }
}
