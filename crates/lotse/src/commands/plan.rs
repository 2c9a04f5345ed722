//! `lotse plan`: what a deploy or a rollback would do.

use std::process::ExitCode;

use clap::Args;
use deploy::Desired;

use crate::environment::{Backward, Drafting, Which, connect, plan};
use crate::output::{Failure, Screen};

/// Show what a deploy would do on each host, and why; changes nothing
///
/// Examples:
///   lotse plan prod
///   lotse plan prod --set TAG_PROD=v1.2.0
///   lotse plan prod --back           # what `lotse rollback prod` would do
///   lotse plan prod --back v1.1.0
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    drafting: Drafting,
    /// Plan a rollback, to the release before or to this one
    #[arg(long, value_name = "RELEASE", num_args = 0..=1, conflicts_with_all = ["values", "label"])]
    back: Option<Option<Backward>>,
    /// Plan to take over what Docker Compose runs (`lotse adopt`)
    #[arg(long, conflicts_with = "back")]
    adopt: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `lotse plan`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let (scope, hosts, desired) = match &arguments.back {
        None => {
            let drafted = arguments.drafting.draft(&arguments.which).await?;
            let draft = Box::new(drafted.draft);
            let desired = match arguments.adopt {
                true => Desired::Adopt(draft),
                false => Desired::Deploy(draft),
            };
            (drafted.scope, drafted.hosts, desired)
        }
        Some(back) => {
            let scope = arguments.which.load()?;
            let hosts = connect(&scope).await?;
            let desired = Backward::desired(back.as_ref(), &hosts).await?;
            (scope, hosts, desired)
        }
    };
    let plan = plan(&scope, &hosts, desired).await?;
    match arguments.json {
        true => screen.json(&plan)?,
        false => screen.write(plan.to_string().as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}
