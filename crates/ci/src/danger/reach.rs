//! Jobs that no branch and no tag can reach.
//!
//! The rules are held against the kinds of pipeline that there are, with what is unknown left open:
//! only what is surely false everywhere is said.

use std::collections::HashMap;

use crate::draft::Draft;
use crate::expression::{self, Expression, Operator, Patterns};
use crate::read;
use crate::report::{Problem, Report};
use yaml::{Node, Span, Value};

/// What is known of a text.
#[derive(Debug, Clone, PartialEq)]
enum Text {
    /// The variable is not set.
    Absent,
    /// It is this.
    Is(String),
    /// It is set and not empty.
    Some,
    /// Nothing is known.
    Any,
}

/// A kind of pipeline: whether it is of a tag, and its source.
const WORLDS: [(bool, &str); 9] = [
    (false, "push"),
    (true, "push"),
    (false, "web"),
    (true, "web"),
    (false, "schedule"),
    (false, "merge_request_event"),
    (false, "parent_pipeline"),
    (true, "parent_pipeline"),
    (false, "any other"),
];

/// What was found out already: many jobs share their rules.
#[derive(Default)]
pub(crate) struct Reach {
    rules: HashMap<Span, bool>,
}

impl Reach {
    pub(crate) fn look(&mut self, draft: &Draft, report: &mut Report) {
        let given = |name| draft.get(name).filter(|node| !node.is_null());
        if let Some(rules) = given("rules") {
            let reached = *self
                .rules
                .entry(rules.span)
                .or_insert_with(|| may_hold(rules, &report.patterns));
            if !reached {
                let note = "none of these rules can ever let it run";
                let problem = unreachable(draft).note(rules.span, note);
                report.add(problem.hint("change the conditions, or remove the job"));
            }
        } else if let (Some(only), Some(except)) = (given("only"), given("except")) {
            let (only, except) = (refs(only), refs(except));
            if !only.is_empty() && only.iter().all(|pattern| excluded(pattern, &except)) {
                let hint = "`except` takes away all that `only` allows: remove one of them";
                report.add(unreachable(draft).hint(hint));
            }
        }
    }
}

fn unreachable(draft: &Draft) -> Problem {
    let message = format!("no branch and no tag can reach job `{}`", draft.name);
    Problem::danger("unreachable", draft.span, message)
}

/// Whether some pipeline may come to a rule that lets the job run.
fn may_hold(rules: &Node, patterns: &Patterns) -> bool {
    let mut flat = Vec::new();
    flatten(rules, &mut flat);
    let rules: Vec<_> = flat
        .into_iter()
        .map(|rule| Rule::new(rule, patterns))
        .collect();
    WORLDS.iter().any(|world| reached(&rules, *world))
}

/// A rule, as far as it matters here.
struct Rule {
    condition: Option<Expression>,
    /// It may hold or not, whatever its condition says.
    open: bool,
    never: bool,
}

impl Rule {
    fn new(node: &Node, patterns: &Patterns) -> Self {
        let text = node.get("if").and_then(Node::as_str);
        let condition = text.and_then(|text| expression::parse(text, patterns).ok());
        let more = node.get("changes").is_some() || node.get("exists").is_some();
        Self {
            open: more || text.is_some() && condition.is_none(),
            never: node.get("when").and_then(Node::as_str) == Some("never"),
            condition,
        }
    }
}

fn refs(node: &Node) -> Vec<String> {
    match &node.value {
        Value::Map(map) => read::strings(map.get("refs")),
        _ => read::strings(Some(node)),
    }
}

fn excluded(pattern: &str, except: &[String]) -> bool {
    let has = |word: &str| except.iter().any(|one| one == word);
    let is_word = pattern.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    has(pattern) || !is_word && has("branches") && has("tags")
}

fn flatten<'n>(rules: &'n Node, flat: &mut Vec<&'n Node>) {
    match &rules.value {
        Value::List(items) => items.iter().for_each(|item| flatten(item, flat)),
        _ => flat.push(rules),
    }
}

/// Whether some rule may let the job run in this world.
fn reached(rules: &[Rule], world: (bool, &str)) -> bool {
    for rule in rules {
        let condition = rule.condition.as_ref();
        let held = condition.map_or(Some(true), |condition| truth(condition, world));
        match held {
            Some(false) => {}
            Some(true) if rule.never && !rule.open => return false,
            _ if rule.never => {}
            _ => return true,
        }
    }
    false
}

fn variable(name: &str, (tag, source): (bool, &str)) -> Text {
    let merge_request = source == "merge_request_event";
    match name {
        "CI_COMMIT_TAG" if tag => Text::Some,
        "CI_COMMIT_TAG" => Text::Absent,
        "CI_COMMIT_BRANCH" if tag || merge_request => Text::Absent,
        "CI_COMMIT_BRANCH" | "CI_COMMIT_REF_NAME" | "CI_DEFAULT_BRANCH" => Text::Some,
        "CI_PIPELINE_SOURCE" if source == "any other" => Text::Some,
        "CI_PIPELINE_SOURCE" => Text::Is(source.to_owned()),
        _ => Text::Any,
    }
}

/// Whether a condition holds, if that is sure.
fn truth(expression: &Expression, world: (bool, &str)) -> Option<bool> {
    match expression {
        Expression::And(left, right) => match (truth(left, world), truth(right, world)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Expression::Or(left, right) => match (truth(left, world), truth(right, world)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Expression::Compare(operator, left, right) => compare(*operator, left, right, world),
        Expression::Pattern(_) => Some(true),
        value => match text(value, world) {
            Text::Absent => Some(false),
            Text::Is(text) => Some(!text.trim().is_empty()),
            Text::Some => Some(true),
            Text::Any => None,
        },
    }
}

fn compare(
    operator: Operator,
    left: &Expression,
    right: &Expression,
    world: (bool, &str),
) -> Option<bool> {
    let left = text(left, world);
    let matched = match (operator, right) {
        (Operator::Equals | Operator::Differs, _) => same(&left, &text(right, world)),
        (_, Expression::Pattern(regex)) => match left {
            Text::Absent => Some(regex.is_match("")),
            Text::Is(text) => Some(regex.is_match(&text)),
            Text::Some | Text::Any => None,
        },
        _ => None,
    }?;
    Some(match operator {
        Operator::Equals | Operator::Matches => matched,
        Operator::Differs | Operator::MatchesNot => !matched,
    })
}

fn same(left: &Text, right: &Text) -> Option<bool> {
    match (left, right) {
        (Text::Absent, Text::Absent) => Some(true),
        (Text::Is(left), Text::Is(right)) => Some(left == right),
        (Text::Absent, Text::Is(_) | Text::Some) | (Text::Is(_) | Text::Some, Text::Absent) => {
            Some(false)
        }
        (Text::Is(text), Text::Some) | (Text::Some, Text::Is(text)) if text.is_empty() => {
            Some(false)
        }
        _ => None,
    }
}

fn text(expression: &Expression, world: (bool, &str)) -> Text {
    match expression {
        Expression::Null => Text::Absent,
        Expression::Text(text) => Text::Is(text.clone()),
        Expression::Variable(name) => variable(name, world),
        _ => Text::Any,
    }
}
