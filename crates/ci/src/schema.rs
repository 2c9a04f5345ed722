//! What each keyword may hold, as data.
//!
//! One description serves three: the check of a file with its hints, the JSON schema for editors,
//! and the list of known keywords. What a keyword means is not known here.

mod check;
mod json;
mod keywords;
mod text;

pub(crate) use check::{What, check, check_map};
pub use json::json_schema;
pub(crate) use keywords::{DEFAULT, GLOBAL, JOB, SPEC, SPEC_INPUT, global_names};
pub(crate) use text::duration;

/// What a value may be.
pub(crate) enum Shape {
    /// Anything.
    Any,
    /// Nothing at all: `keyword:` alone.
    Null,
    Bool,
    /// A whole number between these.
    Integer(i64, i64),
    Text(Text),
    /// One of these words.
    Word(&'static [&'static str]),
    List(&'static List),
    /// Lines of a script: a text, or texts in lists up to ten deep.
    Script {
        may_be_empty: bool,
    },
    /// Keys that are known.
    Map(&'static Map),
    /// Keys that the file chooses.
    Dict(&'static Shape),
    /// The first of these whose kind fits.
    Either(&'static [Shape]),
    /// Another shape, so that one description can be used in several places.
    Same(&'static Shape),
}

/// What a text must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    Any,
    /// A number or boolean will do, too: it becomes a text.
    Scalar,
    NotEmpty,
    /// At most so many characters.
    AtMost(usize),
    ProjectPath,
    CacheKey,
    /// `1 day`, `never`
    Duration,
    /// `/…/`
    Pattern,
    /// The language of `rules:if`.
    Expression,
    /// `$NAME`
    Variable,
}

pub(crate) struct List {
    pub(crate) item: Shape,
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) unique: bool,
    /// How deep lists in it are flattened.
    pub(crate) nested: usize,
}

pub(crate) struct Map {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [Key],
    /// At least one of each of these groups must be there.
    pub(crate) required: &'static [&'static [&'static str]],
    /// Whether unknown keys are only a warning.
    pub(crate) lenient: bool,
}

pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// For editors.
    pub(crate) about: &'static str,
}

pub(crate) const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, about }
}

pub(crate) const fn list(item: Shape) -> List {
    List {
        item,
        min: 0,
        max: usize::MAX,
        unique: false,
        nested: 0,
    }
}

impl List {
    pub(crate) const fn at_least(mut self, min: usize) -> Self {
        self.min = min;
        self
    }

    pub(crate) const fn at_most(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    pub(crate) const fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    pub(crate) const fn nested(mut self, levels: usize) -> Self {
        self.nested = levels;
        self
    }
}

pub(crate) const fn map(name: &'static str, keys: &'static [Key]) -> Map {
    Map {
        name,
        keys,
        required: &[],
        lenient: false,
    }
}

impl Map {
    pub(crate) const fn required(mut self, groups: &'static [&'static [&'static str]]) -> Self {
        self.required = groups;
        self
    }

    pub(crate) const fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}
