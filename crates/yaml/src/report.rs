//! Where all stages of a compilation put what they have to say, with the texts it is about.

use std::collections::HashSet;

use crate::{Diagnostic, Level, Place, Sources, Span, nearest};

/// More diagnostics than this help nobody.
const MAX_PROBLEMS: usize = 1000;

/// A diagnostic whose places are still spans. Its code is a stable word for the kind of problem.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    level: Level,
    code: &'static str,
    span: Span,
    message: String,
    hint: Option<String>,
    notes: Vec<(Span, String)>,
}

impl Problem {
    /// Nothing can come of the file.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Level::Error, code, span, message.into())
    }

    /// Probably not what was meant.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Level::Warning, code, span, message.into())
    }

    /// It would do harm.
    pub fn danger(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Level::Danger, code, span, message.into())
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The same as a warning.
    pub fn into_warning(self) -> Self {
        Self {
            level: Level::Warning,
            ..self
        }
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

    /// How to mend it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, where there may be none.
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// A place that led there.
    pub fn note(mut self, span: Span, label: impl Into<String>) -> Self {
        self.notes.push((span, label.into()));
        self
    }
}

/// The files of a compilation by number, and all problems found in them.
#[derive(Debug, Default)]
pub struct Report {
    files: Vec<String>,
    sources: Sources,
    problems: Vec<Problem>,
    seen: HashSet<(Span, &'static str, String)>,
    /// How each file came to be included: the number of the includer's file, and the place there.
    includers: Vec<Option<Span>>,
    errors: usize,
    /// Words that the nearest was looked for.
    guesses: usize,
}

impl Report {
    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Adds a file and gives its number, with the place that led to it.
    pub fn file(&mut self, name: &str, text: &str, included_at: Option<Span>) -> u32 {
        self.sources.insert(name, text);
        self.files.push(name.to_owned());
        self.includers.push(included_at);
        u32::try_from(self.files.len() - 1).expect("there are fewer files than 2^32: it is limited")
    }

    /// Adds a file whose lines are not shown, as they may be secret or there are none.
    pub fn file_without_text(&mut self, name: &str) -> u32 {
        self.files.push(name.to_owned());
        self.includers.push(None);
        u32::try_from(self.files.len() - 1).expect("there are fewer files than 2^32: it is limited")
    }

    /// Adds a problem, unless the same was said of the same place.
    pub fn add(&mut self, problem: Problem) {
        if self.problems.len() >= MAX_PROBLEMS && self.errors > 0 {
            self.errors += usize::from(problem.level == Level::Error);
            return;
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
    pub fn nearest<'a>(
        &mut self,
        word: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        self.guesses += 1;
        (self.guesses <= 100).then(|| nearest(word, candidates))?
    }

    /// All diagnostics, by file and place.
    pub fn finish(mut self) -> (Vec<Diagnostic>, Sources) {
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

    /// Where a span is, in words for people.
    pub fn place(&self, span: Span) -> Place {
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
