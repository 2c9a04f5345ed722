//! `extends`: a job takes over the keywords of others.

use std::collections::HashMap;
use std::sync::Arc;

use crate::merge::merge_maps;
use crate::report::{Problem, Report};
use yaml::{Entry, Map, Node, Span, Value};

/// Levels of jobs, from a job to the last that it extends.
const MAX_LEVELS: usize = 11;
/// Jobs that are looked at inside each other, before the levels are counted.
const MAX_CHAIN: usize = 100;
/// Entries that all merging together may copy.
const MAX_COPIED: usize = 4_000_000;

/// The tree with every `extends` carried out.
pub(crate) fn extend(tree: &Map, report: &mut Report) -> Map {
    let index = |(at, entry): (usize, &Entry)| (Arc::clone(&entry.key), at);
    let mut extender = Extender {
        tree,
        places: tree.entries.iter().enumerate().map(index).collect(),
        done: vec![None; tree.entries.len()],
        chain: Vec::new(),
        copied: 0,
        report,
    };
    let entries = (0..tree.entries.len())
        .map(|at| Entry {
            value: extender.resolved(at).0,
            ..tree.entries[at].clone()
        })
        .collect();
    Map { entries }
}

struct Extender<'t> {
    tree: &'t Map,
    places: HashMap<Arc<str>, usize>,
    /// Each with the levels of jobs that it is made of.
    done: Vec<Option<(Node, usize)>>,
    /// Jobs that are being resolved, and where each extends the next.
    chain: Vec<(usize, Span)>,
    copied: usize,
    report: &'t mut Report,
}

impl Extender<'_> {
    fn resolved(&mut self, at: usize) -> (Node, usize) {
        if let Some(done) = &self.done[at] {
            return done.clone();
        }
        let done = self.resolve(at);
        self.done[at] = Some(done.clone());
        done
    }

    fn resolve(&mut self, at: usize) -> (Node, usize) {
        let node = &self.tree.entries[at].value;
        let Some(own) = node.as_map() else {
            return (node.clone(), 1);
        };
        let Some(extends) = own.get("extends") else {
            return (node.clone(), 1);
        };
        let mut merged = Map::default();
        let mut levels = 1;
        for parent in self.parents(extends) {
            if let Some((inherited, below)) = self.parent(at, &parent) {
                merged = merge_maps(&merged, &inherited);
                self.copied += merged.entries.len();
                levels = levels.max(below + 1);
            }
        }
        if levels > MAX_LEVELS {
            let message = format!("more than {MAX_LEVELS} levels of `extends`");
            self.report.add(
                Problem::error("extends", extends.span, message)
                    .hint("let the jobs extend one hidden job directly"),
            );
        }
        if self.copied > MAX_COPIED {
            let message = "all `extends` together make too many keywords";
            self.report
                .add(Problem::error("too-large", extends.span, message));
            return (node.clone(), levels);
        }
        let mut merged = merge_maps(&merged, own);
        merged.entries.retain(|entry| &*entry.key != "extends");
        (Node::new(Value::Map(Arc::new(merged)), node.span), levels)
    }

    fn parents(&mut self, extends: &Node) -> Vec<Node> {
        match &extends.value {
            Value::Text(_) => vec![extends.clone()],
            Value::List(items) => items
                .iter()
                .filter(|item| item.as_str().is_some())
                .cloned()
                .collect(),
            _ => {
                let message = format!("`extends` cannot be {}", extends.kind());
                let problem = Problem::error("wrong-kind", extends.span, message);
                self.report
                    .add(problem.hint("write a job's name, or a list of them"));
                Vec::new()
            }
        }
    }

    fn parent(&mut self, at: usize, parent: &Node) -> Option<(Arc<Map>, usize)> {
        let name = parent.as_str()?;
        let Some(&place) = self.places.get(name) else {
            let problem = self.unknown(name, parent.span);
            self.report.add(problem);
            return None;
        };
        self.chain.push((at, parent.span));
        let usable = self.may_follow(place, parent.span);
        let found = usable.then(|| self.resolved(place));
        self.chain.pop();
        let (node, levels) = found?;
        match node.value {
            Value::Map(map) => Some((map, levels)),
            _ => {
                let message = format!("`{name}` is no job: it cannot be extended");
                self.report
                    .add(Problem::error("extends", parent.span, message));
                None
            }
        }
    }

    fn may_follow(&mut self, place: usize, span: Span) -> bool {
        let problem = if self.chain.iter().any(|(at, _)| *at == place) {
            Problem::error("extends", span, "these jobs extend each other in a circle")
        } else if self.chain.len() > MAX_CHAIN {
            let message = format!("more than {MAX_LEVELS} levels of `extends`");
            Problem::error("extends", span, message)
        } else {
            return true;
        };
        let chain = self
            .chain
            .iter()
            .rev()
            .take(12)
            .rev()
            .fold(problem, |problem, (at, span)| {
                let name = &self.tree.entries[*at].key;
                problem.note(*span, format!("`{name}` extends here"))
            });
        self.report
            .add(chain.hint("let the jobs extend one hidden job directly"));
        false
    }

    fn unknown(&mut self, name: &str, span: Span) -> Problem {
        let message =
            format!("`extends` names `{name}`, which is not in this file or its includes");
        let names = self.tree.entries.iter().map(|entry| &*entry.key);
        let near = self.report.nearest(name, names.take(5_000));
        Problem::error("extends", span, message)
            .maybe_hint(near.map(|near| format!("did you mean `{near}`?")))
    }
}
