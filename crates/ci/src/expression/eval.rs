//! Whether a condition holds.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use super::{Expression, Operator};

/// What a part of a condition comes to.
#[derive(Debug, Clone)]
enum Outcome<'e> {
    Null,
    Truth(bool),
    Text(Cow<'e, str>),
    Pattern(Cow<'e, regex::Regex>),
}

impl Expression {
    /// Whether the condition holds with these variables.
    pub(crate) fn holds<'v>(&self, lookup: &dyn Fn(&str) -> Option<Cow<'v, str>>) -> bool {
        match self.outcome(lookup) {
            Outcome::Null => false,
            Outcome::Truth(truth) => truth,
            Outcome::Text(text) => !text.trim().is_empty(),
            Outcome::Pattern(_) => true,
        }
    }

    fn outcome<'e, 'v: 'e>(&'e self, lookup: &dyn Fn(&str) -> Option<Cow<'v, str>>) -> Outcome<'e> {
        match self {
            Self::Null => Outcome::Null,
            Self::Text(text) => Outcome::Text(Cow::Borrowed(text)),
            Self::Variable(name) => lookup(name).map_or(Outcome::Null, Outcome::Text),
            Self::Pattern(regex) => Outcome::Pattern(Cow::Borrowed(regex)),
            Self::And(left, right) => match left.outcome(lookup) {
                Outcome::Null | Outcome::Truth(false) => Outcome::Truth(false),
                _ => right.outcome(lookup),
            },
            Self::Or(left, right) => match left.outcome(lookup) {
                Outcome::Null | Outcome::Truth(false) => right.outcome(lookup),
                Outcome::Text(text) if text.is_empty() => right.outcome(lookup),
                outcome => outcome,
            },
            Self::Compare(operator, left, right) => {
                let (left, right) = (left.outcome(lookup), right.outcome(lookup));
                Outcome::Truth(match operator {
                    Operator::Equals => same(&left, &right),
                    Operator::Differs => !same(&left, &right),
                    Operator::Matches => matches(&left, &right).unwrap_or(false),
                    Operator::MatchesNot => !matches(&left, &right).unwrap_or(false),
                })
            }
        }
    }
}

fn same(left: &Outcome<'_>, right: &Outcome<'_>) -> bool {
    match (left, right) {
        (Outcome::Null, Outcome::Null) => true,
        (Outcome::Text(left), Outcome::Text(right)) => left == right,
        (Outcome::Truth(left), Outcome::Truth(right)) => left == right,
        (Outcome::Pattern(left), Outcome::Pattern(right)) => left.as_str() == right.as_str(),
        _ => false,
    }
}

/// Nothing when the right side is no regular expression; a variable may hold one, with its slashes.
fn matches(left: &Outcome<'_>, right: &Outcome<'_>) -> Option<bool> {
    let text = match left {
        Outcome::Text(text) => text.as_ref(),
        Outcome::Null => "",
        Outcome::Truth(_) | Outcome::Pattern(_) => return None,
    };
    match right {
        Outcome::Pattern(regex) => Some(regex.is_match(text)),
        Outcome::Text(pattern) => {
            let (body, flags) = pattern.strip_prefix('/')?.rsplit_once('/')?;
            Some(regex(body, flags).ok()?.is_match(text))
        }
        _ => None,
    }
}

/// Regular expressions that were compiled already: that is costly, and many conditions have the same.
#[derive(Debug, Default)]
pub(crate) struct Patterns(RefCell<HashMap<String, Result<regex::Regex, String>>>);

/// Different regular expressions of one compilation.
const MAX_PATTERNS: usize = 3_000;

impl Patterns {
    pub(crate) fn regex(&self, pattern: &str, flags: &str) -> Result<regex::Regex, String> {
        let key = format!("{pattern}/{flags}");
        if let Some(known) = self.0.borrow().get(&key) {
            return known.clone();
        }
        if self.0.borrow().len() >= MAX_PATTERNS {
            return Err(format!(
                "the file has more than {MAX_PATTERNS} different regular expressions"
            ));
        }
        let compiled = regex(pattern, flags);
        self.0.borrow_mut().insert(key, compiled.clone());
        compiled
    }
}

