//! `lotse status`: what each host of an environment serves, and how well.

mod report;

use std::process::ExitCode;

use clap::Args;

use crate::environment::{Which, connect, warn_unreached};
use crate::output::{Failure, Screen};

/// Show what each host serves: its release, services, edge and lock
///
/// The exit code is 1 when a host cannot be reached, or does not serve the release in force.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `lotse status`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let scope = arguments.which.load()?;
    let observed = connect(&scope).await?.observe().await;
    let code = warn_unreached(&observed);
    let hosts = report::hosts(&observed);
    if arguments.json {
        screen.json(&hosts)?;
    } else {
        for host in &hosts {
            screen.write(host.text(screen).as_bytes())?;
        }
    }
    let well = hosts.iter().all(report::HostStatus::is_well);
    Ok(if well { code } else { ExitCode::FAILURE })
}
