//! One job on its own: its keywords checked, with `default` and variables, and whether it runs.
//! How it hangs together with others is not known yet.

use std::cell::RefCell;
use std::sync::Arc;

use model::Variable;

use crate::globals::Globals;
use crate::graph::{AllowFailure, When};
use crate::policy;
use crate::read::{self, Name};
use crate::report::{Problem, Report};
use crate::rules::{Decision, Facts, describe};
use crate::schema::{GLOBAL, JOB, What, check, check_map};
use crate::scope::{Outside, Scope};
use yaml::nearest;
use yaml::{Entry, Map, Node, Span, Value};

/// What all jobs are looked at with.
pub(crate) struct Context<'c> {
    pub(crate) globals: &'c Globals,
    /// Global variables with those of the workflow's rule.
    pub(crate) variables: &'c [Variable],
    pub(crate) outside: &'c Outside<'c>,
    pub(crate) facts: &'c Facts<'c>,
}

/// A job of the file.
pub(crate) struct Draft {
    pub(crate) name: Name,
    pub(crate) span: Span,
    /// Its keywords with those of `default`.
    pub(crate) map: Map,
    /// Index into all stages.
    pub(crate) stage: usize,
    /// The file's variables that it sees.
    pub(crate) variables: Vec<Variable>,
    pub(crate) fate: Fate,
}

/// The longest name of a job, in characters.
const MAX_NAME: usize = 255;
/// The longest delay, in seconds.
const WEEK: u64 = 7 * 24 * 60 * 60;

/// Whether a job runs.
pub(crate) enum Fate {
    Runs(Terms),
    /// Why not, and where that is said.
    LeftOut(String, Span),
}

/// On which terms it runs.
pub(crate) struct Terms {
    pub(crate) when: When,
    pub(crate) start_in: Option<u64>,
    pub(crate) allow_failure: AllowFailure,
    pub(crate) needs: Option<Node>,
    pub(crate) interruptible: bool,
}

impl Draft {
    pub(crate) fn new(entry: &Entry, context: &Context<'_>, report: &mut Report) -> Option<Self> {
        let own = entry.value.as_map()?;
        let before = report.errors();
        check_job(entry, own, context, report);
        let stage = stage(own, context.globals, report)?;
        if report.errors() > before {
            return None;
        }
        let map = with_defaults(own, context.globals);
        let mut draft = Self {
            name: Arc::clone(&entry.key),
            span: entry.span,
            variables: visible_variables(&map, context, report),
            map,
            stage,
            fate: Fate::LeftOut("never".to_owned(), entry.span),
        };
        draft.fate = draft.decide(context, report);
        Some(draft)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.map.get(key)
    }

    /// The predefined variables that belong to a job before it is stored.
    pub(crate) fn predefined(&self, name: &str, context: &Context<'_>) -> Vec<Variable> {
        predefined(name, &context.globals.stages[self.stage])
    }

    fn decide(&mut self, context: &Context<'_>, report: &mut Report) -> Fate {
        let predefined = self.predefined(&self.name, context);
        let scope = Scope {
            outside: context.outside,
            job: &predefined,
            lists: vec![&self.variables],
            expanded: RefCell::default(),
        };
        let given = |name| self.map.get(name).filter(|node| !node.is_null());
        let rule = match given("rules") {
            Some(rules) => match context.facts.decide(rules, &scope, report) {
                Decision::Rule(rule) => Some(rule),
                Decision::NoRule => {
                    return Fate::LeftOut("none of its `rules` fits".to_owned(), rules.span);
                }
            },
            None => {
                let workflow = context.globals.workflow.as_ref();
                let decided = workflow.is_some_and(|workflow| workflow.get("rules").is_some());
                let allowed = policy::allows(&self.map, decided, context.facts, &scope, report);
                if let Err(keyword) = allowed {
                    let span = given(keyword).map_or(self.span, |node| node.span);
                    let reason = match given(keyword) {
                        Some(_) => format!("its `{keyword}` says no"),
                        None => "without `rules` it runs for branches and tags alone".to_owned(),
                    };
                    return Fate::LeftOut(reason, span);
                }
                None
            }
        };
        self.terms(rule.as_ref(), report)
    }

