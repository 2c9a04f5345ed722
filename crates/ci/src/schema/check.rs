//! Holds a tree against a shape and says everything that does not fit.

use std::collections::HashSet;
use std::fmt;

use super::{List, Map, Shape, Text, text};
use crate::report::{Problem, Report};
use yaml::{Entry, Node, Value};

/// What is being checked, for messages: `` an entry of `cache:key:files` of job `build` ``. It is a
/// chain on the stack, as most values are right and need no name.
pub(crate) struct What<'w> {
    outer: Option<&'w What<'w>>,
    part: Part<'w>,
}

enum Part<'w> {
    /// What all of it belongs to.
    Owner(&'w str),
    Job(&'w str),
    Key(&'w str),
    Item(&'w str),
}

impl<'w> What<'w> {
    /// Keywords of the file.
    pub(crate) const FILE: What<'static> = What {
        outer: None,
        part: Part::Owner(""),
    };

    /// Keywords of a job.
    pub(crate) fn job(name: &'w str) -> Self {
        Self {
            outer: None,
            part: Part::Job(name),
        }
    }

    /// Keywords of something else.
    pub(crate) fn of(owner: &'w str) -> Self {
        Self {
            outer: None,
            part: Part::Owner(owner),
        }
    }

    pub(crate) fn key<'o>(&'o self, key: &'o str) -> What<'o> {
        What {
            outer: Some(self),
            part: Part::Key(key),
        }
    }

    fn item<'o>(&'o self, name: &'o str) -> What<'o> {
        What {
            outer: Some(self),
            part: Part::Item(name),
        }
    }
}

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut keys = Vec::new();
        let mut owner = String::new();
        let mut next = Some(self);
        while let Some(what) = next {
            match what.part {
                Part::Key(key) => keys.push(key),
                Part::Item(_) | Part::Owner("") => {}
                Part::Owner(text) => owner = format!(" of {text}"),
                Part::Job(name) => owner = format!(" of job `{name}`"),
            }
            next = what.outer;
        }
        keys.reverse();
        if let Part::Item(name) = self.part {
            write!(f, "{name} of ")?;
        }
        write!(f, "`{}`{owner}", keys.join(":"))
    }
}

/// Checks a value; `what` names it in messages.
pub(crate) fn check(node: &Node, shape: &Shape, what: &What<'_>, report: &mut Report) {
    match shape {
        Shape::Any => {}
        Shape::Same(shape) => check(node, shape, what, report),
        Shape::Either(shapes) => check_either(node, shapes, what, report),
        _ if !fits(node, shape) => report.add(mismatch(node, shape, what)),
        Shape::Integer(min, max) => check_integer(node, *min, *max, what, report),
        Shape::Text(rule) => check_text(node, *rule, what, report),
        Shape::Word(words) => check_word(node, words, what, report),
        Shape::List(list) => check_list(node, list, what, report),
        Shape::Script { may_be_empty } => check_script(node, *may_be_empty, what, report),
        Shape::Map(map) => check_map(node, map, what, report),
        Shape::Dict(shape) => {
            for entry in entries(node) {
                check(&entry.value, shape, &what.key(&entry.key), report);
            }
        }
        Shape::Null | Shape::Bool => {}
    }
}

fn entries(node: &Node) -> &[Entry] {
    node.as_map().map_or(&[], |map| &map.entries)
}

/// Whether the kind of the value is right; what is in it is looked at afterwards.
fn fits(node: &Node, shape: &Shape) -> bool {
    match (shape, &node.value) {
        (Shape::Any, _)
        | (Shape::Null, Value::Null)
        | (Shape::Bool, Value::Bool(_))
        | (Shape::Integer(..), Value::Int(..))
        | (Shape::Text(_) | Shape::Word(_) | Shape::Script { .. }, Value::Text(_))
        | (
            Shape::Text(Text::Scalar | Text::CacheKey),
            Value::Bool(_) | Value::Int(..) | Value::Float(..),
        )
        | (Shape::Text(Text::Duration), Value::Int(..))
        | (Shape::List(_) | Shape::Script { .. }, Value::List(_))
        | (Shape::Map(_) | Shape::Dict(_), Value::Map(_)) => true,
        (Shape::Same(shape), _) => fits(node, shape),
        (Shape::Either(shapes), _) => shapes.iter().any(|shape| fits(node, shape)),
        _ => false,
    }
}