/// A regular expression with its flags (`i`, `m`, `s`, `U`).
pub(crate) fn regex(pattern: &str, flags: &str) -> Result<regex::Regex, String> {
    if let Some(flag) = flags.chars().find(|flag| !"imsU".contains(*flag)) {
        return Err(format!(
            "a regular expression has no flag `{flag}` (there are i, m, s and U)"
        ));
    }
    let has = |flag| flags.contains(flag);
    regex::RegexBuilder::new(pattern)
        .case_insensitive(has('i'))
        .multi_line(has('m'))
        .dot_matches_new_line(has('s'))
        .swap_greed(has('U'))
        .size_limit(1 << 20)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                "the regular expression is too costly: use smaller repetitions".to_owned()
            }
            error => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                let reason = reason.trim_start_matches("error: ");
                format!("`/{pattern}/` is not a regular expression: {reason}")
            }
        })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::{Patterns, parse};

    fn holds(text: &str) -> bool {
        let variables = |name: &str| {
            let value = match name {
                "A" => "abc",
                "EMPTY" => "",
                "BLANK" => " ",
                "TAG" => "v1.2.3",
                "RE" => "/^V\\d/i",
                _ => return None,
            };
            Some(Cow::Borrowed(value))
        };
        parse(text, &Patterns::default()).unwrap().holds(&variables)
    }

    #[test]
    fn conditions() {
        for (text, expected) in [
            ("$A", true),
            ("$EMPTY", false),
            ("$BLANK", false),
            ("$NONE", false),
            ("$NONE == null", true),
            ("$EMPTY == null", false),
            ("$EMPTY == \"\"", true),
            ("$NONE != \"\"", true),
            ("$A == 'abc'", true),
            ("\"abc\" == $A", true),
            ("$A == $A", true),
            ("$A != \"abc\"", false),
            ("$TAG =~ /^v\\d+\\.\\d+/", true),
            ("$TAG =~ /^V/", false),
            ("$TAG =~ /^V/i", true),
            ("$TAG =~ $RE", true),
            ("$TAG =~ $A", false),
            ("$TAG !~ /x/", true),
            ("$NONE !~ /x/", true),
            ("$NONE =~ /x/", false),
            ("$A =~ /a\\/b|abc/", true),
            ("$NONE && $A || $A", true),
            ("$A || $NONE && $NONE", true),
            ("($A || $NONE) && $NONE", false),
            ("$A == \"x\" || ($TAG =~ /^v/ && $A)", true),
        ] {
            assert_eq!(holds(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_condition() {
        for (text, part) in [
            ("", "empty"),
            ("$A ==", "ends too early"),
            ("$A = \"x\"", "`=` has no meaning"),
            ("${A} == \"x\"", "braces"),
            ("$A == abc", "`abc` is neither"),
            ("($A", "never closed"),
            ("$A $B", "not expected"),
            ("\"x", "never ends"),
            ("$A =~ /x", "never ends"),
            ("$A =~ /x(/", "regular expression"),
            ("$A =~ /x/z", "no flag `z`"),
            ("$A =~ /(?=x)/", "look-around"),
            ("!$A", "negation"),
            ("$A =~ /((a{1,1000}){1,1000}){1,1000}/", "too costly"),
        ] {
            let error = parse(text, &Patterns::default()).unwrap_err();
            let all = format!("{} {}", error.message, error.hint.unwrap_or_default());
            assert!(all.contains(part), "{text}: {all}");
        }
        let long = [&"(".repeat(10_000), &vec!["$A"; 5_000].join("&&")];
        assert!(
            long.iter()
                .all(|text| parse(text, &Patterns::default()).is_err())
        );
    }
}
