//! What would do harm although it is right: data lost, secrets seen, a site down.
//!
//! Each is a diagnostic of the level `danger` with its mend. They look at what jobs say, not at
//! whether they run for this ref.

use crate::draft::{Context, Draft};
use crate::report::Report;

/// Looks at all jobs.
pub(crate) fn look(_drafts: &[Draft], _context: &Context<'_>, _report: &mut Report) {}
