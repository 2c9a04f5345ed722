//! From text to graph: the story of a compilation.

use std::cell::RefCell;
use std::collections::HashSet;
use std::collections::btree_map::Entry;
use std::rc::Rc;
use std::sync::Arc;

use model::Variable;

use crate::assemble::assemble;
use crate::draft::{Context, Draft};
use crate::extend::extend;
use crate::globals::{Globals, without_empty};
use crate::load::Loader;
use crate::report::{Problem, Report};
use crate::rules::{Decision, Facts};
use crate::scope::{Outside, Scope};
use crate::{
    AutoCancel, Comparison, Diagnostic, Fetched, Graph, Input, Location, Place, Purpose,
    RepositoryAt, Sources, Tree, danger, read, reference,
};
use yaml::{Map, Node, Span, Value, weight};

/// What came of a compilation.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The graph, if there is no error. It has no jobs when the file is right but nothing runs for
    /// this ref and source: then there is no pipeline to create.
    pub graph: Option<Graph>,
    /// All of them, by file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// Jobs of the file that do not run here, and why.
    pub left_out: Vec<LeftOut>,
    /// Files that are included and were not among [`Input::files`]. While there are any, `graph`
    /// is `None`: add them and compile again, or use [`compile_with`].
    pub wanted: Vec<Location>,
    /// Refs that `compare_to` names and that were not among [`Input::comparisons`]; as with `wanted`.
    pub wanted_comparisons: Vec<String>,
    /// Repositories whose paths are asked for and that were not among [`Input::trees`]; as with `wanted`.
    pub wanted_trees: Vec<RepositoryAt>,
    merged: Option<Map>,
    /// The texts the diagnostics speak of, to render them with.
    pub sources: Sources,
}

/// A job that does not run for this ref and source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The job; empty for the whole pipeline (`workflow`).
    pub job: String,
    /// Its stage.
    pub stage: String,
    /// Why not.
    pub reason: String,
    /// What decided it.
    pub place: Place,
}

impl Compiled {
    /// Whether something has to be added to the input first.
    pub fn wants_more(&self) -> bool {
        !self.wanted.is_empty()
            || !self.wanted_comparisons.is_empty()
            || !self.wanted_trees.is_empty()
    }

    /// Whether an error forbids a pipeline.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The file with all that it includes, merged, with `extends` and references carried out, as
    /// YAML: compiled again it gives the same graph. Empty when the file could not be read.
    pub fn merged_yaml(&self) -> String {
        self.merged.as_ref().map(yaml::emit).unwrap_or_default()
    }

    /// The same as JSON, with the keys in alphabetical order.
    pub fn merged_json(&self) -> serde_json::Value {
        let tree = self.merged.clone().unwrap_or_default();
        let value = Value::Map(Arc::new(tree));
        yaml::to_json(&Node::new(value, Span::default()))
    }

    /// All diagnostics as plain text.
    pub fn render(&self) -> String {
        self.sources.render_all(&self.diagnostics)
    }
}

/// Compiles a file, and what it includes, for one ref.
pub fn compile(input: &Input) -> Compiled {
    let mut report = Report::default();
    let outside = Outside::new(input);
    let facts = Facts::new(input, Rc::clone(&report.patterns));
    let scope = Scope::of_settings(&outside);
    let nothing = Outside::nothing();
    let strangers = Scope::of_settings(&nothing);
    let mut loader = Loader::new(input, &facts, [&scope, &strangers], &mut report);
    let loaded = loader.main();
    let wanted = loader.wanted;
    let mut done = Done::default();
    if let (Some(tree), true) = (loaded, wanted.is_empty()) {
        let tree = extend(&tree, &mut report);
        let tree = match report.has_references {
            true => reference::resolve(tree, &mut report),
            false => tree,
        };
        done = jobs(without_empty(tree), &outside, &facts, &mut report);
    }
    let wanted_comparisons: Vec<_> = facts.wanted.take().into_iter().collect();
    let wanted_trees: Vec<_> = facts.wanted_trees.take().into_iter().collect();
    let whole = wanted.is_empty() && wanted_comparisons.is_empty() && wanted_trees.is_empty();
    let graph = done.graph.filter(|_| report.errors() == 0 && whole);
    let left_out = done.left_out.into_iter();
    let left_out = left_out
        .map(|(job, stage, reason, span)| LeftOut {
            job,
            stage,
            reason,
            place: report.place(span),
        })
        .collect();
    let (diagnostics, sources) = report.finish();
    Compiled {
        graph,
        diagnostics,
        left_out,
        wanted,
        wanted_comparisons,
        wanted_trees,
        merged: done.merged,
        sources,
    }
}

/// Compiles, asking `fetch` for each included file as it becomes known. Nothing is compared with
/// other refs, and no other repository looked at.
pub fn compile_with(mut input: Input, mut fetch: impl FnMut(&Location) -> Fetched) -> Compiled {
    loop {
        let compiled = compile(&input);
        if !compiled.wants_more() {
            return compiled;
        }
        for name in compiled.wanted_comparisons {
            input.comparisons.insert(name, Comparison::Unknown);
        }
        for at in compiled.wanted_trees {
            input.trees.insert(at, Tree::Unknown);
        }
        for location in compiled.wanted {
            if let Entry::Vacant(place) = input.files.entry(location) {
                let fetched = fetch(place.key());
                place.insert(fetched);
            }
        }
    }
}

