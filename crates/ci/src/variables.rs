//! Variables: which of several wins, and what `$NAME` in a value stands for.
//!
//! The order of the layers is the caller's; here the later one wins. Expansion follows GitLab:
//! `$NAME`, `${NAME}` and `%NAME%`; `$$` is a `$`; unknown names stay; what is raw is neither expanded
//! nor, in a raw value, looked into; what goes in a circle stays as it is written (no pipeline is made of it).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use model::{Secret, Variable};

/// One list of all layers, given low to high: of equal names the later wins, at the place where
/// the name came first.
pub fn merge<'a>(layers: impl IntoIterator<Item = &'a Variable>) -> Vec<Variable> {
    let mut merged: Vec<Variable> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for variable in layers {
        match places.get(variable.key.as_str()) {
            Some(&place) => merged[place] = variable.clone(),
            None => {
                places.insert(&variable.key, merged.len());
                merged.push(variable.clone());
            }
        }
    }
    merged
}

/// The same variables with their values expanded by each other. A value that uses a masked one is
/// itself not public.
pub fn expand(variables: &[Variable]) -> Vec<Variable> {
    let places: HashMap<&str, usize> = variables
        .iter()
        .enumerate()
        .map(|(place, variable)| (variable.key.as_str(), place))
        .collect();
    let mut expansion = Expansion {
        variables,
        places,
        values: vec![State::Open; variables.len()],
        left: MAX_EXPANDED,
    };
    (0..variables.len())
        .map(|place| {
            let value = expansion.value(place, 0);
            Variable {
                value: Secret::new(value),
                ..variables[place].clone()
            }
        })
        .collect()
}

/// Variables that refer to each other in a circle, in its order; one that refers to itself is none. Those
/// that `is_fixed` knows have another value.
pub(crate) fn circle(variables: &[Variable], is_fixed: impl Fn(&str) -> bool) -> Option<Vec<&str>> {
    let last: HashMap<&str, &Variable> = variables
        .iter()
        .filter(|variable| !variable.raw && !is_fixed(&variable.key))
        .map(|variable| (variable.key.as_str(), variable))
        .collect();
    let mut done: HashSet<&str> = HashSet::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for variable in variables {
        let mut path: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut next = last.get(variable.key.as_str()).copied();
        loop {
            if let Some(variable) = next
                .take()
                .filter(|variable| !done.contains(&*variable.key))
            {
                let key = variable.key.as_str();
                if let Some(&begin) = places.get(key) {
                    return Some(path[begin..].iter().map(|(key, _)| *key).collect());
                }
                places.insert(key, path.len());
                path.push((key, references(variable.value.expose())));
            }
            let Some((key, open)) = path.last_mut() else {
                break;
            };
            match open.pop() {
                Some(name) if name != *key => next = last.get(name).copied(),
                Some(_) => {}
                None => {
                    done.insert(key);
                    places.remove(key);
                    path.pop();
                }
            }
        }
    }
    None
}

/// The names that a text refers to.
fn references(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '%']) {
        rest = &rest[at..];
        let (reference, name) = reference(rest);
        names.extend(name);
        rest = &rest[reference.len()..];
    }
    names
}

/// A text with its variables replaced by what `lookup` knows; unknown names stay as written.
pub fn expand_text<'a>(text: &str, mut lookup: impl FnMut(&str) -> Option<Cow<'a, str>>) -> String {
    replace(text, |name| lookup(name).map(Cow::into_owned))
}

/// All expanded values together have at most so many bytes: variables that double each other
/// would otherwise fill the memory.
const MAX_EXPANDED: usize = 4 << 20;

/// Chains of variables deeper than this stay as written.
const MAX_DEPTH: usize = 64;

#[derive(Clone)]
enum State {
    Open,
    Entered,
    Done(String),
}

struct Expansion<'a> {
    variables: &'a [Variable],
    places: HashMap<&'a str, usize>,
    values: Vec<State>,
    left: usize,
}

impl Expansion<'_> {
    fn value(&mut self, place: usize, depth: usize) -> String {
        match &self.values[place] {
            State::Done(value) => return value.clone(),
            State::Entered => return self.as_written(place),
            State::Open => {}
        }
        let variable = &self.variables[place];
        if variable.raw || depth > MAX_DEPTH {
            return self.as_written(place);
        }
        self.values[place] = State::Entered;
        let value = replace(variable.value.expose(), |name| {
            let other = *self.places.get(name)?;
            let may_expand = other != place
                && !matches!(self.values[other], State::Entered)
                && self.variables[other].kind == model::VariableKind::EnvVar;
            let value = may_expand.then(|| self.value(other, depth + 1))?;
            self.left = self.left.checked_sub(value.len())?;
            Some(value)
        });
        self.values[place] = State::Done(value.clone());
        value
    }

    fn as_written(&self, place: usize) -> String {
        self.variables[place].value.expose().to_owned()
    }
}

