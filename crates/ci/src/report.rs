//! Where all stages of a compilation put what they have to say.

use std::collections::HashSet;
use std::rc::Rc;

use crate::expression::Patterns;
use crate::nearest::nearest;
use crate::yaml::Span;
use crate::{Diagnostic, Level, Place, Sources};

/// More diagnostics than this help nobody.
const MAX_PROBLEMS: usize = 1000;

/// A diagnostic whose places are still spans.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Problem {
    level: Level,
    code: &'static str,
    span: Span,
    message: String,
    hint: Option<String>,
    notes: Vec<(Span, String)>,
}

impl Problem {
    pub(crate) fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Level::Error, code, span, message.into())
    }

    pub(crate) fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Level::Warning, code, span, message.into())
    }

    pub(crate) fn danger(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Level::Danger, code, span, message.into())
    }

    fn new(level: Level, code: &'static str, span: Span, message: String) -> Self {
        Self {
            level,
            code,
            span,
            message,
            hint: None,
            notes: Vec::new(),
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    pub(crate) fn note(mut self, span: Span, label: impl Into<String>) -> Self {
        self.notes.push((span, label.into()));
        self
    }
}

/// The files of a compilation by number, and all problems found in them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    files: Vec<String>,
    sources: Sources,
    problems: Vec<Problem>,
    seen: HashSet<(Span, &'static str, String)>,
    /// How each file came to be included: the number of the includer's file, and the place there.
    includers: Vec<Option<Span>>,
    pub(crate) errors: usize,
    /// Shared with those who evaluate conditions.
    pub(crate) patterns: Rc<Patterns>,
    /// Conditions that were checked: many jobs share them, and regular expressions are costly.
    conditions: HashSet<Span>,
    /// Words that the nearest was looked for.
    guesses: usize,
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

    /// Adds a file and gives its number.
    pub(crate) fn file(&mut self, name: &str, text: &str, included_at: Option<Span>) -> u32 {
        self.sources.insert(name, text);
        self.files.push(name.to_owned());
        self.includers.push(included_at);
        u32::try_from(self.files.len() - 1).expect("there are fewer files than 2^32: it is limited")
    }

    /// Adds a problem, unless the same was said of the same place.
    pub(crate) fn add(&mut self, mut problem: Problem) {
        if self.problems.len() >= MAX_PROBLEMS && self.errors > 0 {
            self.errors += usize::from(problem.level == Level::Error);
            return;
        }
        if self.incomplete && problem.level == Level::Error && OF_ABSENCE.contains(&problem.code) {
            problem.level = Level::Warning;
        }
        let key = (problem.span, problem.code, problem.message.clone());
        if !self.seen.insert(key) {
            return;
        }
        if problem.level == Level::Error {
            self.errors += 1;
        }
        if self.problems.len() < MAX_PROBLEMS || problem.level == Level::Error && self.errors == 1 {
            self.problems.push(problem);
        }
    }

    /// The word that was probably meant; nobody reads a hundred such guesses.
    pub(crate) fn nearest<'a>(
        &mut self,
        word: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        self.guesses += 1;
        (self.guesses <= 100).then(|| nearest(word, candidates))?
    }

    /// Whether the condition at this place is looked at for the first time.
    pub(crate) fn is_new_condition(&mut self, span: Span) -> bool {
        self.conditions.insert(span)
    }

    /// All diagnostics, by file and place.
    pub(crate) fn finish(mut self) -> (Vec<Diagnostic>, Sources) {
        self.problems
            .sort_by_key(|problem| (problem.span.file, problem.span.line, problem.span.column));
        let diagnostics = std::mem::take(&mut self.problems)
            .into_iter()
            .map(|problem| self.diagnostic(problem))
            .collect();
        (diagnostics, self.sources)
    }

    fn diagnostic(&self, problem: Problem) -> Diagnostic {
        let mut notes: Vec<_> = problem
            .notes
            .into_iter()
            .map(|(span, label)| (self.place(span), label))
            .collect();
        let mut file = problem.span.file;
        while let Some(at) = self.includers[file as usize] {
            notes.push((self.place(at), "included from here".to_owned()));
            file = at.file;
        }
        Diagnostic {
            level: problem.level,
            code: problem.code.to_owned(),
            message: problem.message,
            place: self.place(problem.span),
            hint: problem.hint,
            notes,
        }
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        let name = &self.files[span.file as usize];
        let (line, column) = (span.line as usize, span.column as usize);
        let text = self.sources.line(name, line);
        // Bytes are enough for long lines: nobody sees the end of those.
        let characters = match text.len() {
            long @ 1_000.. => long,
            _ => text.chars().count(),
        };
        let left = (characters + 1).saturating_sub(column).max(1);
        Place {
            file: name.clone(),
            line,
            column,
            length: (span.length as usize).clamp(1, left),
        }
    }
}
