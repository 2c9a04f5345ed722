//! Variables in the values of a file.
//!
//! Keys are left alone, and so is `version`. Interpolated texts stay texts: what they mean is decided
//! where their key is known.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use yaml::{Entry, Map, Node, Problem, Report, Span, Value};

use crate::template::{Expanded, Flaw, expand};

/// What variables may add to all files together, in bytes.
const MAX_GROWTH: usize = 16 << 20;

/// Variables by name. Those that have no value are spoken of once.
#[derive(Debug)]
pub(crate) struct Interpolation {
    budget: usize,
    spoken_of: HashSet<String>,
}

/// Variables by name.
pub(crate) type Variables = BTreeMap<String, String>;

impl Default for Interpolation {
    fn default() -> Self {
        Self {
            budget: MAX_GROWTH,
            spoken_of: HashSet::new(),
        }
    }
}

impl Interpolation {
    /// A file's tree with all variables replaced.
    pub(crate) fn file(&mut self, tree: &Node, values: &Variables, report: &mut Report) -> Node {
        let Some(map) = tree.as_map() else {
            return tree.clone();
        };
        let entries = map.entries.iter().map(|entry| match &*entry.key {
            "version" => entry.clone(),
            _ => Entry {
                value: self.node(&entry.value, values, report),
                ..entry.clone()
            },
        });
        with_value(
            tree,
            Value::Map(Arc::new(Map {
                entries: entries.collect(),
            })),
        )
    }

    fn node(&mut self, node: &Node, values: &Variables, report: &mut Report) -> Node {
        let value = match &node.value {
            Value::Text(text) if text.contains('$') => {
                match self.text(text, node.span, values, report) {
                    Some(text) => Value::Text(text),
                    None => Value::Null,
                }
            }
            Value::List(items) => {
                // What cannot be replaced is reported, and not missed.
                let new = items.iter().map(|item| self.node(item, values, report));
                let kept = new.zip(items.iter());
                let kept = kept.filter(|(new, old)| !new.is_null() || old.is_null());
                Value::List(Arc::new(kept.map(|(new, _)| new).collect()))
            }
            Value::Map(map) => {
                let entries = map.entries.iter().map(|entry| Entry {
                    value: self.node(&entry.value, values, report),
                    ..entry.clone()
                });
                Value::Map(Arc::new(Map {
                    entries: entries.collect(),
                }))
            }
            other => other.clone(),
        };
        with_value(node, value)
    }

    /// The text with its variables replaced; nothing when that failed: it is reported.
    fn text(
        &mut self,
        text: &str,
        span: Span,
        values: &Variables,
        report: &mut Report,
    ) -> Option<Arc<str>> {
        let expanded = expand(text, &|name| values.get(name).cloned(), &mut self.budget);
        let Expanded {
            text: new,
            flaws,
            unset,
        } = expanded;
        let is_right = flaws.is_empty();
        for (at, flaw) in flaws {
            let problem = problem(flaw, within(span, text, at), values, report);
            report.add(problem);
        }
        for (at, name) in unset {
            if self.spoken_of.insert(name.clone()) {
                let message = format!("`{name}` is not set; it counts as empty");
                let near = nearest_name(&name, values, report);
                let hint = near.unwrap_or_else(|| {
                    format!("set it, write `${{{name}:-default}}`, or `$$` for a dollar sign")
                });
                report.add(Problem::warning("unset", within(span, text, at), message).hint(hint));
            }
        }
        is_right.then(|| new.into())
    }
}

fn nearest_name(name: &str, values: &Variables, report: &mut Report) -> Option<String> {
    let names = values.keys().take(1000).map(String::as_str);
    let near = report.nearest(name, names);
    near.map(|near| format!("did you mean `{near}`?"))
}

fn problem(flaw: Flaw, span: Span, values: &Variables, report: &mut Report) -> Problem {
    const FORMS: &str = "the forms are `$V`, `${V}`, `${V:-default}`, `${V-default}`, `${V:?error}`, `${V?error}`, `${V:+replacement}`, `${V+replacement}`, and `$$` for a dollar sign";
    let problem = |message: String| Problem::error("interpolation", span, message);
    match flaw {
        Flaw::LoneDollar => {
            problem("this `$` starts no variable".to_owned()).hint("write `$$` for a dollar sign")
        }
        Flaw::Open => problem("this `${` has no `}`".to_owned()).hint(FORMS),
        Flaw::Name => problem("after `${` comes a variable's name".to_owned()).hint(FORMS),
        Flaw::Operator(name) => {
            problem(format!("`${{{name}` does not go on like this")).hint(FORMS)
        }
        Flaw::Depth => problem("too many variables inside each other".to_owned())
            .hint("set a variable for the inner ones"),
        Flaw::Required(name, said) => {
            let said = match said.is_empty() {
                true => "it is needed here".to_owned(),
                false => said,
            };
            Problem::error("required", span, format!("`{name}` is not set: {said}")).maybe_hint(
                nearest_name(&name, values, report)
                    .or_else(|| Some(format!("set `{name}` in the environment or in `.env`"))),
            )
        }
        Flaw::TooLarge => Problem::error(
            "too-large",
            span,
            format!("with their variables replaced the files grow by over {MAX_GROWTH} bytes"),
        ),
    }
}

fn with_value(node: &Node, value: Value) -> Node {
    Node {
        value,
        span: node.span,
        tag: node.tag,
    }
}

/// The place of a character of a text, where the text stands on one line as it is.
pub(crate) fn within(span: Span, text: &str, at: usize) -> Span {
    let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let quotes = span.length.checked_sub(length);
    let (Some(quotes @ (0 | 2)), Ok(at)) = (quotes, u32::try_from(at)) else {
        return span;
    };
    Span {
        column: span.column + quotes / 2 + at,
        length: length - at,
        ..span
    }
}
