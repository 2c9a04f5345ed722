//! YAML of test data, as values.

use serde_json::Value;
use yaml::{Dialect, Report};

/// The one document of a text, with the types that GitLab gives to its scalars.
///
/// # Panics
/// When it is no YAML, or not one document.
pub fn value(text: &str) -> Value {
    let mut report = Report::default();
    let file = report.file("test data", text, None);
    let parsed = yaml::parse(file, text, Dialect::Psych, &mut report);
    let documents = parsed.map(|parsed| parsed.documents).unwrap_or_default();
    let (problems, sources) = report.finish();
    assert!(problems.is_empty(), "{}", sources.render_all(&problems));
    match &documents[..] {
        [one] => yaml::to_json(one),
        other => panic!("{} documents", other.len()),
    }
}

/// The text below a key at the top, without its indentation of two.
pub fn below(key: &str, text: &str) -> String {
    let head = format!("{key}:");
    let lines = text.lines().skip_while(|line| **line != head).skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with([' ', '#']));
    lines
        .map(|line| format!("{}\n", line.get(2..).unwrap_or("")))
        .collect()
}
