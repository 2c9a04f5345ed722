//! Whether a job says what a job may say: its keywords, and which of them go together.

use super::Context;
use crate::graph::When;
use crate::read;
use crate::report::{Problem, Report};
use crate::schema::{GLOBAL, JOB, What, check, check_map};
use yaml::nearest;
use yaml::{Entry, Map, Node, Span};

/// The longest name of a job, in characters.
const MAX_NAME: usize = 255;
/// The longest time limit, in seconds.
const MONTH: u64 = 2_629_746;
/// The longest delay, in seconds.
const WEEK: u64 = 7 * 24 * 60 * 60;

/// Checks what a job says, as far as it can be seen without the others.
pub(super) fn job(entry: &Entry, own: &Map, context: &Context<'_>, report: &mut Report) {
    let length = entry.key.chars().count();
    if length > MAX_NAME {
        let message =
            format!("a job's name has {length} characters; at most {MAX_NAME} are allowed");
        report.add(Problem::error("out-of-range", entry.span, message));
    }
    if let Some(kind) = report.odd_key(entry.span) {
        let name = &entry.key;
        let message = format!("the name of a job must be a text, `{name}` is {kind}");
        let problem = Problem::error("wrong-kind", entry.span, message);
        report.add(problem.hint(format!("put quotes around it: `\"{name}\":`")));
    }
    check_map(&entry.value, &JOB, &What::job(&entry.key), report);
    for inner in &own.entries {
        check_misplaced(inner, report);
    }
    check_inputs(own, report);
    check_purpose(entry, own, context, report);
    check_combinations(entry, own, report);
}

/// Keywords of the file that stand in a job, and jobs in a job: what they hold is checked too.
fn check_misplaced(inner: &Entry, report: &mut Report) {
    if JOB.key(&inner.key).is_some() {
        return;
    }
    if &*inner.key == "spec" {
        return crate::inputs::check_spec(&inner.value, report);
    }
    if let Some(key) = GLOBAL.key(&inner.key) {
        let what = What::FILE.key(&inner.key);
        check(&inner.value, &key.shape, &what, report);
        if &*inner.key == "include" {
            check_include_inputs(&inner.value, report);
        }
        return;
    }
    let is_job = ["script", "run", "trigger"]
        .iter()
        .any(|keyword| inner.value.get(keyword).is_some());
    if let Some(map) = inner.value.as_map().filter(|_| is_job) {
        let message = format!("job `{}` stands inside another job", inner.key);
        report.add(
            Problem::error("nested-job", inner.span, message)
                .hint("move it to the left: jobs stand at the top of the file"),
        );
        check_map(&inner.value, &JOB, &What::job(&inner.key), report);
        check_inputs(map, report);
    }
}

fn check_include_inputs(include: &Node, report: &mut Report) {
    for item in read::named_items(include) {
        for input in (item.get("inputs").and_then(Node::as_map)).map_or(&[][..], |map| &map.entries)
        {
            crate::load::check_input_name(&input.key, input.span, report);
        }
    }
}

fn check_inputs(own: &Map, report: &mut Report) {
    let inputs = own.get("inputs").and_then(Node::as_map);
    for input in inputs.map_or(&[][..], |map| &map.entries) {
        crate::inputs::check_input(input, report);
        if input.value.get("default").is_none() {
            let message = format!("input `{}` of a job needs a `default`", input.key);
            report.add(Problem::error("input", input.span, message));
        }
    }
}

