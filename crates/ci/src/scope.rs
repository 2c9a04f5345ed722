//! Which variable has which value where: the layers, highest first.
//!
//! Values from the settings beat the file's own (GitLab, "CI/CD variable precedence"). Values may
//! refer to other variables; they are expanded when they are asked for.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use model::Variable;

use crate::{Input, expand_text};

/// Variables from outside the file.
pub(crate) struct Outside<'i> {
    predefined: HashMap<&'i str, &'i Variable>,
    settings: HashMap<&'i str, &'i Variable>,
}

impl<'i> Outside<'i> {
    pub(crate) fn new(input: &'i Input) -> Self {
        let by_name = |variable: &'i Variable| (variable.key.as_str(), variable);
        Self {
            predefined: input.variables.predefined.iter().map(by_name).collect(),
            settings: input.variables.settings().map(by_name).collect(),
        }
    }

    /// What is known to a file from elsewhere.
    pub(crate) fn nothing() -> Self {
        Self {
            predefined: HashMap::new(),
            settings: HashMap::new(),
        }
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        self.settings.contains_key(name) || self.predefined.contains_key(name)
    }
}

/// What a job, or the file outside of its jobs, sees. Of the inner lists the first wins, and in a
/// list the last.
pub(crate) struct Scope<'s> {
    pub(crate) outside: &'s Outside<'s>,
    /// `GITLAB_USER_*` and what belongs to the job; the file's own variables beat them.
    pub(crate) job: &'s [Variable],
    pub(crate) lists: Vec<&'s [Variable]>,
    /// What nobody knows vanishes; else it stays as written.
    pub(crate) unknown_vanish: bool,
    /// Values that were expanded already: variables that double each other would take forever.
    pub(crate) expanded: RefCell<HashMap<String, String>>,
}

/// Chains of variables deeper than this stay as written.
const MAX_DEPTH: usize = 20;

impl<'s> Scope<'s> {
    pub(crate) fn of_settings(outside: &'s Outside<'s>) -> Self {
        Self {
            outside,
            job: &[],
            lists: Vec::new(),
            unknown_vanish: false,
            expanded: RefCell::default(),
        }
    }

    fn find(&self, name: &str) -> Option<&'s Variable> {
        let user = name.starts_with("GITLAB_USER_");
        let predefined = self.outside.predefined.get(name).copied();
        if user && predefined.is_some() {
            return predefined;
        }
        let last = |list: &&'s [Variable]| list.iter().rev().find(|variable| variable.key == name);
        self.outside
            .settings
            .get(name)
            .copied()
            .or_else(|| self.lists.iter().find_map(last))
            .or_else(|| last(&self.job))
            .or(predefined)
    }

    /// The value of a variable, with the variables in it left as they are.
    pub(crate) fn as_written(&self, name: &str) -> Option<Cow<'s, str>> {
        let variable = self.find(name)?;
        Some(Cow::Borrowed(variable.value.expose()))
    }

    /// The expanded value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<Cow<'s, str>> {
        self.value(name, 0)
    }

    fn value(&self, name: &str, depth: usize) -> Option<Cow<'s, str>> {
        let Some(variable) = self.find(name) else {
            return self.unknown_vanish.then_some(Cow::Borrowed(""));
        };
        let text = variable.value.expose();
        if variable.raw || depth > MAX_DEPTH || !text.contains(['$', '%']) {
            return Some(Cow::Borrowed(text));
        }
        if let Some(known) = self.expanded.borrow().get(name) {
            return Some(Cow::Owned(known.clone()));
        }
        // A circle finds this and stays as it is written.
        self.remember(name, text);
        let expanded = expand_text(text, |inner| {
            (inner != name)
                .then(|| self.value(inner, depth + 1))?
                .filter(|value| value.len() < 1 << 16)
        });
        self.remember(name, &expanded);
        Some(Cow::Owned(expanded))
    }

    fn remember(&self, name: &str, value: &str) {
        let mut expanded = self.expanded.borrow_mut();
        expanded.insert(name.to_owned(), value.to_owned());
    }

    /// A text with its variables replaced.
    pub(crate) fn expand(&self, text: &str) -> String {
        expand_text(text, |name| self.get(name))
    }
}
