//! `spec:inputs`: the values a file takes, and `$[[ inputs.name | function ]]` in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::expression::Patterns;
use crate::report::{Problem, Report};
use crate::schema::{SPEC, SPEC_INPUT, What, check_map};
use crate::scope::Scope;
use yaml::nearest;
use yaml::{Entry, Map, Node, Span, Value};

/// Texts that interpolation may make, in bytes.
const MAX_MADE: usize = 16 << 20;

/// Checks a header and its inputs, whether or not values are given.
pub(crate) fn check_spec(spec: &Node, report: &mut Report) {
    if spec.as_map().is_none() {
        let message = format!("`spec` must be a mapping, but is {}", spec.kind());
        report.add(Problem::error("wrong-kind", spec.span, message));
        return;
    }
    check_map(spec, &SPEC, &What::of("`spec`"), report);
    for entry in entries(spec.get("inputs")) {
        check_input(entry, report);
    }
}

fn entries(node: Option<&Node>) -> &[Entry] {
    node.and_then(Node::as_map).map_or(&[], |map| &map.entries)
}

/// Checks one input of a file or a job.
pub(crate) fn check_input(entry: &Entry, report: &mut Report) {
    let what = format!("input `{}`", entry.key);
    if entry.value.is_null() {
        return;
    }
    if entry.value.as_map().is_none() {
        let message = format!("{what} must be a mapping, but is {}", entry.value.kind());
        report.add(Problem::error("wrong-kind", entry.value.span, message));
        return;
    }
    check_map(&entry.value, &SPEC_INPUT, &What::of(&what), report);
    let input = &entry.value;
    if let Some(default) = input.get("default") {
        fits(default, input, &what, report);
        if input.get("rules").is_some() {
            let message = format!("{what} has both `default` and `rules`");
            report.add(
                Problem::error("input", default.span, message)
                    .hint("put the default into a last rule without `if`"),
            );
        }
    }
    for rule in input
        .get("rules")
        .and_then(Node::as_list)
        .unwrap_or_default()
    {
        if let Some(node) = rule.get("if")
            && let Some(text) = node.as_str()
            && let Err(error) = crate::expression::parse(&input_condition(text), &report.patterns)
        {
            let message = format!("the condition of {what} is none: {}", error.message);
            let problem = Problem::error("input", node.span, message);
            report.add(problem.maybe_hint(error.hint));
        }
    }
    if let Some(pattern) = input.get("regex").and_then(Node::as_str)
        && let Err(message) = crate::expression::regex(pattern, "")
    {
        let span = input.get("regex").map_or(input.span, |node| node.span);
        report.add(Problem::error("input", span, message));
    }
}

/// The condition of an input's rule with `$[[ inputs.NAME ]]` as `$NAME`.
fn input_condition(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, block)) = rest.split_once("$[[") {
        let (name, after) = block.split_once("]]").unwrap_or((block, ""));
        out.push_str(before);
        out.push('$');
        out.push_str(&name.trim().trim_start_matches("inputs.").replace('-', "_"));
        rest = after;
    }
    out + rest
}

/// Whether a value is of the input's type, among its options and of its form.
fn fits(value: &Node, input: &Node, what: &str, report: &mut Report) -> bool {
    let kind = input.get("type").and_then(Node::as_str).unwrap_or("string");
    let right = match (kind, &value.value) {
        ("string", Value::Text(_))
        | ("number", Value::Int(..) | Value::Float(..))
        | ("boolean", Value::Bool(_))
        | ("array", Value::List(_)) => true,
        ("string" | "number" | "boolean" | "array", _) => false,
        _ => true,
    };
    if !right {
        let article = if kind == "array" { "an" } else { "a" };
        let message = format!("{what} is {article} {kind}, this is {}", value.kind());
        let hint = match kind {
            "string" => "put quotes around it, or give the input another `type`",
            _ => "give a value of that type, or the input another `type`",
        };
        report.add(Problem::error("input", value.span, message).hint(hint));
        return false;
    }
    let text = value.scalar_text().unwrap_or_default();
    if let Some(options) = input.get("options").and_then(Node::as_list)
        && !options
            .iter()
            .any(|option| option.scalar_text().as_ref() == Some(&text))
    {
        let words: Vec<_> = options.iter().filter_map(Node::scalar_text).collect();
        let message = format!("{what} cannot be `{text}`");
        let hint = format!("use one of {}", words.join(", "));
        report.add(Problem::error("input", value.span, message).hint(hint));
        return false;
    }
    if let Some(pattern) = input.get("regex").and_then(Node::as_str)
        && let Ok(regex) = crate::expression::regex(pattern, "")
        && !regex.is_match(&text)
    {
        let message = format!("{what} does not match `{pattern}`");
        report.add(Problem::error("input", value.span, message));
        return false;
    }
    true
}

