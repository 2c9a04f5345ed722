//! One job on its own: its keywords checked, with `default` and variables, and whether it runs.
//! How it hangs together with others is not known yet.

mod check;

use std::cell::RefCell;
use std::sync::Arc;

use model::Variable;

use crate::globals::Globals;
use crate::graph::{AllowFailure, When};
use crate::policy;
use crate::read::{self, Name};
use crate::report::{Problem, Report};
use crate::rules::{Decision, Facts, describe};
use crate::scope::{Outside, Scope};
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
        check::job(entry, own, context, report);
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
