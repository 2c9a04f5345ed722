//! `rules`: the first that fits decides. Also `changes` and `exists`, which `only` uses too.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use regex::Regex;

use crate::expression::{self, Expression, Patterns};
use crate::glob::glob;
use crate::report::{Problem, Report};
use crate::scope::Scope;
use crate::{Changes, Comparison, Input, RepositoryAt, Tree};
use yaml::{Node, Span, Value};

/// What rules are held against, with what was already found out.
pub(crate) struct Facts<'i> {
    pub(crate) input: &'i Input,
    pub(crate) patterns: Rc<Patterns>,
    expressions: RefCell<HashMap<Arc<str>, Option<Rc<Expression>>>>,
    globs: RefCell<HashMap<String, Option<Rc<Regex>>>>,
    existing: RefCell<HashMap<String, bool>>,
    /// Refs to compare with that nothing is known of.
    pub(crate) wanted: RefCell<BTreeSet<String>>,
    /// Repositories whose paths nobody has said.
    pub(crate) wanted_trees: RefCell<BTreeSet<RepositoryAt>>,
}

/// What the rules decided.
#[derive(Debug, Clone)]
pub(crate) enum Decision {
    /// This rule fits.
    Rule(Node),
    /// None does.
    NoRule,
}

impl<'i> Facts<'i> {
    pub(crate) fn new(input: &'i Input, patterns: Rc<Patterns>) -> Self {
        Self {
            input,
            patterns,
            expressions: RefCell::default(),
            globs: RefCell::default(),
            existing: RefCell::default(),
            wanted: RefCell::default(),
            wanted_trees: RefCell::default(),
        }
    }

    /// The first rule that fits.
    pub(crate) fn decide(&self, rules: &Node, scope: &Scope<'_>, report: &mut Report) -> Decision {
        let mut flat = Vec::new();
        flatten(rules, &mut flat);
        for rule in flat {
            if self.fits(rule, scope, report) {
                return Decision::Rule(rule.clone());
            }
        }
        Decision::NoRule
    }

    fn fits(&self, rule: &Node, scope: &Scope<'_>, report: &mut Report) -> bool {
        let condition = rule.get("if").and_then(Node::as_str);
        let holds = condition.is_none_or(|text| self.holds(text, scope));
        holds
            && (rule.get("changes")).is_none_or(|changes| self.changed(changes, scope, report))
            && (rule.get("exists")).is_none_or(|exists| self.exist(exists, scope, report))
    }

    /// Whether a condition holds; one that is none does not (the check has said so). It sees values as they
    /// are written: what is nested in them is not expanded (GitLab, "rules:if").
    pub(crate) fn holds(&self, text: &str, scope: &Scope<'_>) -> bool {
        let known = self.expressions.borrow().get(text).cloned();
        let expression = known.unwrap_or_else(|| {
            let parsed = expression::parse(text, &self.patterns).ok().map(Rc::new);
            let mut expressions = self.expressions.borrow_mut();
            expressions.insert(text.into(), parsed.clone());
            parsed
        });
        expression.is_some_and(|expression| expression.holds(&|name| scope.as_written(name)))
    }

    /// Whether one of the paths changed.
    pub(crate) fn changed(&self, changes: &Node, scope: &Scope<'_>, report: &mut Report) -> bool {
        let compare_to = changes.get("compare_to").and_then(Node::as_str);
        let files = match (&self.input.changes, compare_to) {
            (_, Some(name)) => match self.compared(name, changes, scope, report) {
                Ok(files) => files,
                Err(holds) => return holds,
            },
            (Changes::Unknown, None) => return true,
            (Changes::Files(files), None) => files,
        };
        if changes.is_null() {
            return true;
        }
        patterns(changes).iter().any(|pattern| {
            let glob = self.glob(&scope.expand(pattern));
            glob.is_some_and(|glob| files.iter().any(|file| glob.is_match(file)))
        })
    }

