//! One job on its own: its keywords checked, with `default` and variables, and what of it runs.
//! How it hangs together with others is not known yet.

mod check;
mod part;

use std::collections::HashSet;
use std::sync::Arc;

use model::Variable;

use crate::globals::Globals;
pub(crate) use part::{Fate, Part, Terms};

use crate::read::{self, Name};
use crate::report::{Problem, Report};
use crate::rules::Facts;
use crate::scope::Outside;
use crate::variables::circle;
use yaml::{Entry, Map, Node, Span, Value};

/// What all jobs are looked at with.
pub(crate) struct Context<'c> {
    pub(crate) globals: &'c Globals,
    /// The names of all jobs of the file, those with errors too.
    pub(crate) names: &'c HashSet<Name>,
    /// Global variables with those of the workflow's rule.
    pub(crate) variables: &'c [Variable],
    pub(crate) outside: &'c Outside<'c>,
    pub(crate) facts: &'c Facts<'c>,
}

/// So many variables of a circle are named.
const SHOWN: usize = 8;

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
    pub(crate) parts: Vec<Part>,
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
            parts: Vec::new(),
        };
        draft.check_circle(context, report);
        draft.parts = Part::all(&draft, context, report);
        Some(draft)
    }

    /// GitLab makes no pipeline with such a job.
    fn check_circle(&self, context: &Context<'_>, report: &mut Report) {
        let Some(circle) = circle(&self.variables, |name| context.outside.knows(name)) else {
            return;
        };
        let (shown, more) = circle.split_at(circle.len().min(SHOWN));
        let message = format!(
            "variables of job `{}` refer to each other in a circle: `{}`{}",
            self.name,
            shown.join("`, `"),
            if more.is_empty() { "" } else { ", …" }
        );
        let problem = Problem::error("variable-circle", self.span, message);
        report.add(problem.hint("give one of them a value of its own, or `expand: false`"));
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.map.get(key)
    }

    /// What of it does not run, and why: under its own name where that is all of it, for one reason.
    pub(crate) fn left_out(&self) -> Vec<(Name, String, Span)> {
        let left_out = |part: &Part| match &part.fate {
            Fate::LeftOut(reason, span) => Some((Arc::clone(&part.name), reason.clone(), *span)),
            Fate::Runs(_) => None,
        };
        let mut all: Vec<_> = self.parts.iter().filter_map(left_out).collect();
        let same = all
            .iter()
            .all(|one| (&one.1, one.2) == (&all[0].1, all[0].2));
        if all.len() == self.parts.len() && same {
            all.truncate(1);
            all.iter_mut()
                .for_each(|one| one.0 = Arc::clone(&self.name));
        }
        all
    }
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
