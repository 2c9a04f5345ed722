//! `lotse adopt`: takes over what Docker Compose runs.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Args;
use deploy::{Desired, Plan};

use crate::client::ask_for_text;
use crate::environment::{Drafting, Pace, Which, plan, roll_out};
use crate::output::{Failure, Screen};

/// Take over a project that `docker-compose up` has started, with its data and ports
///
/// Like the first deploy, but the ports are held by containers of Docker Compose: the new release
/// starts beside them and must be healthy, then the container that holds the ports is stopped and
/// the edge takes them. This is the one time that they are closed; it says beforehand for how long
/// at most, and asks. Volumes are kept and used by their names. On a failure the containers of
/// Docker Compose are started again. When all is well they stay, stopped, until you remove them.
///
/// Examples:
///   lotse adopt prod
///   lotse adopt prod --yes       # where nobody can answer
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    drafting: Drafting,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    pace: Pace,
}

/// Runs `lotse adopt`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let drafted = arguments.drafting.draft(&arguments.which).await?;
    let (scope, hosts) = (drafted.scope, drafted.hosts);
    let desired = Desired::Adopt(Box::new(drafted.draft));
    // Whoever agrees beforehand may wait for a lock, which a plan for people cannot.
    if !arguments.yes && !agrees(&plan(&scope, &hosts, desired.clone()).await?).await? {
        eprintln!("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    roll_out(&scope, &hosts, desired, &arguments.pace, screen).await
}

/// Says what people should know, and asks.
async fn agrees(plan: &Plan) -> Result<bool, Failure> {
    for note in &plan.notes {
        eprintln!("note: {note}");
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask on")
            .hint("`lotse plan --adopt` shows what would be done; `--yes` agrees to it"));
    }
    let answer = ask_for_text("take it over? (yes/no)").await?;
    Ok(["y", "yes"].contains(&answer.trim()))
}