fn check_either(node: &Node, shapes: &[Shape], what: &What<'_>, report: &mut Report) {
    let fitting: Vec<_> = shapes.iter().filter(|shape| fits(node, shape)).collect();
    match fitting[..] {
        [] => report.add(
            mismatch(node, &Shape::Either(&[]), what)
                .maybe_hint(Some(format!("write {}", names(shapes)))),
        ),
        [shape] => check(node, shape, what, report),
        [first, ..] => {
            let passes = |shape: &&&Shape| {
                let mut trial = Report::trial();
                check(node, shape, what, &mut trial);
                trial.errors() == 0
            };
            match fitting.iter().find(passes) {
                Some(shape) => check(node, shape, what, report),
                None => check(node, first, what, report),
            }
        }
    }
}

fn mismatch(node: &Node, shape: &Shape, what: &What<'_>) -> Problem {
    let expected = match shape {
        Shape::Either(_) => String::new(),
        shape => format!("must be {}, but ", name(shape)),
    };
    let message = match (expected.as_str(), &node.value) {
        ("", Value::Null) => format!("{what} is empty"),
        ("", _) => format!("{what} cannot be {}", node.kind()),
        (expected, Value::Null) => format!("{what} {expected}is empty"),
        (expected, _) => format!("{what} {expected}is {}", node.kind()),
    };
    let problem = Problem::error("wrong-kind", node.span, message);
    match (&node.value, shape) {
        (Value::Map(map), Shape::Text(_) | Shape::Script { .. }) if is_accident(map) => {
            problem.hint("the `: ` in it makes this a mapping: put quotes around the whole text")
        }
        (
            Value::Bool(_) | Value::Int(..) | Value::Float(..),
            Shape::Text(_) | Shape::Script { .. } | Shape::Word(_),
        ) => problem.hint("put quotes around it"),
        (Value::Text(text), Shape::Integer(..) | Shape::Bool)
            if !matches!(yaml::plain(text, yaml::Dialect::Psych), Value::Text(_)) =>
        {
            problem.hint("take the quotes away")
        }
        (Value::Text(_), Shape::List(_)) => problem.hint("write it as a list: `[…]` or `- …`"),
        _ => problem,
    }
}

/// A text with `: ` in it that became a mapping: its key is no single word.
fn is_accident(map: &yaml::Map) -> bool {
    let word = |key: &str| {
        key.chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
    };
    matches!(&map.entries[..], [entry] if !word(&entry.key))
}

fn check_integer(node: &Node, min: i64, max: i64, what: &What<'_>, report: &mut Report) {
    let number = node.as_int().unwrap_or_default();
    if !(min..=max).contains(&number) {
        let message = match max {
            i64::MAX => format!("{what} must be at least {min}, but is {number}"),
            _ => format!("{what} must be between {min} and {max}, but is {number}"),
        };
        report.add(Problem::error("out-of-range", node.span, message));
    }
}

fn check_text(node: &Node, rule: Text, what: &What<'_>, report: &mut Report) {
    if rule == Text::Expression && !report.is_new_condition(node.span) {
        return;
    }
    let text = node.scalar_text().unwrap_or_default();
    if let Err((message, hint)) = text::fits(&text, rule, &report.patterns) {
        report.add(
            Problem::error("wrong-value", node.span, format!("{what} {message}")).maybe_hint(hint),
        );
    }
}

fn check_word(node: &Node, words: &[&str], what: &What<'_>, report: &mut Report) {
    let text = node.as_str().unwrap_or_default();
    if words.contains(&text) {
        return;
    }
    let hint = match report.nearest(text, words.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("use one of {}", quoted(words)),
    };
    let message = format!("{what} cannot be `{text}`");
    report.add(Problem::error("wrong-value", node.span, message).hint(hint));
}

fn check_list(node: &Node, list: &List, what: &What<'_>, report: &mut Report) {
    let items = node.as_list().unwrap_or_default();
    if items.len() < list.min {
        let message = match list.min {
            1 => format!("{what} is an empty list"),
            min => format!("{what} must have at least {min} entries"),
        };
        report.add(Problem::error("out-of-range", node.span, message));
    }
    if let Some(extra) = items.get(list.max) {
        let message = format!(
            "{what} has {} entries; at most {} are allowed",
            items.len(),
            list.max
        );
        report.add(Problem::error("out-of-range", extra.span, message));
    }
    let mut seen = HashSet::new();
    for item in items {
        check_item(item, list, list.nested, what, report);
        if list.unique
            && let Some(text) = item.scalar_text()
            && !seen.insert(text)
        {
            let message = format!("{what} has the same entry twice");
            report.add(Problem::error("wrong-value", item.span, message));
        }
    }
}

fn check_item(item: &Node, list: &List, nested: usize, what: &What<'_>, report: &mut Report) {
    match &item.value {
        Value::List(items) if nested > 0 => {
            for item in items.iter() {
                check_item(item, list, nested - 1, what, report);
            }
        }
        _ => check(item, &list.item, &what.item("an entry"), report),
    }
}

