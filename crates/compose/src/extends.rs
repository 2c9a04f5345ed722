//! `extends`: a service over another one, of the same file or of a further one.
//!
//! It is carried out file by file, before files are merged, so that paths of a further file start from
//! its own folder. A service that is not in the same file is looked for in the earlier ones (`-f`).

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use yaml::{Map, Node, Problem, Span, Tag, Value, weight};

use crate::file::{Absence, Loader};
use crate::interpolate::Variables;
use crate::merge::{self, without};
use crate::{path, shape};

/// Services that extend one another.
const MAX_DEPTH: usize = 50;
/// Values of one service.
const MAX_VALUES: usize = 200_000;

/// The tree of one document of a file, in which no service extends another any more.
pub(crate) fn extend(
    loader: &mut Loader<'_>,
    file: &str,
    tree: &Node,
    earlier: &Node,
    values: &Variables,
) -> Node {
    let Some(services) = tree.get("services").and_then(Node::as_map) else {
        return tree.clone();
    };
    let scope = Rc::new(Scope {
        file: file.to_owned(),
        tree: tree.clone(),
        earlier: Some(earlier.clone()),
    });
    let mut extender = Extender {
        loader,
        values,
        known: HashMap::new(),
        chain: Vec::new(),
        scopes: HashMap::new(),
    };
    let mut extended = Map::default();
    for entry in &services.entries {
        let value = match entry.value.get("extends") {
            Some(_) => extender
                .service(&scope, &entry.key)
                .unwrap_or_else(|| unextended(&entry.value)),
            None => entry.value.clone(),
        };
        extended.entries.push(yaml::Entry {
            value,
            ..entry.clone()
        });
    }
    let services = tree.get("services").unwrap_or(tree);
    let services = shape::with(services, Value::Map(Arc::new(extended)));
    merge::with_key(tree, "services", services)
}

/// Where names of services are looked up.
struct Scope {
    file: String,
    tree: Node,
    earlier: Option<Node>,
}

struct Extender<'e, 'l> {
    loader: &'e mut Loader<'l>,
    values: &'e Variables,
    known: HashMap<(String, String), Option<Node>>,
    /// File, name and place of those that lead to the one at hand.
    chain: Vec<(String, String, Span)>,
    /// Further files, each read once.
    scopes: HashMap<String, Option<Rc<Scope>>>,
}

impl Extender<'_, '_> {
    /// A service of a scope with all that it extends. Nothing when that failed: it is reported.
    fn service(&mut self, scope: &Rc<Scope>, name: &str) -> Option<Node> {
        let key = (scope.file.clone(), name.to_owned());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let found = self.extended(scope, name);
        self.known.insert(key, found.clone());
        found
    }

    fn extended(&mut self, scope: &Rc<Scope>, name: &str) -> Option<Node> {
        let own = services(&scope.tree)
            .and_then(|services| services.get(name))
            .or_else(|| services(scope.earlier.as_ref()?)?.get(name))?
            .clone();
        let Some(extends) = own.get("extends") else {
            return Some(own);
        };
        if extends.tag == Tag::Reset || extends.is_null() {
            return Some(without(&own, "extends"));
        }
        let base = extends.get("service")?;
        let span = base.span;
        if self.is_circle(&scope.file, name, span) {
            return None;
        }
        self.chain.push((scope.file.clone(), name.to_owned(), span));
        let base = self.base(scope, extends, base);
        self.chain.pop();
        let merged = merge::services(&base?, &without(&own, "extends"));
        let values = weight(&merged, MAX_VALUES);
        self.loader.counted(values, span).then_some(merged)
    }

    fn base(&mut self, scope: &Rc<Scope>, extends: &Node, base: &Node) -> Option<Node> {
        let name = base.as_str()?;
        let scope = match extends.get("file") {
            Some(file) if file.as_str() != Some(&scope.file) => self.further(file)?,
            _ => Rc::clone(scope),
        };
        let known = |tree: &Node| services(tree).is_some_and(|all| all.get(name).is_some());
        if !known(&scope.tree) && !scope.earlier.as_ref().is_some_and(known) {
            self.unknown(&scope, name, base.span);
            return None;
        }
        self.service(&scope, name)
    }

    fn further(&mut self, file: &Node) -> Option<Rc<Scope>> {
        let path = file.as_str()?;
        if let Some(known) = self.scopes.get(path) {
            return known.clone();
        }
        let scope = self.scope(file);
        self.scopes.insert(path.to_owned(), scope.clone());
        scope
    }

    /// The scope of a further file.
    fn scope(&mut self, file: &Node) -> Option<Rc<Scope>> {
        let path = file.as_str()?;
        let absence = Absence::Error(file.span);
        let folder = path::parent(path).to_owned();
        let documents = self.loader.shaped(path, &folder, self.values, &absence);
        let tree = documents
            .into_iter()
            .reduce(|base, over| merge::files(&base, &over))?;
        Some(Rc::new(Scope {
            file: path.to_owned(),
            tree,
            earlier: None,
        }))
    }

    fn unknown(&mut self, scope: &Scope, name: &str, span: Span) {
        let shown = self.loader.shown(&scope.file);
        let message = format!(
            "there is no service `{}` in `{shown}`",
            shape::shortened(name)
        );
        let names = services(&scope.tree).map(|map| map.entries.iter().take(1000));
        let names = names.into_iter().flatten().map(|entry| &*entry.key);
        let near = self.loader.report.nearest(name, names);
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name a service of that file, or add `file: …`".to_owned(),
        };
        let problem = Problem::error("extends", span, message);
        self.loader.report.add(problem.hint(hint));
    }

    fn is_circle(&mut self, file: &str, name: &str, span: Span) -> bool {
        let at = self
            .chain
            .iter()
            .position(|(other, known, _)| other == file && known == name);
        let problem = match at {
            None if self.chain.len() < MAX_DEPTH => return false,
            None => Problem::error(
                "extends",
                span,
                format!("more than {MAX_DEPTH} services extend one another"),
            ),
            Some(at) => {
                let chain = &self.chain[at..];
                let first = chain.first().map_or(span, |(_, _, span)| *span);
                let message = format!("`{name}` extends itself");
                chain.iter().skip(1).fold(
                    Problem::error("extends", first, message),
                    |problem, (_, name, span)| problem.note(*span, format!("by way of `{name}`")),
                )
            }
        };
        self.loader
            .report
            .add(problem.hint("take one `extends` out of the circle"));
        true
    }
}

/// A service whose base is not known: an image may be there.
fn unextended(service: &Node) -> Node {
    let service = without(service, "extends");
    match service.get("image") {
        Some(_) => service,
        None => {
            let nothing = Node::new(Value::Null, service.span);
            merge::with_key(&service, "image", nothing)
        }
    }
}

fn services(tree: &Node) -> Option<&Map> {
    tree.get("services")?.as_map()
}