    fn terms(&mut self, rule: Option<&Node>, report: &mut Report) -> Fate {
        let empty = Map::default();
        let of_rule = rule.and_then(Node::as_map).unwrap_or(&empty);
        let when = read::when(of_rule)
            .or_else(|| read::when(&self.map))
            .unwrap_or_default();
        if when == When::Never {
            let (words, span) = rule.map_or(("`when: never`".to_owned(), self.span), describe);
            return Fate::LeftOut(format!("this rule says `never`: {words}"), span);
        }
        self.variables
            .extend(read::variables(of_rule.get("variables"), report));
        let allow = of_rule.get("allow_failure").or(self.get("allow_failure"));
        // The job's own word counts here, not its rule's: so GitLab decides it before it knows the rule.
        let optional = read::when(&self.map) == Some(When::Manual);
        Fate::Runs(Terms {
            when,
            start_in: read::seconds(of_rule, "start_in")
                .or_else(|| read::seconds(&self.map, "start_in")),
            allow_failure: match allow {
                Some(node) => read::allow_failure(node),
                None if optional => AllowFailure::Yes,
                None => AllowFailure::No,
            },
            needs: of_rule.get("needs").or(self.get("needs")).cloned(),
            interruptible: (of_rule.get("interruptible"))
                .or(self.get("interruptible"))
                .and_then(Node::as_bool)
                .unwrap_or(false),
        })
    }
}

/// The predefined variables of a job that rules and expansion can see.
pub(crate) fn predefined(name: &str, stage: &str) -> Vec<Variable> {
    vec![
        Variable::public("CI_JOB_NAME", name),
        Variable::public("CI_JOB_NAME_SLUG", model::slug(name)),
        Variable::public("CI_JOB_STAGE", stage),
    ]
}

fn visible_variables(map: &Map, context: &Context<'_>, report: &mut Report) -> Vec<Variable> {
    let own = read::variables(map.get("variables"), report);
    let inherit = map.get("inherit").and_then(|node| node.get("variables"));
    let inherited = |variable: &&Variable| match inherit.map(|node| &node.value) {
        Some(Value::Bool(all)) => *all,
        Some(Value::List(names)) => names
            .iter()
            .any(|name| name.as_str() == Some(&variable.key)),
        _ => true,
    };
    let mut all: Vec<_> = context
        .variables
        .iter()
        .filter(inherited)
        .cloned()
        .collect();
    all.extend(own);
    all
}

/// A job that starts another pipeline takes nothing from `default`: it has no script.
fn with_defaults(own: &Map, globals: &Globals) -> Map {
    let mut map = own.clone();
    if own.get("trigger").is_some() {
        return map;
    }
    let inherit = own.get("inherit").and_then(|node| node.get("default"));
    for entry in &globals.default {
        let inherited = match inherit.map(|node| &node.value) {
            Some(Value::Bool(all)) => *all,
            Some(Value::List(names)) => names.iter().any(|name| name.as_str() == Some(&entry.key)),
            _ => true,
        };
        if inherited && map.get(&entry.key).is_none() {
            map.entries.push(entry.clone());
        }
    }
    map
}

fn stage(own: &Map, globals: &Globals, report: &mut Report) -> Option<usize> {
    let Some(node) = own.get("stage").or(own.get("type")) else {
        let place = globals.stage_places.get("test").copied();
        if place.is_none() {
            let span = own
                .entries
                .first()
                .map(|entry| entry.span)
                .unwrap_or_default();
            let message =
                "this job has no `stage`, and the default stage `test` is not in `stages`";
            report.add(
                Problem::error("unknown-stage", span, message)
                    .hint("give it a `stage`, or add `test` to `stages`"),
            );
        }
        return place;
    };
    let name = node.scalar_text()?;
    let place = globals.stage_places.get(&name).copied();
    if place.is_none() {
        let message = format!("stage `{name}` does not exist");
        let names = globals.stages.iter().map(|name| &**name);
        let hint = match report.nearest(&name, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if globals.stages_given => format!("add `{name}` to `stages`"),
            None => format!(
                "add `stages: [{}, {name}]`: without it there are build, test and deploy",
                "build, test, deploy"
            ),
        };
        report.add(Problem::error("unknown-stage", node.span, message).hint(hint));
    }
    place
}

fn check_job(entry: &Entry, own: &Map, context: &Context<'_>, report: &mut Report) {
    let length = entry.key.chars().count();
    if length > MAX_NAME {
        let message =
            format!("a job's name has {length} characters; at most {MAX_NAME} are allowed");
        report.add(Problem::error("out-of-range", entry.span, message));
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
    if let Some(key) = GLOBAL.key(&inner.key) {
        check(
            &inner.value,
            &key.shape,
            &What::FILE.key(&inner.key),
            report,
        );
        match &*inner.key {
            "spec" => crate::inputs::check_spec(&inner.value, report),
            "include" => check_include_inputs(&inner.value, report),
            _ => {}
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
    if let Some(artifacts) = given("artifacts")
        && let Some(node) = artifacts.get("expose_as")
        && artifacts.get("paths").is_none()
    {
        let message = "`expose_as` needs `paths`";
        report.add(Problem::error("artifacts", node.span, message));
    }
    check_trigger(own, report);
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
