//! `!reference [job, keyword]`: the value that stands somewhere else.

use std::collections::HashMap;
use std::sync::Arc;

use crate::report::{Problem, Report};
use yaml::{Entry, Map, Node, Value};

/// References that lead to references.
const MAX_STEPS: usize = 10;
/// Values that all references together may bring.
const MAX_BROUGHT: usize = 2_000_000;

/// The tree with every reference replaced by what it names.
pub(crate) fn resolve(tree: Map, report: &mut Report) -> Map {
    let places = (tree.entries.iter().enumerate())
        .map(|(at, entry)| (Arc::clone(&entry.key), at))
        .collect();
    let mut resolver = Resolver {
        tree: &tree,
        places,
        brought: 0,
        report,
    };
    let entries = tree
        .entries
        .iter()
        .map(|entry| Entry {
            value: resolver
                .node(&entry.value, 0)
                .unwrap_or_else(|| entry.value.clone()),
            ..entry.clone()
        })
        .collect();
    Map { entries }
}

struct Resolver<'t> {
    tree: &'t Map,
    places: HashMap<Arc<str>, usize>,
    brought: usize,
    report: &'t mut Report,
}

impl Resolver<'_> {
    /// The node without references; nothing when it has none, so that it stays shared.
    fn node(&mut self, node: &Node, steps: usize) -> Option<Node> {
        self.brought += usize::from(steps > 0);
        match &node.value {
            Value::Reference(path) => Some(self.follow(node, path, steps)),
            Value::List(items) => {
                let new = self.all(items.iter(), steps)?;
                let pairs = items.iter().zip(new);
                let items = pairs.map(|(old, new)| new.unwrap_or_else(|| old.clone()));
                let value = Value::List(Arc::new(items.collect()));
                Some(Node::new(value, node.span))
            }
            Value::Map(map) => {
                let new = self.all(map.entries.iter().map(|entry| &entry.value), steps)?;
                let pairs = map.entries.iter().zip(new);
                let entries = pairs.map(|(old, new)| Entry {
                    value: new.unwrap_or_else(|| old.value.clone()),
                    ..old.clone()
                });
                let value = Value::Map(Arc::new(Map {
                    entries: entries.collect(),
                }));
                Some(Node::new(value, node.span))
            }
            _ => None,
        }
    }

    /// Nothing when none of the nodes changes.
    fn all<'n>(
        &mut self,
        nodes: impl Iterator<Item = &'n Node>,
        steps: usize,
    ) -> Option<Vec<Option<Node>>> {
        let new: Vec<_> = nodes.map(|node| self.node(node, steps)).collect();
        new.iter().any(Option::is_some).then_some(new)
    }

    fn follow(&mut self, node: &Node, path: &[Node], steps: usize) -> Node {
        let nothing = Node::new(Value::List(Arc::default()), node.span);
        if steps >= MAX_STEPS || self.brought > MAX_BROUGHT {
            let message = format!("more than {MAX_STEPS} references lead to each other here");
            self.report
                .add(Problem::error("reference", node.span, message));
            return nothing;
        }
        match self.target(path) {
            Some(target) => {
                let target = target.clone();
                self.node(&target, steps + 1).unwrap_or(target)
            }
            None => {
                let names: Vec<_> = path.iter().filter_map(Node::scalar_text).collect();
                let message = format!("`!reference [{}]` leads nowhere", names.join(", "));
                self.report.add(
                    Problem::error("reference", node.span, message)
                        .hint("name a job, hidden or not, and a keyword that it has"),
                );
                nothing
            }
        }
    }

    fn target(&self, path: &[Node]) -> Option<&Node> {
        let (first, rest) = path.split_first()?;
        let place = *self.places.get(first.scalar_text()?.as_ref())?;
        let mut node = &self.tree.entries[place].value;
        for step in rest {
            node = node.get(&step.scalar_text()?)?;
        }
        Some(node)
    }
}
