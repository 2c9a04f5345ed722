//! `lotse compose down`: the project goes, its data stays.

use std::time::Duration;

use apply::project::{Down, OnEngine};
use clap::Args;

use super::{failure, tell};
use crate::output::Failure;

/// Stop and remove containers and networks; data stays
///
/// With --volumes, volumes of the project that hold no data go too. When one holds data, nothing is
/// done, unless --with-data names it. Volumes without a name always stay.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Remove the project's volumes that hold no data
    #[arg(short, long)]
    volumes: bool,
    /// A volume that goes with its data (repeatable)
    #[arg(long, value_name = "NAME", requires = "volumes")]
    with_data: Vec<String>,
    /// Remove containers of services that the files do not have
    #[arg(long)]
    remove_orphans: bool,
    /// Seconds that containers have to end [default: their own]
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u32>,
}

pub(super) async fn run(arguments: &Arguments, project: &OnEngine<'_>) -> Result<(), Failure> {
    let request = Down {
        volumes: arguments.volumes,
        with_data: arguments.with_data.clone(),
        grace: arguments
            .timeout
            .map(|seconds| Duration::from_secs(seconds.into())),
        orphans: arguments.remove_orphans,
    };
    let down = project.down(&request, &tell).await;
    down.map_err(|error| failure(&error))
}
