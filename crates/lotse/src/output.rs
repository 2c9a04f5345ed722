//! What the user sees: errors with their mend, tables, colour.
//!
//! Results go to standard output, everything about them to standard error. Whether a terminal is
//! there is found out once and passed on as a value.

mod age;
mod failure;
mod plain;
mod screen;
mod table;

pub(crate) use age::{ago, took};
pub(crate) use failure::Failure;
pub(crate) use plain::Filter;
pub(crate) use screen::{Screen, Tone};
pub(crate) use table::{Cell, Table};