/// The values of a file's inputs: those given, else the defaults.
pub(crate) fn values(
    spec: &Node,
    given: &BTreeMap<Arc<str>, Node>,
    at: Span,
    report: &mut Report,
) -> BTreeMap<Arc<str>, Node> {
    let inputs = entries(spec.get("inputs"));
    for (name, value) in given {
        if !inputs.iter().any(|entry| entry.key == *name) {
            let message = format!("the included file has no input `{name}`");
            let near = report.nearest(name, inputs.iter().map(|entry| &*entry.key));
            report.add(
                Problem::error("input", value.span, message)
                    .maybe_hint(near.map(|near| format!("did you mean `{near}`?"))),
            );
        }
    }
    let mut values = BTreeMap::new();
    for entry in inputs {
        let what = format!("input `{}`", entry.key);
        match given.get(&entry.key) {
            Some(value) => {
                // One that does not fit is known all the same: its uses are not wrong.
                fits(value, &entry.value, &what, report);
                values.insert(Arc::clone(&entry.key), value.clone());
            }
            None => match default(&entry.value, &values, &report.patterns) {
                Some(value) => {
                    values.insert(Arc::clone(&entry.key), value);
                }
                None => {
                    let message = format!("{what} has no value");
                    report.add(
                        Problem::error("input", at, message)
                            .note(entry.span, "the input")
                            .hint("give it under `inputs` of the include, or give it a `default`"),
                    );
                    let nothing = Node::new(Value::Null, entry.span);
                    values.insert(Arc::clone(&entry.key), nothing);
                }
            },
        }
    }
    values
}

/// The default, or that of the first rule whose condition on earlier inputs holds.
fn default(input: &Node, values: &BTreeMap<Arc<str>, Node>, patterns: &Patterns) -> Option<Node> {
    if let Some(default) = input.get("default") {
        return Some(default.clone());
    }
    let rules = input.get("rules").and_then(Node::as_list)?;
    let fitting = rules.iter().find(|rule| {
        let condition = rule.get("if").and_then(Node::as_str);
        condition.is_none_or(|text| {
            let text = input_condition(text);
            let lookup = |name: &str| {
                let named = |(key, _): &(&Arc<str>, &Node)| key.replace('-', "_") == name;
                let value = values.iter().find(named)?.1.scalar_text()?;
                Some(std::borrow::Cow::Owned(value.to_string()))
            };
            crate::expression::parse(&text, patterns)
                .is_ok_and(|expression| expression.holds(&lookup))
        })
    })?;
    fitting.get("default").cloned()
}

/// Characters that would end a text in YAML, and what stands for them inside of blocks while the
/// file is parsed: a block may stand anywhere, and keeps its length.
const PROTECTED: [(char, char); 12] = [
    (' ', '\u{e000}'),
    ('[', '\u{e001}'),
    (']', '\u{e002}'),
    ('{', '\u{e003}'),
    ('}', '\u{e004}'),
    (',', '\u{e005}'),
    (':', '\u{e006}'),
    ('#', '\u{e007}'),
    ('"', '\u{e008}'),
    ('\'', '\u{e009}'),
    ('|', '\u{e00a}'),
    ('&', '\u{e00b}'),
];

