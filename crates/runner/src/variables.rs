//! The variables of a job: which there are, what they expand to, what the shell gets.
//!
//! `$X` and `${X}` are replaced, in values that are not raw, by the value of the variable of that
//! name, as GitLab's server and runner together do; `$$` is a `$`. Of several variables of one name
//! the last counts.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use model::Secret;
use runner_api::Variable;

/// How deep values may refer to values: enough for any that a person writes.
const DEPTH_LIMIT: usize = 50;

/// No value grows beyond this, in bytes: the kernel takes no longer one (`MAX_ARG_STRLEN`).
const VALUE_LIMIT: usize = 128 * 1024;

/// All variables of one job, expanded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    values: BTreeMap<String, Value>,
}

#[derive(Debug, Clone)]
struct Value {
    text: Secret,
    masked: bool,
    /// The content, when the variable's value is a file's path.
    file: Option<Secret>,
}

impl Variables {
    /// Expands `variables`; those that are files will lie in `folder`. Names that are no variable
    /// of the job are looked up in `outer`, the runner's own environment.
    pub(crate) fn expand(
        variables: &[Variable],
        folder: &Path,
        outer: &BTreeMap<String, String>,
    ) -> Self {
        let usable = variables.iter().filter(|variable| is_name(&variable.key));
        let mut expansion = Expansion {
            by_name: usable
                .map(|variable| (variable.key.as_str(), variable))
                .collect(),
            folder,
            outer,
            open: Vec::new(),
            done: HashMap::new(),
        };
        let variables: Vec<&Variable> = expansion.by_name.values().copied().collect();
        let values = variables
            .into_iter()
            .map(|variable| (variable.key.clone(), expansion.expand(variable)))
            .collect();
        Self { values }
    }

    /// The value of one variable.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.text.expose())
    }

    /// Replaces references in a text that is no variable, such as an artifact's path.
    pub(crate) fn expand_text(&self, text: &str) -> String {
        replace(text, |name| self.get(name).unwrap_or_default().to_owned())
    }

    /// Sets a variable to a value that is final.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let value = Value {
            text: Secret::new(value),
            masked: false,
            file: None,
        };
        self.values.insert(name.to_owned(), value);
    }

    /// Names and values for the shell. Zero bytes end a value: no process can be given them.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| {
            let text = value.text.expose();
            (name.as_str(), text.split('\0').next().unwrap_or_default())
        })
    }

    /// The name of a variable that is too long for any process, if there is one.
    pub(crate) fn too_long(&self) -> Option<&str> {
        self.environment()
            .find(|(name, value)| name.len() + value.len() + 2 > VALUE_LIMIT)
            .map(|(name, _)| name)
    }

    /// Files to write, and what to write into them.
    pub(crate) fn files(&self) -> impl Iterator<Item = (PathBuf, &str)> {
        self.values.values().filter_map(|value| {
            let content = value.file.as_ref()?;
            Some((PathBuf::from(value.text.expose()), content.expose()))
        })
    }

    /// What must not be seen in the log.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.values
            .values()
            .filter(|value| value.masked)
            .map(|value| value.file.as_ref().unwrap_or(&value.text).expose())
    }
}

/// Names that the kernel and every shell can take for a variable's; none leaves its folder as a
/// file's name.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0', '/'])
}

struct Expansion<'a> {
    by_name: HashMap<&'a str, &'a Variable>,
    folder: &'a Path,
    outer: &'a BTreeMap<String, String>,
    /// Names whose values are being expanded, the outermost first.
    open: Vec<&'a str>,
    done: HashMap<&'a str, String>,
}

impl<'a> Expansion<'a> {
    fn expand(&mut self, variable: &'a Variable) -> Value {
        let content = self.content(variable);
        let (text, file) = if variable.file {
            (self.path(variable), Some(Secret::new(content)))
        } else {
            (content, None)
        };
        Value {
            text: Secret::new(text),
            masked: variable.masked,
            file,
        }
    }

    fn path(&self, variable: &Variable) -> String {
        self.folder.join(&variable.key).display().to_string()
    }

    fn content(&mut self, variable: &'a Variable) -> String {
        let text = variable.value.expose();
        if variable.raw || !text.contains('$') {
            return text.to_owned();
        }
        if let Some(done) = self.done.get(variable.key.as_str()) {
            return done.clone();
        }
        self.open.push(&variable.key);
        let content = replace(text, |name| self.reference(name));
        self.open.pop();
        self.done.insert(&variable.key, content.clone());
        content
    }

    /// What a reference stands for. One to itself means what the runner has under that name
    /// (`PATH: "$PATH:/opt/bin"`); a longer circle ends in nothing.
    fn reference(&mut self, name: &str) -> String {
        let to_itself = self.open.last() == Some(&name);
        match self.by_name.get(name) {
            Some(variable) if variable.file => self.path(variable),
            Some(&variable) if !to_itself => {
                if self.open.contains(&name) || self.open.len() >= DEPTH_LIMIT {
                    String::new()
                } else {
                    self.content(variable)
                }
            }
            _ => self.outer.get(name).cloned().unwrap_or_default(),
        }
    }
}

