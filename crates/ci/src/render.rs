//! Diagnostics with the line they speak of.
//!
//! The texts are needed once more for that, so they are kept beside the diagnostics in
//! [`Sources`]. A text that is absent costs the source line, not the diagnostic.

use std::collections::BTreeMap;

use annotate_snippets::{AnnotationKind, Group, Level as Title, Renderer, Snippet};

use crate::{Diagnostic, Level, Place};

/// The texts of all files of a compilation, by the name that diagnostics use.
#[derive(Debug, Clone, Default)]
pub struct Sources(BTreeMap<String, String>);

impl Sources {
    /// Adds a text.
    pub fn insert(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.0.insert(name.into(), text.into());
    }

    /// The text of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// One diagnostic as plain text of several lines: message, `file:line:column`, the source line
    /// with the place marked, `hint:`.
    pub fn render(&self, diagnostic: &Diagnostic) -> String {
        self.render_with(diagnostic, &Renderer::plain())
    }

    /// The same with colours for a terminal.
    pub fn render_coloured(&self, diagnostic: &Diagnostic) -> String {
        self.render_with(diagnostic, &Renderer::styled())
    }

    /// Several diagnostics as plain text, an empty line between two.
    pub fn render_all(&self, diagnostics: &[Diagnostic]) -> String {
        let texts: Vec<_> = diagnostics.iter().map(|one| self.render(one)).collect();
        texts.join("\n\n")
    }

    fn render_with(&self, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
        let title = match diagnostic.level {
            Level::Error => Title::ERROR,
            Level::Danger => Title::WARNING.with_name("danger"),
            Level::Warning => Title::WARNING,
        };
        let heading = title
            .primary_title(&diagnostic.message)
            .id(&diagnostic.code);
        let mut report = Group::with_title(heading);
        report = match self.get(&diagnostic.place.file) {
            Some(text) => report.element(snippet(text, &diagnostic.place, "")),
            None => report.element(origin(&diagnostic.place)),
        };
        for (place, label) in &diagnostic.notes {
            report = report.element(Title::NOTE.message(format!("{label} ({place})")));
        }
        if let Some(hint) = &diagnostic.hint {
            report = report.element(Title::HELP.with_name("hint").message(hint));
        }
        renderer.render(&[report])
    }
}

fn origin(place: &Place) -> annotate_snippets::Origin<'_> {
    annotate_snippets::Origin::path(&place.file)
        .line(place.line)
        .char_column(place.column)
}

fn snippet<'a>(
    text: &'a str,
    place: &'a Place,
    label: &'a str,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let line = text.lines().nth(place.line.saturating_sub(1)).unwrap_or("");
    let offset = |characters: usize| {
        line.char_indices()
            .nth(characters)
            .map_or(line.len(), |(at, _)| at)
    };
    let start = offset(place.column.saturating_sub(1));
    let end = offset(place.column.saturating_sub(1) + place.length).max(start);
    let annotation = AnnotationKind::Primary.span(start..end);
    let annotation = match label {
        "" => annotation,
        label => annotation.label(label),
    };
    Snippet::source(line)
        .line_start(place.line)
        .path(&place.file)
        .annotation(annotation)
}