fn check_script(node: &Node, may_be_empty: bool, what: &What<'_>, report: &mut Report) {
    let empty = match &node.value {
        Value::List(items) => items.is_empty(),
        Value::Text(text) => text.is_empty(),
        _ => false,
    };
    if empty && !may_be_empty {
        let message = format!("{what} is empty");
        report.add(
            Problem::error("wrong-value", node.span, message).hint("write the command to run"),
        );
    }
    if let Value::List(items) = &node.value {
        check_lines(items, 10, &what.item("a line"), report);
    }
}

fn check_lines(items: &[Node], levels: usize, what: &What<'_>, report: &mut Report) {
    for item in items {
        match &item.value {
            Value::List(items) if levels > 0 => check_lines(items, levels - 1, what, report),
            _ => check(item, &Shape::Text(Text::Any), what, report),
        }
    }
}

/// Checks a mapping with known keys.
pub(crate) fn check_map(node: &Node, map: &Map, what: &What<'_>, report: &mut Report) {
    let mut unknown = Vec::new();
    for entry in entries(node) {
        match map.key(&entry.key) {
            Some(key) => check_at(entry, &key.shape, &what.key(&entry.key), report),
            None if entry.key.starts_with('.') && map.lenient => {}
            None => unknown.push(entry),
        }
    }
    let missing = missing(node, map);
    for entry in &unknown {
        let problem = unknown_key(entry, map, &missing, report);
        report.add(problem);
    }
    for group in missing {
        let message = format!("{} needs {}", map.name, quoted(group));
        let span = node.span;
        report.add(Problem::error("missing-keyword", span, message));
    }
}

/// An empty value is marked at its key, as it has no place of its own.
fn check_at(entry: &Entry, shape: &Shape, what: &What<'_>, report: &mut Report) {
    if entry.value.is_null() {
        let node = Node::new(Value::Null, entry.span);
        check(&node, shape, what, report);
    } else {
        check(&entry.value, shape, what, report);
    }
}

fn missing(node: &Node, map: &Map) -> Vec<&'static [&'static str]> {
    let has = |name: &&str| node.get(name).is_some();
    map.required
        .iter()
        .filter(|group| !group.iter().any(has))
        .copied()
        .collect()
}

fn unknown_key(entry: &Entry, map: &Map, missing: &[&[&str]], report: &mut Report) -> Problem {
    let message = format!("unknown keyword `{}` in {}", entry.key, map.name);
    let near = report.nearest(&entry.key, map.keys.iter().map(|key| key.name));
    let replaces_missing =
        near.is_some_and(|near| missing.iter().any(|group| group.contains(&near)));
    let problem = if map.lenient && !replaces_missing {
        Problem::warning("unknown-keyword", entry.span, message)
    } else {
        Problem::error("unknown-keyword", entry.span, message)
    };
    if super::GLOBAL.key(&entry.key).is_some() && map.lenient {
        return problem.hint(format!(
            "`{}` belongs at the top of the file, not into a job",
            entry.key
        ));
    }
    match near {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None if map.keys.len() <= 12 => {
            let names: Vec<_> = map.keys.iter().map(|key| key.name).collect();
            problem.hint(format!("it may have {}", quoted(&names)))
        }
        None => problem.hint("remove it, or put a `.` in front of its name to keep it unused"),
    }
}

fn quoted(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn names(shapes: &[Shape]) -> String {
    let mut names: Vec<String> = Vec::new();
    for shape in shapes {
        let name = name(shape);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(" or ")
}

fn name(shape: &Shape) -> String {
    match shape {
        Shape::Any => "anything".to_owned(),
        Shape::Null => "nothing".to_owned(),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Integer(..) => "a whole number".to_owned(),
        Shape::Text(Text::Duration) => "a time such as `30 minutes`".to_owned(),
        Shape::Text(_) => "a text".to_owned(),
        Shape::Word(words) if words.len() <= 6 => quoted(words),
        Shape::Word(_) => "a word".to_owned(),
        Shape::List(_) => "a list".to_owned(),
        Shape::Script { .. } => "a text or a list of texts".to_owned(),
        Shape::Map(map) => match map.keys {
            keys if keys.len() <= 6 => {
                let names: Vec<_> = keys.iter().map(|key| key.name).collect();
                format!("a mapping with {}", quoted(&names))
            }
            _ => "a mapping".to_owned(),
        },
        Shape::Dict(_) => "a mapping".to_owned(),
        Shape::Either(shapes) => names(shapes),
        Shape::Same(shape) => name(shape),
    }
}
