//! Where all stages of a compilation put what they have to say.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use yaml::{Dialect, Node, Span};

use crate::expression::Patterns;
use crate::{Diagnostic, Place, Sources};

pub(crate) use yaml::Problem;

/// The files of a compilation by number, all problems found in them, and what is looked at once.
#[derive(Debug, Default)]
pub(crate) struct Report {
    texts: yaml::Report,
    /// Shared with those who evaluate conditions.
    pub(crate) patterns: Rc<Patterns>,
    /// Conditions that were checked: many jobs share them, and regular expressions are costly.
    conditions: HashSet<Span>,
    /// Keys at the top of files that YAML does not take for texts, and for what it does.
    odd_keys: HashMap<Span, &'static str>,
    /// Some file has a `!reference`.
    pub(crate) has_references: bool,
    /// A file is absent: what seems to be missing may be in it.
    pub(crate) incomplete: bool,
}

/// Errors about things that an absent file may have.
const OF_ABSENCE: [&str; 8] = [
    "extends",
    "reference",
    "unknown-stage",
    "needs",
    "dependencies",
    "environment",
    "purpose",
    "no-jobs",
];

impl Report {
    /// One that only counts errors.
    pub(crate) fn trial() -> Self {
        Self::default()
    }

    /// How many errors there are.
    pub(crate) fn errors(&self) -> usize {
        self.texts.errors()
    }

    /// Adds a file and gives its number.
    pub(crate) fn file(&mut self, name: &str, text: &str, included_at: Option<Span>) -> u32 {
        self.texts.file(name, text, included_at)
    }

    /// The documents of a file. Nothing when it is no YAML: then it is reported why.
    pub(crate) fn parse(&mut self, file: u32, text: &str) -> Option<Vec<Node>> {
        let parsed = yaml::parse(file, text, Dialect::Psych, &mut self.texts)?;
        self.has_references |= parsed.has_references;
        self.odd_keys.extend(parsed.odd_keys);
        Some(parsed.documents)
    }

    /// Adds a problem, unless the same was said of the same place.
    pub(crate) fn add(&mut self, problem: Problem) {
        let of_absence = problem.is_error() && OF_ABSENCE.contains(&problem.code());
        self.texts.add(match self.incomplete && of_absence {
            true => problem.into_warning(),
            false => problem,
        });
    }

    /// The word that was probably meant; nobody reads a hundred such guesses.
    pub(crate) fn nearest<'a>(
        &mut self,
        word: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        self.texts.nearest(word, candidates)
    }

    /// What YAML takes this key at the top of a file for, if not for a text.
    pub(crate) fn odd_key(&self, span: Span) -> Option<&'static str> {
        self.odd_keys.get(&span).copied()
    }

    /// Whether the condition at this place is looked at for the first time.
    pub(crate) fn is_new_condition(&mut self, span: Span) -> bool {
        self.conditions.insert(span)
    }

    /// All diagnostics, by file and place.
    pub(crate) fn finish(self) -> (Vec<Diagnostic>, Sources) {
        self.texts.finish()
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        self.texts.place(span)
    }
}