#[derive(Default)]
struct Done {
    graph: Option<Graph>,
    left_out: Vec<(String, String, String, Span)>,
    merged: Option<Map>,
}

/// Values of all jobs together, after `extends` and references.
const MAX_VALUES: usize = 2_000_000;

/// The job that is too much, if the jobs are too large together; each has `more` values besides.
fn too_large(tree: &Map, more: usize) -> Option<Span> {
    let mut left = MAX_VALUES;
    for entry in Globals::jobs(tree) {
        match left.checked_sub(weight(&entry.value, left) + more) {
            Some(rest) => left = rest,
            None => return Some(entry.span),
        }
    }
    None
}

fn jobs(tree: Map, outside: &Outside<'_>, facts: &Facts<'_>, report: &mut Report) -> Done {
    let globals = Globals::read(&tree, report);
    let mut done = Done::default();
    let mut graph = Graph {
        variables: globals.variables.clone(),
        ..Graph::default()
    };
    let runs = workflow(&globals, outside, facts, &mut graph, &mut done, report);
    let variables = graph.variables.clone();
    let names: HashSet<_> = Globals::jobs(&tree)
        .map(|entry| Arc::clone(&entry.key))
        .collect();
    let context = Context {
        globals: &globals,
        names: &names,
        variables: &variables,
        outside,
        facts,
    };
    let mut any = false;
    let mut drafts = Vec::new();
    let mut broken = Vec::new();
    if let Some(span) = too_large(&tree, variables.len() + globals.default.len()) {
        let message = format!("the jobs have over {MAX_VALUES} values together");
        report.add(
            Problem::error("too-large", span, message)
                .hint("templates multiply what is written in them: extend smaller ones"),
        );
        return done;
    }
    for entry in Globals::jobs(&tree) {
        any = true;
        match Draft::new(entry, &context, report) {
            Some(draft) => drafts.push(draft),
            None => broken.push(entry),
        }
    }
    if !any && report.errors() == 0 {
        let message = "there is no job in this file";
        let problem = match facts.input.purpose {
            Purpose::Create => Problem::error("no-jobs", first_span(&tree), message),
            Purpose::Check => Problem::warning("no-jobs", first_span(&tree), message),
        };
        report.add(problem.hint(
            "write at least one job with a `script`; names with a `.` in front are not jobs",
        ));
    }
    danger::look(&drafts, &context, report);
    for draft in &drafts {
        for (name, reason, span) in draft.left_out() {
            let stage = globals.stages[draft.stage].to_string();
            done.left_out.push((name.to_string(), stage, reason, span));
        }
    }
    let graph = assemble(&drafts, &broken, &context, graph, report);
    done.graph = Some(if runs { graph } else { Graph::default() });
    done.merged = Some(tree);
    done
}

/// Whether there is a pipeline at all; its name, variables and auto-cancel.
fn workflow(
    globals: &Globals,
    outside: &Outside<'_>,
    facts: &Facts<'_>,
    graph: &mut Graph,
    done: &mut Done,
    report: &mut Report,
) -> bool {
    let Some(workflow) = &globals.workflow else {
        return true;
    };
    graph.auto_cancel = read::auto_cancel(workflow.get("auto_cancel"), AutoCancel::default());
    if let Some(rules) = workflow.get("rules").filter(|node| !node.is_null()) {
        let scope = Scope {
            outside,
            job: &[],
            lists: vec![&globals.variables],
            unknown_vanish: false,
            expanded: RefCell::default(),
        };
        let never = |rule: &Node| rule.get("when").and_then(Node::as_str) == Some("never");
        let decision = facts.decide(rules, &scope, report);
        let rule = match decision {
            Decision::Rule(rule) if !never(&rule) => rule,
            decision => {
                let (reason, span) = match decision {
                    Decision::Rule(rule) => {
                        let (words, span) = crate::rules::describe(&rule);
                        (format!("this rule says `never`: {words}"), span)
                    }
                    Decision::NoRule => (
                        "none of the `rules` of `workflow` fits".to_owned(),
                        rules.span,
                    ),
                };
                done.left_out
                    .push((String::new(), String::new(), reason, span));
                return false;
            }
        };
        let more = read::variables(rule.get("variables"), report);
        graph.variables = crate::merge(graph.variables.iter().chain(&more));
        graph.auto_cancel = read::auto_cancel(rule.get("auto_cancel"), graph.auto_cancel);
    }
    let variables: Vec<Variable> = graph.variables.clone();
    let scope = Scope {
        outside,
        job: &[],
        lists: vec![&variables],
        unknown_vanish: true,
        expanded: RefCell::default(),
    };
    graph.name = read::text(workflow, "name")
        .map(|name| scope.expand(&name).trim().to_owned())
        .filter(|name| !name.is_empty());
    true
}

fn first_span(tree: &Map) -> Span {
    match tree.entries.first() {
        Some(entry) => entry.span,
        None => Span {
            line: 1,
            column: 1,
            length: 1,
            ..Span::default()
        },
    }
}
