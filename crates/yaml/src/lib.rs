//! A YAML tree with places, bounded; and diagnostics that speak of places.
//!
//! Two languages of ours are written in YAML: pipelines (`ci`) and compose files (`compose`). Both
//! read untrusted texts into the same untyped tree and say all that is wrong, with file, line and
//! column. What a keyword may hold is not known here, and nothing does I/O.

mod diagnostic;
mod emit;
mod nearest;
mod parse;
mod render;
mod report;
mod scalar;
mod tree;

pub use diagnostic::{Diagnostic, Level, Place};
pub use emit::emit;
pub use nearest::nearest;
pub use parse::{Documents, parse};
pub use render::Sources;
pub use report::{Problem, Report};
pub use scalar::{Dialect, float_text, plain};
pub use tree::{Entry, Map, Node, Span, Tag, Value, to_json, weight};