    /// The files that differ from another ref, or whether the rule holds without them.
    fn compared(
        &self,
        name: &str,
        changes: &Node,
        scope: &Scope<'_>,
        report: &mut Report,
    ) -> Result<&'i Vec<String>, bool> {
        let input = self.input;
        let name = scope.expand(name);
        match input.comparisons.get(&name) {
            Some(Comparison::Files(files)) => Ok(files),
            Some(Comparison::Unknown) => Err(true),
            Some(Comparison::NoRef) => {
                let node = changes.get("compare_to").unwrap_or(changes);
                let message = format!("`compare_to` names `{name}`, which is no ref here");
                report.add(Problem::error("compare-to", node.span, message));
                Err(false)
            }
            None => {
                self.wanted.borrow_mut().insert(name);
                Err(true)
            }
        }
    }

    /// Whether one of the paths exists; true when nobody knows.
    pub(crate) fn exist(&self, exists: &Node, scope: &Scope<'_>, report: &mut Report) -> bool {
        if exists.get("project").is_some() {
            return self.exist_elsewhere(exists, scope, report);
        }
        let Some(tree) = &self.input.tree else {
            return true;
        };
        if exists.is_null() {
            return true;
        }
        patterns(exists).iter().any(|pattern| {
            let pattern = scope.expand(pattern);
            if let Some(&known) = self.existing.borrow().get(&pattern) {
                return known;
            }
            let glob = self.glob(&pattern);
            let exists = glob.is_some_and(|glob| tree.iter().any(|file| glob.is_match(file)));
            self.existing.borrow_mut().insert(pattern, exists);
            exists
        })
    }

    /// `exists` with `project`: the paths of another repository.
    fn exist_elsewhere(&self, exists: &Node, scope: &Scope<'_>, report: &mut Report) -> bool {
        let text = |name: &str| {
            let text = exists.get(name).and_then(Node::as_str)?;
            Some(scope.expand(text))
        };
        let at = RepositoryAt {
            project: text("project").unwrap_or_default(),
            git_ref: text("ref"),
        };
        match self.tree(&at) {
            None | Some(Tree::Unknown) => true,
            Some(Tree::Failed(missing)) => {
                let reason = &missing.reason;
                let message = format!("`exists` cannot look into `{}`: {reason}", at.project);
                let problem = Problem::error("exists", exists.span, message);
                report.add(problem.maybe_hint(missing.hint.clone()));
                false
            }
            Some(Tree::Paths(paths)) => patterns(exists).iter().any(|pattern| {
                let glob = self.glob(&scope.expand(pattern));
                glob.is_some_and(|glob| paths.iter().any(|path| glob.is_match(path)))
            }),
        }
    }

    /// What is known of another repository's paths; asked for when that is nothing.
    pub(crate) fn tree(&self, at: &RepositoryAt) -> Option<&'i Tree> {
        let known = self.input.trees.get(at);
        if known.is_none() {
            self.wanted_trees.borrow_mut().insert(at.clone());
        }
        known
    }

    fn glob(&self, pattern: &str) -> Option<Rc<Regex>> {
        if let Some(known) = self.globs.borrow().get(pattern) {
            return known.clone();
        }
        let compiled = glob(pattern).map(Rc::new);
        let mut globs = self.globs.borrow_mut();
        globs.insert(pattern.to_owned(), compiled.clone());
        compiled
    }
}

fn flatten<'n>(rules: &'n Node, flat: &mut Vec<&'n Node>) {
    match &rules.value {
        Value::List(items) => items.iter().for_each(|item| flatten(item, flat)),
        Value::Map(_) => flat.push(rules),
        _ => {}
    }
}

/// The paths of `changes` or `exists`, in whichever form.
fn patterns(node: &Node) -> Vec<Arc<str>> {
    let mut all = Vec::new();
    texts(node.get("paths").unwrap_or(node), &mut all);
    all
}

/// All texts of a text, or of lists in lists.
pub(crate) fn texts(node: &Node, all: &mut Vec<Arc<str>>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| texts(item, all)),
        _ => all.extend(node.scalar_text()),
    }
}

/// A rule in words, for the explanation of a decision: the place is the rule's.
pub(crate) fn describe(rule: &Node) -> (String, Span) {
    let condition = rule.get("if").and_then(Node::as_str);
    let words = match condition {
        Some(text) => format!("if: {text}"),
        None if rule.get("changes").is_some() => "changes".to_owned(),
        None if rule.get("exists").is_some() => "exists".to_owned(),
        None => "the rule without a condition".to_owned(),
    };
    (words, rule.span)
}