/// The text with its blocks made safe for YAML.
pub(crate) fn protect(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("$[[") {
        let line = rest[start..]
            .find('\n')
            .map_or(rest.len(), |end| start + end);
        let Some(end) = rest[start..line].find("]]").map(|end| start + end + 2) else {
            // nothing on this line is closed any more
            out.push_str(&rest[..line]);
            rest = &rest[line..];
            continue;
        };
        out.push_str(&rest[..start]);
        let mut escaped = false;
        out.extend(rest[start..end].chars().map(|c| {
            // Between double quotes a backslash belongs to what follows: `\"` has to stay what it is.
            let stays = escaped && matches!(c, '"' | ' ');
            escaped = c == '\\' && !escaped;
            let safe = PROTECTED.iter().find(|(plain, _)| *plain == c && !stays);
            safe.map_or(c, |(_, safe)| *safe)
        }));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// The blocks of a text as they were written.
fn restore_text(text: &str) -> Option<String> {
    let is_safe = |c: char| ('\u{e000}'..='\u{e00b}').contains(&c);
    text.contains(is_safe).then(|| {
        let plain = |c: char| {
            let found = PROTECTED.iter().find(|(_, safe)| *safe == c);
            found.map_or(c, |(plain, _)| *plain)
        };
        text.chars().map(plain).collect()
    })
}

/// The tree with its blocks as they were written.
pub(crate) fn restore(node: &Node) -> Node {
    let value = match &node.value {
        Value::Text(text) => match restore_text(text) {
            Some(text) => Value::Text(text.into()),
            None => return node.clone(),
        },
        Value::List(items) => Value::List(Arc::new(items.iter().map(restore).collect())),
        Value::Reference(items) => Value::Reference(Arc::new(items.iter().map(restore).collect())),
        Value::Map(map) => {
            let entry = |entry: &Entry| Entry {
                key: restore_text(&entry.key).map_or_else(|| Arc::clone(&entry.key), Arc::from),
                span: entry.span,
                value: restore(&entry.value),
            };
            let entries = map.entries.iter().map(entry).collect();
            Value::Map(Arc::new(Map { entries }))
        }
        _ => return node.clone(),
    };
    Node::new(value, node.span)
}

/// Replaces the blocks of a tree by the values.
pub(crate) struct Interpolation<'a> {
    pub(crate) values: &'a BTreeMap<Arc<str>, Node>,
    /// What the file may know of itself as a component.
    pub(crate) component: BTreeMap<&'static str, &'a str>,
    pub(crate) scope: &'a Scope<'a>,
    pub(crate) made: usize,
}

impl Interpolation<'_> {
    pub(crate) fn node(&mut self, node: &Node, report: &mut Report) -> Node {
        let node = &restore(node);
        self.replaced(node, report)
    }

    fn replaced(&mut self, node: &Node, report: &mut Report) -> Node {
        let value = match &node.value {
            Value::Text(text) if text.contains("$[[") => return self.text(text, node.span, report),
            Value::List(items) => {
                let items = items
                    .iter()
                    .map(|item| self.replaced(item, report))
                    .collect();
                Value::List(Arc::new(items))
            }
            Value::Reference(items) => {
                let items = items
                    .iter()
                    .map(|item| self.replaced(item, report))
                    .collect();
                Value::Reference(Arc::new(items))
            }
            Value::Map(map) => Value::Map(Arc::new(self.map(map, report))),
            value => value.clone(),
        };
        Node::new(value, node.span)
    }

    fn map(&mut self, map: &Map, report: &mut Report) -> Map {
        let mut new = Map::default();
        for entry in &map.entries {
            let key = match entry.key.contains("$[[") {
                true => (self.text(&entry.key, entry.span, report).scalar_text())
                    .unwrap_or_else(|| Arc::clone(&entry.key)),
                false => Arc::clone(&entry.key),
            };
            new.entries.push(Entry {
                key,
                span: entry.span,
                value: self.replaced(&entry.value, report),
            });
        }
        new
    }

    /// A text that is one block takes the value's type; else the values become texts in it.
    fn text(&mut self, text: &str, span: Span, report: &mut Report) -> Node {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("$[[") {
            let Some(end) = rest[start..].find("]]").map(|end| start + end) else {
                break;
            };
            let block = rest[start + 3..end].trim();
            let whole = start == 0 && end + 2 == rest.len() && out.is_empty();
            out.push_str(&rest[..start]);
            match self.block(block) {
                Ok(node) if whole => {
                    return Node::new(node.value, span);
                }
                Ok(node) => out.push_str(&as_text(&node)),
                Err((message, hint)) => {
                    let problem = Problem::error("input", span, message);
                    report.add(problem.maybe_hint(hint));
                }
            }
            rest = &rest[end + 2..];
        }
        out.push_str(rest);
        self.made += out.len();
        if self.made > MAX_MADE {
            let message = "the inputs make this file too large";
            report.add(Problem::error("too-large", span, message));
            out.clear();
        }
        Node::text(out, span)
    }

    fn block(&self, block: &str) -> Result<Node, (String, Option<String>)> {
        let mut parts = block.split('|').map(str::trim);
        let path = parts.next().unwrap_or_default();
        if path.starts_with("matrix.") {
            // It belongs to `needs`, where the job's place in its matrix is known.
            return Ok(Node::text(format!("$[[ {block} ]]"), Span::default()));
        }
        if let Some(word) = path.strip_prefix("component.") {
            let value = self.component_word(word)?;
            return parts.try_fold(value, |value, function| self.function(&value, function));
        }
        let Some(name) = path.strip_prefix("inputs.") else {
            let hint = "write `$[[ inputs.NAME ]]`".to_owned();
            return Err((format!("`$[[ {path} ]]` is no input"), Some(hint)));
        };
        let Some(value) = self.values.get(name) else {
            let near = nearest(name, self.values.keys().map(|key| &**key));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add it under `spec:inputs` in the header".to_owned(),
            };
            return Err((format!("there is no input `{name}`"), Some(hint)));
        };
        parts.try_fold(value.clone(), |value, function| {
            self.function(&value, function)
        })
    }

    fn component_word(&self, word: &str) -> Result<Node, (String, Option<String>)> {
        let text = self.component.get(word).ok_or_else(|| {
            let hint = format!(
                "write `spec: {{component: [{word}]}}` in the header, and include the file by `component`"
            );
            (format!("`{word}` of the component is not known here"), Some(hint))
        })?;
        Ok(Node::text((*text).to_owned(), Span::default()))
    }

    fn function(&self, value: &Node, call: &str) -> Result<Node, (String, Option<String>)> {
        let text = as_text(value);
        let made = if call == "expand_vars" {
            self.scope.expand(&text)
        } else if call == "posix_escape" {
            posix_escape(&text)
        } else if let Some((from, length)) = truncate_arguments(call) {
            text.chars().skip(from).take(length).collect()
        } else {
            let hint =
                "there are `expand_vars`, `truncate(FROM,LENGTH)` and `posix_escape`".to_owned();
            return Err((format!("`{call}` is no function of inputs"), Some(hint)));
        };
        Ok(Node::text(made, value.span))
    }
}

fn truncate_arguments(call: &str) -> Option<(usize, usize)> {
    let arguments = call.strip_prefix("truncate(")?.strip_suffix(')')?;
    let (from, length) = arguments.split_once(',')?;
    Some((from.trim().parse().ok()?, length.trim().parse().ok()?))
}

fn posix_escape(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' => out.push_str("'\n'"),
            c if c.is_alphanumeric() || "_-.,:+/@".contains(c) => out.push(c),
            c => {
                out.push('\\');
                out.push(c);
            }
        }
    }
    out
}

fn as_text(node: &Node) -> String {
    match node.scalar_text() {
        Some(text) => text.to_string(),
        None if node.is_null() => String::new(),
        None => yaml::to_json(node).to_string(),
    }
}