/// A job has exactly one of `script`, `run` and `trigger`. A mere check of the file only warns.
fn check_purpose(entry: &Entry, own: &Map, context: &Context<'_>, report: &mut Report) {
    const PURPOSES: [&str; 3] = ["script", "run", "trigger"];
    let has = |name: &&&str| own.get(name).is_some();
    let given: Vec<_> = PURPOSES.iter().filter(has).collect();
    let misspelt = own
        .entries
        .iter()
        .take(100)
        .find(|inner| JOB.key(&inner.key).is_none() && nearest(&inner.key, PURPOSES).is_some());
    let message = match given.len() {
        0 => format!("job `{}` has nothing to do", entry.key),
        1 => return,
        _ => format!(
            "job `{}` has both `{}` and `{}`",
            entry.key, given[0], given[1]
        ),
    };
    let hint = match (
        given.len(),
        misspelt.and_then(|inner| nearest(&inner.key, PURPOSES)),
    ) {
        (0, Some(near)) => format!(
            "did you mean `{near}` where it says `{}`?",
            misspelt.map_or("", |inner| &inner.key)
        ),
        (0, None) => format!(
            "add `script`, or name it `.{}` if others only extend it",
            entry.key
        ),
        _ => "a job does one of them: remove the other, or make two jobs".to_owned(),
    };
    let strict = context.facts.input.purpose == crate::Purpose::Create || misspelt.is_some();
    let problem = if strict {
        Problem::error("purpose", entry.span, message)
    } else {
        Problem::warning(
            "purpose",
            entry.span,
            format!("{message}; no pipeline can be created with it"),
        )
    };
    report.add(problem.hint(hint));
}

fn check_combinations(entry: &Entry, own: &Map, report: &mut Report) {
    let given = |name| own.get(name).filter(|node| !node.is_null());
    for keyword in ["only", "except"] {
        if let (Some(_), Some(node)) = (given("rules"), given(keyword)) {
            let message = format!("`{keyword}` cannot stand beside `rules`");
            report.add(
                Problem::error("rules-with-only", node.span, message)
                    .hint(format!("say it in `rules` and remove `{keyword}`")),
            );
        }
    }
    check_delays(entry, own, report);
    if let Some(node) = given("timeout")
        && read::seconds(own, "timeout").is_some_and(|seconds| seconds > MONTH)
    {
        let message = "`timeout` is at most one month";
        report.add(Problem::error("out-of-range", node.span, message));
    }
    if let Some(artifacts) = given("artifacts") {
        check_exposed(artifacts, report);
    }
    if let Some(environment) = given("environment") {
        check_environment_name(environment, report);
    }
    check_retry(own, report);
    check_trigger(own, report);
    if own.get("trigger").is_some() && own.get("script").is_none() && own.get("run").is_none() {
        check_starter(own, report);
    }
}

/// A job that starts a pipeline runs nowhere itself (gitlab, config/entry/bridge.rb and processable.rb).
fn check_starter(own: &Map, report: &mut Report) {
    const MAY_HAVE: [&str; 15] = [
        "allow_failure",
        "environment",
        "except",
        "extends",
        "inherit",
        "interruptible",
        "needs",
        "only",
        "parallel",
        "resource_group",
        "rules",
        "stage",
        "trigger",
        "variables",
        "when",
    ];
    let is_odd = |entry: &&Entry| JOB.key(&entry.key).is_some() && !MAY_HAVE.contains(&&*entry.key);
    for entry in own.entries.iter().filter(is_odd) {
        let message = format!("a job with `trigger` cannot have `{}`", entry.key);
        let problem = Problem::error("trigger", entry.span, message);
        report.add(
            problem.hint(
                "it runs nowhere itself: remove it, or say it in the pipeline that it starts",
            ),
        );
    }
    if let Some(node) = own
        .get("allow_failure")
        .filter(|node| node.as_map().is_some())
    {
        let message = "`allow_failure` of a job with `trigger` is `true` or `false`";
        report.add(Problem::error("trigger", node.span, message));
    }
    if let Some(node) = own
        .get("when")
        .filter(|_| read::when(own) == Some(When::Delayed))
    {
        let message = "a job with `trigger` cannot be delayed";
        let problem = Problem::error("trigger", node.span, message);
        report.add(problem.hint("let a delayed job come before it, and need that"));
    }
}

/// Without `max` a job is not tried again, whatever else `retry` says (GitLab, "retry": 0 is the default).
fn check_retry(own: &Map, report: &mut Report) {
    if let Some(node) = own.get("retry")
        && node.as_map().is_some()
        && node.get("max").is_none()
    {
        let message = "without `max` the job is never tried again";
        let problem = Problem::warning("retry", node.span, message);
        report.add(problem.hint("add `max: 1` or `max: 2`"));
    }
}

