//! `lotse keep`: what deployers run in the edge's container; not for people.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

/// Answer a deployer's questions, a line of JSON each, until the input ends
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The folder of the edge
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "/var/lib/lotse/edge",
        env = "LOTSE_EDGE"
    )]
    folder: PathBuf,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let serving = apply::keep::serve(&arguments.folder).await;
    serving.context("the connection to the deployer broke")
}
