//! Files as they come in: found, parsed and kept, each once.
//!
//! A file may be read for several projects (`include`, `extends`), with other variables and other
//! folders; its text and places are the same each time.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use yaml::{Dialect, Node, Problem, Report, Span, weight};

use crate::interpolate::{Interpolation, Variables};
use crate::shape::{Base, shape};
use crate::{Files, Found, path};

/// Files of one load.
const MAX_FILES: usize = 500;
/// Bytes of one file.
const MAX_SIZE: usize = 4 << 20;
/// Values of one file, with all aliases expanded.
const MAX_VALUES: usize = 200_000;

/// Documents of one file.
const MAX_DOCUMENTS: usize = 20;
/// Values that are read, each as often as it is included or extended.
const MAX_READ: usize = 500_000;

/// What all stages of a load share.
pub(crate) struct Loader<'l> {
    files: &'l dyn Files,
    directory: &'l str,
    pub(crate) home: Option<String>,
    pub(crate) report: Report,
    texts: HashMap<String, Text>,
    /// Files that were asked for and reported.
    absent: HashSet<String>,
    documents: HashMap<String, Option<Rc<Vec<Node>>>>,
    interpolation: Interpolation,
    read: usize,
}

/// A text by its number in the report.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) file: u32,
    pub(crate) text: Rc<str>,
}

/// Whether diagnostics may show lines of a file.
#[derive(Clone, Copy)]
pub(crate) enum Content {
    /// They may.
    Shown,
    /// Its values may be secret.
    Hidden,
}

/// What is missing when a file is.
pub(crate) enum Absence {
    /// Nothing: it need not be there.
    Fine,
    /// It is an error at this place.
    Error(Span),
    /// It is an error of its own: the file was asked for by the user.
    OwnError,
}

impl<'l> Loader<'l> {
    pub(crate) fn new(files: &'l dyn Files, directory: &'l str, home: Option<String>) -> Self {
        Self {
            files,
            directory,
            home,
            report: Report::default(),
            texts: HashMap::new(),
            absent: HashSet::new(),
            documents: HashMap::new(),
            interpolation: Interpolation::default(),
            read: 0,
        }
    }

    /// A path as people would write it.
    pub(crate) fn shown(&self, path: &str) -> String {
        path::shown(self.directory, path).to_owned()
    }

    /// Whether there is a file.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.files.read(path) != Found::Absent
    }

    /// The text of a file, read once.
    pub(crate) fn text(&mut self, path: &str, absence: &Absence, content: Content) -> Option<Text> {
        if let Some(text) = self.texts.get(path) {
            return Some(text.clone());
        }
        let found = match self.texts.len() < MAX_FILES {
            true => self.files.read(path),
            false => Found::Failed(format!("over {MAX_FILES} files are read")),
        };
        let reason = match found {
            Found::Text(text) if text.len() <= MAX_SIZE => {
                let shown = self.shown(path);
                let file = match content {
                    Content::Shown => self.report.file(&shown, &text, None),
                    Content::Hidden => self.report.file_without_text(&shown),
                };
                let text = Text {
                    file,
                    text: text.into(),
                };
                self.texts.insert(path.to_owned(), text.clone());
                return Some(text);
            }
            Found::Text(text) => {
                format!("it has {} bytes; at most {MAX_SIZE} are read", text.len())
            }
            Found::Absent if matches!(absence, Absence::Fine) => return None,
            Found::Absent => "there is no such file".to_owned(),
            Found::Failed(reason) => reason,
        };
        self.absent(path, &reason, absence);
        None
    }

    fn absent(&mut self, path: &str, reason: &str, absence: &Absence) {
        let shown = self.shown(path);
        let message = format!("`{shown}` cannot be read: {reason}");
        let span = match absence {
            Absence::Error(span) => *span,
            Absence::Fine | Absence::OwnError if !self.absent.insert(path.to_owned()) => return,
            Absence::Fine | Absence::OwnError => Span {
                file: self.report.file_without_text(&shown),
                line: 1,
                column: 1,
                length: 1,
            },
        };
        self.report
            .add(Problem::error("file", span, message).hint(format!(
                "the whole path is `{}`",
                crate::shape::shortened(path)
            )));
    }

    /// The documents of a compose file, each a tree with its variables and short forms replaced.
    pub(crate) fn shaped(
        &mut self,
        path: &str,
        folder: &str,
        values: &Variables,
        absence: &Absence,
    ) -> Vec<Node> {
        let Some(documents) = self.documents(path, absence) else {
            return Vec::new();
        };
        let values_of_it: usize = documents.iter().map(|one| weight(one, MAX_VALUES)).sum();
        let span = documents.first().map_or_else(Span::default, |one| one.span);
        if !self.counted(values_of_it, span) {
            return Vec::new();
        }
        let base = Base {
            folder: folder.to_owned(),
            home: self.home.clone(),
        };
        documents
            .iter()
            .map(|tree| {
                let tree = self.interpolation.file(tree, values, &mut self.report);
                shape(&tree, &base, &mut self.report)
            })
            .collect()
    }

    /// Counts values that are read once more; false, and reported, when there are too many.
    pub(crate) fn counted(&mut self, values: usize, span: Span) -> bool {
        let was_enough = self.read > MAX_READ;
        self.read = self.read.saturating_add(values);
        if self.read > MAX_READ && !was_enough {
            let message =
                format!("with all that is included and extended there are over {MAX_READ} values");
            self.report.add(
                Problem::error("too-large", span, message)
                    .hint("include or extend fewer things, or smaller ones"),
            );
        }
        self.read <= MAX_READ
    }

    /// The documents of a compose file as they are written.
    pub(crate) fn documents(&mut self, path: &str, absence: &Absence) -> Option<Rc<Vec<Node>>> {
        if let Some(known) = self.documents.get(path) {
            return known.clone();
        }
        let text = self.text(path, absence, Content::Shown)?;
        let parsed = yaml::parse(text.file, &text.text, Dialect::Compose, &mut self.report);
        let documents = parsed
            .map(|parsed| parsed.documents)
            .filter(|documents| self.has_measure(documents, text.file))
            .map(Rc::new);
        self.documents.insert(path.to_owned(), documents.clone());
        documents
    }

    fn has_measure(&mut self, documents: &[Node], file: u32) -> bool {
        let start = Span {
            file,
            line: 1,
            column: 1,
            length: 1,
        };
        if documents.iter().all(Node::is_null) {
            self.report.add(
                Problem::error("empty", start, "the file is empty")
                    .hint("write at least `services:` with one service"),
            );
            return false;
        }
        let values: usize = documents.iter().map(|one| weight(one, MAX_VALUES)).sum();
        if documents.len() > MAX_DOCUMENTS {
            let message = format!("the file has over {MAX_DOCUMENTS} documents");
            self.report.add(Problem::error("too-large", start, message));
            return false;
        }
        if values > MAX_VALUES {
            let message =
                format!("with its aliases expanded the file has over {MAX_VALUES} values");
            self.report.add(Problem::error("too-large", start, message));
            return false;
        }
        true
    }
}
