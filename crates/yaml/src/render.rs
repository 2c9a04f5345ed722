//! Diagnostics with the line they speak of.
//!
//! The texts are needed once more for that, so they are kept beside the diagnostics in
//! [`Sources`]. A text that is absent costs the source line, not the diagnostic.

use std::collections::BTreeMap;

use annotate_snippets::{AnnotationKind, Group, Level as Title, Renderer, Snippet};

use crate::{Diagnostic, Level, Place};

/// The texts of all files of a compilation, by the name that diagnostics use.
#[derive(Debug, Clone, Default)]
pub struct Sources(BTreeMap<String, Source>);

/// A text, and where its lines start.
#[derive(Debug, Clone)]
struct Source {
    text: String,
    lines: Vec<usize>,
}

/// Longer lines are shown around the place only, in characters.
const MAX_LINE: usize = 400;

impl Sources {
    /// Adds a text.
    pub fn insert(&mut self, name: impl Into<String>, text: impl Into<String>) {
        let text = text.into();
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0)
            .chain(breaks.map(|(at, _)| at + 1))
            .collect();
        self.0.insert(name.into(), Source { text, lines });
    }

    /// The text of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|source| source.text.as_str())
    }

    /// A line of a text, from 1, without its end; empty when there is none.
    pub(crate) fn line(&self, name: &str, line: usize) -> &str {
        let Some(source) = self.0.get(name) else {
            return "";
        };
        let Some(&start) = source.lines.get(line.saturating_sub(1)) else {
            return "";
        };
        let rest = &source.text[start..];
        let end = source
            .lines
            .get(line)
            .map_or(rest.len(), |next| next - start);
        rest[..end].trim_end_matches(['\n', '\r'])
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
        let place = &diagnostic.place;
        let line = self.line(&place.file, place.line);
        let window = window(line, place);
        report = match &window {
            _ if self.get(&place.file).is_none() => report.element(origin(place)),
            None => report.element(snippet(line, place).path(&place.file)),
            Some((line, place)) => {
                let report = report.element(origin(&diagnostic.place));
                report.element(snippet(line, place))
            }
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

/// Of a long line the part around the place, and the place in it.
fn window(line: &str, place: &Place) -> Option<(String, Place)> {
    if line.len() <= MAX_LINE {
        return None;
    }
    let skipped = place.column.saturating_sub(MAX_LINE / 4);
    let part = line.chars().skip(skipped).take(MAX_LINE / 2).collect();
    let place = Place {
        column: place.column - skipped,
        length: place.length.min(MAX_LINE / 4),
        ..place.clone()
    };
    Some((part, place))
}

fn snippet<'a>(line: &'a str, place: &Place) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let offset = |characters: usize| {
        line.char_indices()
            .nth(characters)
            .map_or(line.len(), |(at, _)| at)
    };
    let start = offset(place.column.saturating_sub(1));
    let end = offset(place.column.saturating_sub(1) + place.length).max(start);
    Snippet::source(line)
        .line_start(place.line)
        .annotation(AnnotationKind::Primary.span(start..end))
}
