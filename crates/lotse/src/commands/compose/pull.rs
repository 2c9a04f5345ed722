//! `lotse compose pull`: the images that the files name.

use ::compose::project::ServiceName;
use apply::project::OnEngine;
use clap::Args;

use super::{failure, tell};
use crate::output::Failure;

/// Pull the images of services
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only these [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// Say nothing but what goes wrong
    #[arg(short, long)]
    quiet: bool,
}

pub(super) async fn run(arguments: &Arguments, project: &OnEngine<'_>) -> Result<(), Failure> {
    let silent = |_| {};
    let pulled = match arguments.quiet {
        true => project.pull(&arguments.services, &silent).await,
        false => project.pull(&arguments.services, &tell).await,
    };
    pulled.map_err(|error| failure(&error))
}
