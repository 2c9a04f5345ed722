//! One thing to say about a file: what, where, and how to mend it.
//!
//! A diagnostic carries its place as plain numbers, so that it can be stored and sent without the
//! texts it speaks of; whoever has the texts too can [`crate::Sources::render`] it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One problem of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// A stable word for the kind of problem, `unknown-keyword`.
    pub code: String,
    /// What is wrong, in one sentence without the place.
    pub message: String,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// How to mend it.
    pub hint: Option<String>,
    /// Places that led there, as a chain of `extends` or `include`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<(Place, String)>,
}

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing can come of this file.
    Error,
    /// It would do harm: lose data, leak a secret, take a site down.
    Danger,
    /// Probably not what was meant.
    Warning,
}

impl Level {
    /// `error`, `danger`, `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Danger => "danger",
            Self::Warning => "warning",
        }
    }
}

/// A stretch of one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// Its length in characters, at least 1; it does not pass the line's end.
    pub length: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Diagnostic {
    /// Whether it forbids to go on.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

/// The short form, on one line: `file:line:column: error: message`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: {}",
            self.place,
            self.level.as_str(),
            self.message
        )?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}
