//! `lotse rollback`: a release that was there before, on every host.

use std::process::ExitCode;

use clap::Args;

use crate::environment::{Backward, Pace, Which, connect, roll_out};
use crate::output::{Failure, Screen};

/// Bring back the release that was in force before, or another one that the hosts remember
///
/// It is kept stopped on each host, so it starts at once; it takes the traffic when it is healthy.
/// Once more goes one further back; `lotse plan ENV --back` says to which. After a deploy that was
/// cut off, it takes back what was begun.
///
/// Examples:
///   lotse rollback prod
///   lotse rollback prod 12
///   lotse rollback prod v1.1.0
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// The release, by its number or label [default: the one that was in force before]
    #[arg(value_name = "RELEASE")]
    release: Option<Backward>,
    #[command(flatten)]
    pace: Pace,
}

/// Runs `lotse rollback`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let scope = arguments.which.load()?;
    let hosts = connect(&scope).await?;
    let desired = Backward::desired(arguments.release.as_ref(), &hosts).await?;
    roll_out(&scope, &hosts, desired, &arguments.pace, screen).await
}