/// Replaces `$NAME` and `${NAME}`. `$$` is a `$`; a `$` before anything else is itself. What would
/// grow beyond [`VALUE_LIMIT`] is cut: a value may name itself twice at every level.
fn replace(text: &str, mut value: impl FnMut(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let (reference, after) = reference(&rest[at + 1..]);
        match reference {
            Reference::Name(name) => out.push_str(&value(name)),
            Reference::Dollar => out.push('$'),
        }
        if out.len() > VALUE_LIMIT {
            return out;
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

enum Reference<'a> {
    Name(&'a str),
    Dollar,
}

/// Reads what follows a `$`.
fn reference(text: &str) -> (Reference<'_>, &str) {
    if let Some(rest) = text.strip_prefix('$') {
        return (Reference::Dollar, rest);
    }
    if let Some((name, rest)) = text.strip_prefix('{').and_then(|t| t.split_once('}')) {
        return (Reference::Name(name), rest);
    }
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match name.chars().next() {
        Some(first) if !first.is_ascii_digit() => (Reference::Name(name), rest),
        _ => (Reference::Dollar, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(key: &str, value: &str) -> Variable {
        Variable {
            key: key.into(),
            value: value.into(),
            ..Variable::default()
        }
    }

    fn expand(variables: &[Variable]) -> Variables {
        let outer = BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]);
        Variables::expand(variables, Path::new("/tmp/x"), &outer)
    }

    #[test]
    fn expansion() {
        for (value, expected) in [
            ("plain", "plain"),
            ("$A", "1"),
            ("${A}", "1"),
            ("x${A}y$A", "x1y1"),
            ("$A.$B", "1.1-2"),
            ("$$A", "$A"),
            ("$$$A", "$1"),
            ("$", "$"),
            ("a$ b", "a$ b"),
            ("$%", "$%"),
            ("${A", "${A"),
            ("${}", ""),
            ("$UNKNOWN.", "."),
            ("$A_", ""),
            ("$9", "$9"),
            ("$RAW", "$A"),
            ("$FILE", "/tmp/x/FILE"),
            ("$PATH:/opt", "/bin:/opt"),
            ("ä$A€", "ä1€"),
        ] {
            let mut variables = vec![
                variable("A", "1"),
                variable("B", "$A-2"),
                variable("RAW", "$A"),
                variable("FILE", "content $A"),
                variable("X", value),
            ];
            variables[2].raw = true;
            variables[3].file = true;
            let expanded = expand(&variables);
            assert_eq!(expanded.get("X"), Some(expected), "{value}");
        }
    }

    #[test]
    fn the_last_of_a_name_counts() {
        let expanded = expand(&[variable("A", "1"), variable("A", "2"), variable("B", "$A")]);
        assert_eq!(expanded.get("B"), Some("2"));
    }

    #[test]
    fn circles_end_and_self_reference_is_the_runners_own() {
        let expanded = expand(&[
            variable("A", "a$B"),
            variable("B", "b$A"),
            variable("PATH", "$PATH:/opt/bin"),
            variable("Y", "$Y$Y"),
        ]);
        assert!(expanded.get("A").is_some());
        assert_eq!(expanded.get("PATH"), Some("/bin:/opt/bin"));
        assert_eq!(expanded.get("Y"), Some(""));
    }

    #[test]
    fn time_is_bounded() {
        let mut variables = vec![variable("V0", "")];
        for level in 1..50 {
            let value = format!("${{V{}}}", level - 1).repeat(10);
            variables.push(variable(&format!("V{level}"), &value));
        }
        assert_eq!(expand(&variables).get("V49"), Some(""));
    }

    #[test]
    fn growth_is_bounded() {
        let mut variables = vec![variable("V0", "0123456789")];
        for level in 1..40 {
            let value = format!("${{V{}}}", level - 1).repeat(10);
            variables.push(variable(&format!("V{level}"), &value));
        }
        let expanded = expand(&variables);
        assert!(expanded.too_long().is_some());
    }

    #[test]
    fn files_hold_the_content_and_are_masked_by_it() {
        let mut key = variable("KEY", "-----BEGIN\nabc $A\n");
        (key.file, key.masked) = (true, true);
        let expanded = expand(&[variable("A", "1"), key]);
        assert_eq!(expanded.get("KEY"), Some("/tmp/x/KEY"));
        let files: Vec<_> = expanded.files().collect();
        assert_eq!(
            files,
            [(PathBuf::from("/tmp/x/KEY"), "-----BEGIN\nabc 1\n")]
        );
        assert_eq!(
            expanded.secrets().collect::<Vec<_>>(),
            ["-----BEGIN\nabc 1\n"]
        );
    }

    #[test]
    fn names_that_no_process_can_have_are_left_out() {
        let expanded = expand(&[
            variable("", "1"),
            variable("A=B", "1"),
            variable("A", "x\0y"),
        ]);
        assert_eq!(expanded.environment().collect::<Vec<_>>(), [("A", "x")]);
    }
}