/// Replaces each reference by what `lookup` says; the reference stays when that is nothing.
fn replace(text: &str, mut lookup: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '%']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (reference, name) = reference(rest);
        match name.and_then(&mut lookup) {
            Some(value) => out.push_str(&value),
            None if reference == "$$" => out.push('$'),
            None => out.push_str(reference),
        }
        rest = &rest[reference.len()..];
    }
    out.push_str(rest);
    out
}

/// The reference that this text, starting with `$` or `%`, begins with, and the name in it.
fn reference(text: &str) -> (&str, Option<&str>) {
    let name_length = |text: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        text.find(|c| !word(c)).unwrap_or(text.len())
    };
    let starts = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let none = (&text[..1], None);
    let inner = &text[1..];
    if text.starts_with('%') {
        let length = name_length(inner);
        return match starts(inner) && inner[length..].starts_with('%') {
            true => (&text[..length + 2], Some(&inner[..length])),
            false => none,
        };
    }
    if inner.starts_with('$') {
        return (&text[..2], None);
    }
    if let Some(braced) = inner.strip_prefix('{') {
        let length = name_length(braced);
        return match starts(braced) && braced[length..].starts_with('}') {
            true => (&text[..length + 3], Some(&braced[..length])),
            false => none,
        };
    }
    match starts(inner) {
        true => (
            &text[..name_length(inner) + 1],
            Some(&inner[..name_length(inner)]),
        ),
        false => none,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Vec<String> {
        let variables: Vec<_> = pairs
            .iter()
            .map(|(key, value)| Variable::public(*key, *value))
            .collect();
        expand(&variables)
            .iter()
            .map(|variable| variable.value.expose().to_owned())
            .collect()
    }

    #[test]
    fn values_refer_to_each_other() {
        let pairs = [
            ("TAG_PROD", "$CI_COMMIT_TAG"),
            ("CI_COMMIT_TAG", "v1"),
            ("IMAGE", "r/${TAG_PROD}:%CI_COMMIT_TAG%"),
            ("UNKNOWN", "$NOPE ${NOPE} 100% $5 $"),
            ("PRICE", "$$5 $$CI_COMMIT_TAG"),
        ];
        assert_eq!(
            values(&pairs),
            [
                "v1",
                "v1",
                "r/v1:v1",
                "$NOPE ${NOPE} 100% $5 $",
                "$5 $CI_COMMIT_TAG"
            ]
        );
    }

    #[test]
    fn circles_stay_as_written() {
        assert_eq!(values(&[("A", "$A")]), ["$A"]);
        assert_eq!(values(&[("A", "a$B"), ("B", "b$A")])[0], "ab$A");
    }

    #[test]
    fn circles_are_found() {
        let found = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().copied();
            let variables: Vec<_> = pairs
                .map(|(key, value)| Variable::public(key, value))
                .collect();
            circle(&variables, |name| name == "FIXED").map(|names| names.join(" "))
        };
        let none = None::<String>;
        assert_eq!(
            found(&[("A", "$A"), ("B", "$A $NOPE"), ("C", "$B $A")]),
            none
        );
        assert_eq!(
            found(&[("A", "$B"), ("B", "b"), ("B", "$C"), ("C", "x${A}")]),
            Some("A B C".to_owned())
        );
        assert_eq!(
            found(&[("IN", "$A"), ("A", "$B"), ("B", "$A")]),
            Some("A B".to_owned())
        );
        assert_eq!(found(&[("A", "$FIXED"), ("FIXED", "$A")]), none);
        assert_eq!(found(&[("A", "$B"), ("B", "$A"), ("B", "b")]), none);
    }

    /// A megabyte of them, which would take a minute if each looked through those before it.
    #[test]
    fn a_circle_is_looked_for_in_long_chains() {
        const LENGTH: usize = 60_000;
        let next = |n: usize| format!("$V{}", (n + 1) % LENGTH);
        let mut variables: Vec<_> = (0..LENGTH)
            .map(|n| Variable::public(format!("V{n}"), next(n)))
            .collect();
        assert_eq!(
            circle(&variables, |_| false).map(|names| names.len()),
            Some(LENGTH)
        );
        variables.pop();
        assert_eq!(circle(&variables, |_| false), None);
    }

    #[test]
    fn doubling_variables_end() {
        let keys: Vec<_> = (0..60).map(|n| format!("V{n}")).collect();
        let mut variables = vec![Variable::public("V0", "xxxxxxxx")];
        for n in 1..60 {
            let value = format!("${0}${0}", keys[n - 1]);
            variables.push(Variable::public(keys[n].clone(), value));
        }
        let total: usize = expand(&variables)
            .iter()
            .map(|variable| variable.value.expose().len())
            .sum();
        assert!(total < 64 << 20, "{total}");
    }

    #[test]
    fn the_later_layer_wins() {
        let layers = [
            Variable::public("A", "1"),
            Variable::public("B", "2"),
            Variable::public("A", "3"),
        ];
        let merged = merge(&layers);
        assert_eq!(merged, [layers[2].clone(), layers[1].clone()]);
    }
}