/// What is shown under a name is named file by file.
fn check_exposed(artifacts: &Node, report: &mut Report) {
    let Some(node) = artifacts.get("expose_as") else {
        return;
    };
    let Some(paths) = artifacts.get("paths") else {
        let message = "`expose_as` needs `paths`";
        return report.add(Problem::error("artifacts", node.span, message));
    };
    let is_pattern = |path: &Node| path.as_str().is_some_and(|path| path.contains('*'));
    if let Some(path) = read::named_items(paths).into_iter().find(is_pattern) {
        let message = "`paths` beside `expose_as` cannot have a `*`";
        report.add(
            Problem::error("artifacts", path.span, message)
                .note(node.span, "they are shown under this name")
                .hint("name the files and folders themselves"),
        );
    }
}

fn check_environment_name(environment: &Node, report: &mut Report) {
    let node = environment.get("name").unwrap_or(environment);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_/${}. ".contains(c);
    if let Some(name) = node.as_str()
        && let Some(wrong) = name.chars().find(|c| !allowed(*c))
    {
        let message = format!("the name of an environment cannot have `{wrong}`");
        report.add(
            Problem::error("environment", node.span, message)
                .hint("use letters, digits, spaces and `-_/.`; variables are filled in"),
        );
    }
}

fn check_delays(entry: &Entry, own: &Map, report: &mut Report) {
    let job = format!("job `{}`", entry.key);
    let Some(rules) = own.get("rules").filter(|node| !node.is_null()) else {
        return check_delay(own, entry.span, &job, report);
    };
    let delayed = read::when(own) == Some(When::Delayed);
    let when = own.get("when").filter(|_| delayed);
    if let Some(node) = own.get("start_in").filter(|node| !node.is_null()).or(when) {
        let message = format!("{job} has `rules`: a delay belongs into them");
        let problem = Problem::error("start-in", node.span, message);
        report.add(problem.hint("write `when: delayed` and `start_in` into the rule"));
    }
    let rule = format!("a rule of {job}");
    for node in read::named_items(rules) {
        if let Some(map) = node.as_map() {
            check_delay(map, node.span, &rule, report);
        }
    }
}

/// `start_in` belongs to `when: delayed`, in a job as in a rule.
fn check_delay(map: &Map, span: Span, what: &str, report: &mut Report) {
    let delayed = read::when(map) == Some(When::Delayed);
    let start_in = map.get("start_in").filter(|node| !node.is_null());
    match start_in {
        None if delayed => {
            let span = map.get("when").map_or(span, |node| node.span);
            let message = format!("{what} is delayed, but has no `start_in`");
            let problem = Problem::error("start-in", span, message);
            report.add(problem.hint("add for instance `start_in: 30 minutes`"));
        }
        Some(node) if !delayed => {
            let message = format!("{what} has `start_in`, but is not delayed");
            let problem = Problem::error("start-in", node.span, message);
            report.add(problem.hint("add `when: delayed` beside it"));
        }
        Some(node) if read::seconds(map, "start_in").is_some_and(|seconds| seconds > WEEK) => {
            let message = "`start_in` is at most one week";
            report.add(Problem::error("start-in", node.span, message));
        }
        _ => {}
    }
}

/// Places of `trigger:include` are complete.
fn check_trigger(own: &Map, report: &mut Report) {
    let part = |name| own.get("trigger").and_then(|node| node.get(name));
    if let (Some(node), Some(_)) = (part("project"), part("include")) {
        let message = "`trigger` has both `project` and `include`";
        report
            .add(Problem::error("wrong-value", node.span, message).hint(
                "start another project's pipeline, or a child of this one: remove the other",
            ));
    }
    let Some(include) = own.get("trigger").and_then(|node| node.get("include")) else {
        return;
    };
    for item in read::named_items(include) {
        if item.as_map().is_none() {
            continue;
        }
        for (one, other) in [
            ("file", "project"),
            ("project", "file"),
            ("artifact", "job"),
        ] {
            if item.get(one).is_some() && item.get(other).is_none() {
                let message = format!("`{one}` needs `{other}` beside it");
                report.add(Problem::error("include", item.span, message));
            }
        }
    }
}
