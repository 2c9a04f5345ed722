//! A client's requests: read, checked, sent on to a target, answered, written down.

mod affinity;
mod attempt;
pub(crate) mod body;
pub(crate) mod forward;
pub(crate) mod framing;
mod pages;
pub(crate) mod proxy;
pub(crate) mod record;
pub(crate) mod serve;
mod switch;
