//! `lotse deploy`: the release that the files make, on every host.

use std::process::ExitCode;

use clap::Args;
use deploy::Desired;

use crate::environment::{Drafting, Pace, Which, plan, roll_out};
use crate::output::{Failure, Screen};

/// Bring the release that the files make to every host, without a failed request
///
/// Pulls and prepares on all hosts first; starts the new release beside the old one, host by host;
/// gives it the traffic when it is healthy. When anything fails, every host goes back to what
/// served before, and the exit code is 1. Ctrl-C goes back as well.
///
/// Examples:
///   lotse deploy prod
///   lotse deploy prod --set TAG_PROD=v1.2.0 --label v1.2.0
///   lotse deploy prod --wait 10m --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    drafting: Drafting,
    #[command(flatten)]
    pace: Pace,
}

/// Runs `lotse deploy`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let drafted = arguments.drafting.draft(&arguments.which).await?;
    let (scope, hosts) = (drafted.scope, drafted.hosts);
    let is_sound = drafted.draft.problems().is_empty();
    let desired = Desired::Deploy(Box::new(drafted.draft));
    if !is_sound {
        // It is told together with what hosts lack, and no lock is taken for it.
        plan(&scope, &hosts, desired.clone()).await?;
    }
    roll_out(&scope, &hosts, desired, &arguments.pace, screen).await
}
