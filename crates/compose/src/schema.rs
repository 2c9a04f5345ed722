//! The table of all keys: what each may hold, how two of them merge, and which are refused.
//!
//! It follows the Compose specification and the schema of docker-compose 1.29. What a key means is
//! read elsewhere; here stands only its form.

mod build;
mod deploy;
mod resource;
mod service;
mod top;

pub(crate) use service::{MOUNT, PORT, SERVICE};
pub(crate) use top::FILE;

use yaml::Node;

use crate::shape::short;

/// A mapping with fixed keys.
pub(crate) struct Object {
    pub(crate) keys: &'static [Key],
    /// Keys it cannot do without.
    pub(crate) required: &'static [&'static str],
}

/// A key of a mapping.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) use_of: Use,
}

/// What is done with a key.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    Read,
    /// Nothing, as it means nothing for what runs; why, in half a sentence.
    Unused(&'static str),
    /// It cannot be carried out, and why: an error.
    Refused(&'static str),
}

/// What a value may be.
pub(crate) enum Shape {
    /// Anything, kept as it is.
    Any,
    /// A text.
    Text,
    /// A text, number or boolean, kept as it is.
    Scalar,
    Bool,
    /// A whole number within bounds.
    Int(i64, i64),
    /// A number.
    Float,
    /// A text or number that a reader of [`crate::value`] understands; kept as it is.
    Form(Form),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A path, made absolute.
    Path,
    /// The same, or an address of something elsewhere.
    PathOrUrl,
    /// A text, or a list of texts; or nothing.
    Command,
    List(List),
    /// A mapping of scalars, or a list of `key=value`.
    Pairs(Pairs),
    /// A mapping of free names, each of them such a value.
    Names(&'static Shape),
    Object(&'static Object),
    /// A short form that can be written out; else the shape itself.
    Short(fn(&Node) -> Option<Node>, &'static Shape),
    /// A mapping, or something simpler.
    Either(&'static Shape, &'static Object),
    /// Ports, short and long, in ranges.
    Ports,
    /// A volume: a text, or a mapping.
    Mount,
}

/// Values that a reader of [`crate::value`] understands.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Duration,
    Bytes,
    /// Becomes a number.
    ByteCount,
    /// Becomes a number of microseconds.
    Micros,
    Integer,
    Number,
    Restart,
    Expose,
    Published,
    Protocol,
}

/// A list.
#[derive(Clone, Copy)]
pub(crate) struct List {
    pub(crate) item: &'static Shape,
    /// A single item may stand for the list.
    pub(crate) lone: bool,
    pub(crate) merge: Merge,
}

/// How a later list joins an earlier one.
#[derive(Clone, Copy)]
pub(crate) enum Merge {
    /// Behind it.
    Append,
    /// Each item once, in order of their texts.
    Union,
    /// Later items take the places of those with the same name; in order of their names.
    By(fn(&Node) -> Option<String>),
}

/// How a mapping of scalars is written and read.
#[derive(Clone, Copy)]
pub(crate) struct Pairs {
    /// What is between key and value of a list's items.
    pub(crate) separators: &'static [char],
    /// What an item without separator stands for.
    pub(crate) lone: LoneKey,
    pub(crate) values: PairValues,
}

/// What an item without a value stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoneKey {
    /// No value: it is looked up, or absent.
    Null,
    /// The empty text.
    Empty,
}

/// What the values become.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PairValues {
    /// What they are.
    AsWritten,
    /// Texts; nothing stays nothing.
    Texts,
    /// Texts; nothing becomes the empty text.
    Strings,
}

pub(crate) const fn key(name: &'static str, shape: Shape) -> Key {
    Key {
        name,
        shape,
        use_of: Use::Read,
    }
}

pub(crate) const fn refused(name: &'static str, why: &'static str) -> Key {
    Key {
        name,
        shape: Shape::Any,
        use_of: Use::Refused(why),
    }
}

pub(crate) const fn unused(name: &'static str, why: &'static str) -> Key {
    Key {
        name,
        shape: Shape::Any,
        use_of: Use::Unused(why),
    }
}

pub(crate) const fn object(keys: &'static [Key]) -> Object {
    Object {
        keys,
        required: &[],
    }
}

/// A list of texts that are joined.
pub(crate) const TEXTS: Shape = Shape::List(List {
    item: &Shape::Text,
    lone: false,
    merge: Merge::Union,
});

/// A text, or a list of them.
pub(crate) const ONE_OR_MORE: Shape = Shape::List(List {
    item: &Shape::Text,
    lone: true,
    merge: Merge::Append,
});

pub(crate) const LABELS: Shape = Shape::Pairs(Pairs {
    separators: &['='],
    lone: LoneKey::Empty,
    values: PairValues::Texts,
});

pub(crate) const VARIABLES: Shape = Shape::Pairs(Pairs {
    separators: &['='],
    lone: LoneKey::Null,
    values: PairValues::AsWritten,
});

/// A mapping of texts and numbers, all of them read as texts.
pub(crate) const STRINGS: Shape = Shape::Pairs(Pairs {
    separators: &['='],
    lone: LoneKey::Empty,
    values: PairValues::Strings,
});

/// A mapping of texts and numbers, kept as they are.
pub(crate) const OPTIONS: Shape = Shape::Names(&Shape::Scalar);

pub(crate) const EXTRA_HOSTS: Shape = Shape::Short(
    short::extra_hosts,
    &Shape::List(List {
        item: &Shape::Text,
        lone: false,
        merge: Merge::By(short::host_of),
    }),
);

pub(crate) const ULIMITS: Shape = Shape::Names(&Shape::Either(
    &Shape::Int(-1, i64::MAX),
    &Object {
        keys: &[
            key("soft", Shape::Int(-1, i64::MAX)),
            key("hard", Shape::Int(-1, i64::MAX)),
        ],
        required: &["soft", "hard"],
    },
));

/// A share of CPUs.
pub(crate) const CPUS: Shape = Shape::Float;

pub(crate) const ANY_INT: Shape = Shape::Int(i64::MIN, i64::MAX);
pub(crate) const COUNT: Shape = Shape::Int(0, 1_000_000);
pub(crate) const DURATION: Shape = Shape::Form(Form::Duration);
pub(crate) const BYTES: Shape = Shape::Form(Form::Bytes);
